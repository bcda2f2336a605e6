"""Fidelity of records from `mst` and `aim` on the 14-column Adult table, and the CPU time they take, against peers."""

from __future__ import annotations

import csv
import gzip
import itertools
import json
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from privsynth import generators
from privsynth.dataset import Dataset
from privsynth.domain import Clique, Domain
from privsynth.measurement import Transcript, measurements
from privsynth.pgm.estimation import estimate_total
from privsynth.privacy.accounting import rho_for
from privsynth.privacy.curator import Curator, make_curator
from privsynth.privacy.noise import SystemNoise
from privsynth.privacy.unit import PrivacyUnit
from tests.bench import peers
from tests.bench.row import Row, cpu_seconds

DATA = Path(__file__).parent / "data"
EPSILONS = ("0.1", "1", "10")
FITS = 3


@cache
def adult() -> Dataset:
    """The table."""
    domain = Domain.from_mapping(json.loads((DATA / "adult14_domain.json").read_text(encoding="utf-8")))
    with gzip.open(DATA / "adult14_train.csv.gz", "rt", encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    codes = np.array(rows[1:], dtype=np.int64)
    return Dataset.from_columns({name: codes[:, i] for i, name in enumerate(rows[0])}, domain)


def total_variation(data: Dataset, drawn: Dataset, size: int) -> float:
    """Half the L1 distance of the normalised tables, mean over all tables of so many attributes."""
    cliques = list(itertools.combinations(data.domain.attributes, size))
    return float(np.mean([_half_l1(data, drawn, clique) for clique in cliques]))


def _half_l1(data: Dataset, drawn: Dataset, clique: Clique) -> float:
    return 0.5 * float(np.abs(data.marginal(clique) / data.rows - drawn.marginal(clique) / drawn.rows).sum())


def curator(data: Dataset, epsilon: str) -> Curator:
    """A curator with the budget of (epsilon, 1e-9) and the system's noise."""
    return make_curator(data, unit=PrivacyUnit(name="row"), rho=rho_for(epsilon, "1e-9"), noise=SystemNoise())


def rows() -> Iterator[Row]:
    """Errors (means of some fits; the system's noise cannot be seeded) and CPU seconds of fit and records together."""
    for name, published in (("mst", peers.MST), ("aim", peers.AIM)):
        for epsilon in EPSILONS:
            yield from _against(name, epsilon, [peer for peer in published if peer.epsilon == epsilon])
    yield from _side_by_side()


def _against(name: str, epsilon: str, published: Sequence[peers.Peer]) -> Iterator[Row]:
    data, drawn, seconds = adult(), [], []
    for fit in range(FITS):

        def once(seed: int = fit) -> None:
            model = generators.get(name, {}).fit(curator(data, epsilon))
            drawn.append(model.draw(data.rows, np.random.default_rng(seed)))

        seconds.append(cpu_seconds(once))
    pairs, triples = (float(np.mean([total_variation(data, each, size) for each in drawn])) for size in (2, 3))
    where = f"{name} on adult at epsilon {epsilon}"
    yield Row(name=f"{where}: pairs", value=pairs, unit="TV", target=f"<= {min(p.pairs for p in published)}")
    yield Row(name=f"{where}: triples", value=triples, unit="TV", target=f"<= {min(p.triples for p in published)}")
    fifth = min(peer.cpu_seconds for peer in published) / 5
    yield Row(name=f"{where}: time", value=float(np.mean(seconds)), unit="CPU s", target=f"<= {fifth:.1f}")
    for peer in published:
        yield Row(name=f"published: {peer.library} at epsilon {epsilon}: pairs", value=peer.pairs, unit="TV")
        yield Row(name=f"published: {peer.library} at epsilon {epsilon}: time", value=peer.cpu_seconds, unit="CPU s")


def _side_by_side() -> Iterator[Row]:
    """mbi's estimator and sampler on the transcript of our own mst, at epsilon 1."""
    data, box = adult(), curator(adult(), "1")
    generator = generators.get("mst", {})
    generator.measure(box)
    ours: list[Dataset] = []
    theirs: list[Dataset] = []

    def run() -> None:
        model = generator.estimate(box.domain, box.transcript)
        ours.append(model.draw(data.rows, np.random.default_rng(0)))

    mine = cpu_seconds(run, repeat=3)
    peer = cpu_seconds(lambda: theirs.append(_mbi(box.domain, box.transcript, data.rows)))
    yield Row(name="mbi estimate and records, same transcript", value=peer, unit="CPU s")
    yield Row(name="mst estimate and records, same transcript", value=mine, unit="CPU s")
    yield Row(name="mbi over mst, same transcript", value=peer / mine, unit="ratio of CPU time", target=">= 5")
    yield Row(name="mbi records, same transcript: pairs", value=total_variation(data, theirs[0], 2), unit="TV")
    error = total_variation(data, ours[0], 2)
    limit = total_variation(data, theirs[0], 2)
    yield Row(name="mst records, same transcript: pairs", value=error, unit="TV", target=f"<= {limit:.4f}")


def _mbi(domain: Domain, transcript: Transcript, records: int) -> Dataset:
    import jax.numpy as jnp
    import mbi

    found = measurements(transcript)
    model = mbi.estimation.MirrorDescent().estimate(
        mbi.Domain(domain.attributes, domain.sizes),
        [mbi.LinearMeasurement(jnp.asarray(m.values.reshape(-1), float), m.clique, stddev=m.sigma) for m in found],
        known_total=estimate_total(found),
        iters=1000,
    )
    table = model.synthetic_data(records).to_dict()
    return Dataset.from_columns({name: _codes(table[name]) for name in domain.attributes}, domain)


def _codes(column: npt.ArrayLike) -> npt.NDArray[np.int64]:
    return np.asarray(column).astype(np.int64)
