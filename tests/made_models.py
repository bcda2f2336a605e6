"""Made-up latent class models of any domain, and of the views of a database, for tests of what is drawn from them."""

import numpy as np
import numpy.typing as npt

from privsynth.database.document import DatabaseSchema
from privsynth.domain import Domain
from privsynth.histories.layout import views
from privsynth.latent.distribution import LatentClassDistribution
from privsynth.latent.fitted import Fitted
from privsynth.latent.layout import Layout
from privsynth.latent.mixture import Mixture
from privsynth.latent.observed import Observed

Floats = npt.NDArray[np.float64]


def latent(
    domain: Domain, rng: np.random.Generator, *, classes: int = 3, total: float = 100.0
) -> LatentClassDistribution:
    """A mixture of random products, every level its own group."""
    given = [rng.dirichlet(np.full(size, 0.5), classes).T for size in domain.sizes]
    return mixture(
        domain, np.concatenate([*given, np.zeros((0, classes))]), rng.dirichlet(np.ones(classes)), total=total
    )


def mixture(domain: Domain, given: Floats, weights: Floats, *, total: float = 100.0) -> LatentClassDistribution:
    """This mixture of products. Shapes: `given` is (levels of all attributes, classes), `weights` (classes,)."""
    layout, count = Layout(domain.sizes), len(domain)
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
        mixture=Mixture(layout=layout, given=given, weights=weights),
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
