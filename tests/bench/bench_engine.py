"""The engine of graphical models: estimation and AIM's rounds against mbi's estimator in the same run, calls of the oracle."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction

import numpy as np

from privsynth import generators
from privsynth.domain import Clique, Domain
from privsynth.measurement import Event, Measurement, measurements
from privsynth.pgm.clique_vector import CliqueVector
from privsynth.pgm.estimation import Problem, estimate_total, independent_start, observe
from privsynth.pgm.junction_tree import BYTES_PER_CELL, Triangulation
from privsynth.pgm.marginal_oracle import MarginalOracle, log_marginals
from privsynth.pgm.projection import all_pairs, project
from tests.bench import fidelity
from tests.bench.row import Row, cpu_seconds

PEERS = {
    "mbi": "make bench ONLY=engine: mbi.estimation.MirrorDescent().estimate(...) in float64 on the same tables, this run"
}
SIGMA = 30
ROUNDS = 3


def rows() -> Iterator[Row]:
    """All of them, cheapest first."""
    yield from _oracle()
    yield from _estimation()
    yield from _aim()


def _grown(domain: Domain, megabytes: float) -> list[Clique]:
    """One-way tables, and then all pairs, in the domain's order, that a junction tree of this size has room for."""
    cliques: list[Clique] = [(name,) for name in domain.attributes]
    shape = Triangulation(domain, cliques)
    for pair in itertools.combinations(domain.attributes, 2):
        if shape.fits(pair, megabytes * 2**20 / BYTES_PER_CELL):
            shape.add(pair)
            cliques.append(pair)
    return cliques


def _oracle() -> Iterator[Row]:
    """One call at 10 MB: a model of pairs, a model with a table of all its cells, the log domain; and all pairs of it."""
    domain, rng = fidelity.adult().domain, np.random.default_rng(0)
    cliques = _grown(domain, 10)
    largest = max(Triangulation(domain, cliques).tree().cliques, key=domain.cells)
    for name, held in (
        ("a model of pairs", cliques),
        ("a model with a factor on its largest clique", [*cliques, largest]),
    ):
        oracle = MarginalOracle(domain, held)
        model = CliqueVector(domain, oracle.cliques, rng.normal(size=sum(map(domain.cells, held))))
        milliseconds = 1e3 * cpu_seconds(lambda oracle=oracle, model=model: oracle.marginals(model, 1e4), 20)  # type: ignore[misc]
        where = f"{name}, {oracle.tree.megabytes:.1f} MB"
        yield Row(name=f"oracle: {where}", value=milliseconds, unit="CPU ms a call", target="<= 25")
    oracle = MarginalOracle(domain, cliques)
    model = CliqueVector(domain, oracle.cliques, rng.normal(size=sum(map(domain.cells, cliques))))
    slow = 1e3 * cpu_seconds(lambda: log_marginals(oracle.tree, model, 1e4), 2)
    yield Row(name="oracle: the model of pairs in the log domain", value=slow, unit="CPU ms a call")
    beliefs = oracle.beliefs(model, 1e4)
    together = 1e3 * cpu_seconds(lambda: all_pairs(oracle.tree, beliefs), 3)
    pairs = list(itertools.combinations(domain.attributes, 2))
    apart = 1e3 * cpu_seconds(lambda: [project(oracle.tree, beliefs, pair) for pair in pairs])
    yield Row(name="all pairs of the model of pairs", value=together, unit="CPU ms")
    yield Row(name="all pairs, one by one over together", value=apart / together, unit="ratio of CPU time")


def _noisy(cliques: Iterable[Clique]) -> list[Measurement]:
    """Tables of adult with noise from a seeded generator: the table is public, and every run has the same problem."""
    rng, data = np.random.default_rng(1), fidelity.adult()
    event = Event(
        stage="bench",
        mechanism="exponential",
        rho=Fraction(1, 2 * SIGMA**2),
        sensitivity_squared=1,
        sigma_squared=Fraction(SIGMA**2),
    )
    return [
        Measurement(clique=one, values=np.rint(table + rng.normal(0, SIGMA, table.shape)).astype(np.int64), event=event)
        for one, table in ((one, data.marginal(one)) for one in cliques)
    ]


def _estimation() -> Iterator[Row]:
    """CPU time until the loss that mbi's mirror descent reaches, both from nothing, on the same noisy tables."""
    domain = fidelity.adult().domain
    for megabytes, iterations in ((0.5, 1000), (2, 1000), (10, 100)):
        found = _noisy(_grown(domain, megabytes))
        theirs = _Theirs(domain, found, iterations)
        peer = cpu_seconds(theirs.fit)
        limit = theirs.loss()
        ours: list[float] = []
        mine = cpu_seconds(lambda found=found, limit=limit, ours=ours: ours.append(_until(domain, found, limit)))  # type: ignore[misc]
        where = f"{len(found)} tables, {megabytes} MB, mbi's loss after {iterations} iterations"
        yield Row(name=f"mbi: {where}", value=peer, unit="CPU s")
        yield Row(name=f"privsynth: {where}", value=mine, unit="CPU s")
        yield Row(name=f"mbi over privsynth: {where}", value=peer / mine, unit="ratio of CPU time", target=">= 5")
        yield Row(name=f"loss over mbi's: {where}", value=ours[0] / limit, unit="ratio", target="<= 1")


def _until(domain: Domain, found: Sequence[Measurement], limit: float) -> float:
    """The loss when descent has come down to the limit, or has ended above it; the tree and the oracle are made too."""
    seen, total = observe(domain, found), estimate_total(found)
    oracle = MarginalOracle(domain, [one.clique for one in seen])
    loss = np.inf
    for fit in Problem(oracle, seen, total).descend(independent_start(domain, seen, total)):
        loss = fit.loss
        if loss <= limit:
            break
    return loss


class _Theirs:
    """mbi's estimator on our measurements."""

    def __init__(self, domain: Domain, found: Sequence[Measurement], iterations: int) -> None:
        self.domain, self.found, self.iterations = domain, found, iterations

    def fit(self) -> None:
        """Estimate, from the start, as one round of its AIM does; what is compiled is compiled for every new model."""
        import jax
        import mbi

        jax.config.update("jax_enable_x64", True)
        jax.config.update("jax_enable_compilation_cache", False)
        self.model = mbi.estimation.MirrorDescent().estimate(
            mbi.Domain(self.domain.attributes, self.domain.sizes),
            [mbi.LinearMeasurement(m.values.reshape(-1).astype(float), m.clique, stddev=m.sigma) for m in self.found],
            known_total=estimate_total(self.found),
            iters=self.iterations,
        )

    def loss(self) -> float:
        """Our loss, at its expected counts."""
        return sum(
            0.5 * one.precision * float(((self.project(one.clique) - one.values) ** 2).sum())
            for one in observe(self.domain, self.found)
        )

    def project(self, clique: Clique) -> np.ndarray:
        """Expected counts."""
        return np.asarray(self.model.project(clique).values, dtype=float)


def _aim() -> Iterator[Row]:
    """All of our `aim` at epsilon 1, against mbi's estimation alone in the same rounds; and errors on the same tables."""
    data, box = fidelity.adult(), fidelity.curator(fidelity.adult(), "1")
    generator = generators.get("aim", {})
    models = []

    def run() -> None:
        generator.measure(box)
        models.append(generator.estimate(box.domain, box.transcript))

    mine = cpu_seconds(run)
    found = measurements(box.transcript)
    first, last = len(box.domain), len(found)
    peer = []
    for upto in np.linspace(first + 1, last, ROUNDS).round().astype(int).tolist():
        theirs = _Theirs(box.domain, found[:upto], 1000)
        peer.append(cpu_seconds(theirs.fit))
    estimated = float(np.mean(peer)) * (last - first)
    pairs = list(itertools.combinations(box.domain.attributes, 2))
    errors = [
        float(np.mean([0.5 * np.abs(model.project(pair) - data.marginal(pair)).sum() / data.rows for pair in pairs]))
        for model in (models[0], theirs)
    ]
    yield Row(name=f"aim on adult at epsilon 1, {last - first} rounds: all of it", value=mine, unit="CPU s")
    yield Row(name=f"mbi's estimation in these rounds (mean of {ROUNDS}, times rounds)", value=estimated, unit="CPU s")
    yield Row(name="aim over mbi's estimation", value=mine / estimated, unit="ratio of CPU time", target="<= 0.2")
    yield Row(name="mbi on aim's tables: pairs of the model", value=errors[1], unit="TV")
    yield Row(name="aim: pairs of the model", value=errors[0], unit="TV", target=f"<= {errors[1]:.4f}")
