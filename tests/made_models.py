"""Made-up latent class models of any domain, and of the views of a database, for tests of what is drawn from them."""

import numpy as np

from privsynth.database.document import DatabaseSchema
from privsynth.domain import Domain
from privsynth.histories.layout import views
from privsynth.latent.distribution import LatentClassDistribution
from privsynth.latent.estimation import Fitted
from privsynth.latent.layout import Layout
from privsynth.latent.mixture import Mixture
from privsynth.latent.observed import Observed


def latent(
    domain: Domain, rng: np.random.Generator, *, classes: int = 3, total: float = 100.0
) -> LatentClassDistribution:
    """A mixture of random products, every level its own group."""
    layout, count = Layout(domain.sizes), len(domain)
    given = [rng.dirichlet(np.full(size, 0.5), classes).T for size in domain.sizes]
    mixture = Mixture(
        layout=layout, given=np.concatenate([*given, np.zeros((0, classes))]), weights=rng.dirichlet(np.ones(classes))
    )
    seen = Observed(
        domain=domain,
        layout=layout,
        group_of=tuple(np.arange(size) for size in domain.sizes),
        levels=(),
        level_variances=(),
        pairs=None,
        sigma=np.zeros((count, count)),
        possible=np.ones((0, 0), dtype=bool),
        wide=(),
    )
    fitted = Fitted(
        total=total,
        mixture=mixture,
        within=tuple(np.ones(size) for size in domain.sizes),
        fine=layout,
        grouped=None,
        tables=None,
        pair_error=np.full((count, count), np.nan),
    )
    return LatentClassDistribution(seen, fitted)


def of_views(
    schema: DatabaseSchema, rng: np.random.Generator, *, total: float = 100.0
) -> dict[str, LatentClassDistribution]:
    """A random model of every view of a schema."""
    return {name: latent(view.domain(), rng, total=total) for name, view in views(schema).items()}
