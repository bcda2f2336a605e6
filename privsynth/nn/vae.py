"""The VAE: its loss for the curator, how it learns, and the distribution that it leaves behind.

Must never see records but in `RecordLoss.factors`, which the curator calls; all else works with noisy sums and own draws.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final, TypeAlias, final

import numpy as np
import numpy.typing as npt

from privsynth import progress
from privsynth.domain import Domain
from privsynth.errors import FitError
from privsynth.nn.device import compute_device, enough_memory, memory_errors, single_precision
from privsynth.nn.drawn_distribution import DrawnDistribution
from privsynth.nn.heads import row_randomness, start_logits
from privsynth.nn.layers import Tape, joint_factors, with_told_loss
from privsynth.nn.optimiser import Adam, Average, Momentum, falling
from privsynth.nn.record_input import RecordLayout
from privsynth.nn.record_network import RecordNetwork, Shape, seen_columns
from privsynth.nn.training import gradient_steps, noisy_gradients
from privsynth.privacy.gradient import AbstractLoss, Factors

if TYPE_CHECKING:
    from privsynth.privacy.curator import Curator

Tensor: TypeAlias = Any
Stored: TypeAlias = Mapping[str, npt.NDArray[np.float32]]

_START_SEED: Final = 20_250_101
"""Of first weights, of batches and of draws while learning: public, and no noise comes from it."""

_LOOKED_AT: Final = 5_000
"""Records of a model in which dependence is looked for."""


def largest_loss(network: RecordNetwork) -> float:
    """Where a record's loss is cut off before it is told: twice that of levels that are all as likely, and one more."""
    return 2 * sum(float(np.log(size)) for size in network.layout.sizes) + 1


@final
class RecordLoss(AbstractLoss):
    """Minus the evidence lower bound, differentiated by the decoder and the prior; and itself, as the last matrix.

    Privacy: row i's factors are made from record i, the weights, and numbers of `key` that are row i's.
    """

    def __init__(self, network: RecordNetwork, clip: Fraction) -> None:
        self._network, self.clip = network, float(clip)
        self.largest = largest_loss(network)

    @property
    def shapes(self) -> tuple[tuple[int, int], ...]:
        """Those of the decoder and the prior, and (1, 1) of the loss that is told."""
        return (*self._network.decoder.shapes, (1, 1))

    def factors(self, codes: npt.NDArray[np.int64], key: bytes) -> Factors:
        """Each matrix's inputs and slopes, clipped, and the loss of each record. Raises: MemoryError."""
        network = self._network
        tape, encoding = Tape(network.decoder, watching=True), Tape(network.encoder, watching=False)
        with memory_errors(), single_precision():
            ordered = network.layout.ordered(codes, network.device)
            losses = network.losses(tape, encoding, ordered, row_randomness(key))
            return with_told_loss(tape.factors(losses), losses, clip=self.clip, largest=self.largest)

    def host(self, array: Any) -> npt.NDArray[np.floating]:
        """The array in main memory, as numpy's."""
        return np.asarray(array.detach().cpu().numpy())


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Learning:
    """Public settings of both phases of learning.

    Args: `rate` of the gradient steps is in units of the clip; `own_draws` records are drawn from the model at each of them.
    """

    clip: Fraction
    rate: float
    pretraining_steps: int
    own_draws: int
    pretraining_rows: int = 512
    pretraining_rate: float = 0.003
    encoder_rate: float = 0.001
    fade: float = 0.97


def new_network(
    domain: Domain, shape: Shape, counts: Sequence[npt.NDArray[np.float64]], codes: npt.NDArray[np.int64]
) -> RecordNetwork:
    """A network that has learned nothing yet: its columns are independent and distributed as `counts`, noisy tables, say.

    Args: `codes` (rows, attributes) are records that a model drew: where not all columns before one fit among its inputs, it
        sees those on which it depends most in them.
    """
    layout = RecordLayout(domain.sizes)
    seen = seen_columns(layout, shape, _strength(domain, codes[:_LOOKED_AT]))
    network = RecordNetwork(domain.sizes, shape, [start_logits(each) for each in counts], seen, compute_device())
    network.begin(np.random.default_rng(_START_SEED))
    return network


def pretrain(network: RecordNetwork, codes: npt.NDArray[np.int64], learning: Learning) -> None:
    """Learn from records that a model drew: ordinary gradients. Shapes: codes (rows, attributes) in the domain's order.

    Raises: FitError when memory runs out.
    """
    fits = f"take hidden = {max(1, network.shape.hidden // 2)}, or parameters = {max(1, network.shape.parameters // 2)}"
    doing = f"to learn from {learning.pretraining_rows} records at a time"
    with single_precision(), enough_memory(doing, fits):
        _pretrain(network, codes, learning)


def _pretrain(network: RecordNetwork, codes: npt.NDArray[np.int64], learning: Learning) -> None:
    rng, steps = np.random.default_rng([_START_SEED, 1]), learning.pretraining_steps
    decoder, encoder = Adam(network.decoder), Adam(network.encoder)
    ordered = network.layout.ordered(codes, network.device)
    for step in range(steps if len(codes) else 0):
        batch = ordered[rng.integers(0, len(codes), learning.pretraining_rows)]
        tapes = Tape(network.decoder, watching=True), Tape(network.encoder, watching=True)
        found = joint_factors(network.losses(*tapes, batch, rng), *tapes)
        rate = learning.pretraining_rate * min(1.0, 2 * (1 - step / steps))
        for optimiser, factors in zip((decoder, encoder), found, strict=True):
            optimiser.step(_means(factors), rate)
        progress.report(progress.PRETRAINING, step + 1, steps)


def train(network: RecordNetwork, curator: Curator, learning: Learning, rows: float) -> None:
    """Take all gradient steps that are left; the network's decoder is then the average of those of the last steps.

    A step's direction is the noisy mean of clipped gradients on records, less the mean of clipped gradients on records that
    the network draws itself. Clipping alone moves a model that is right already, since clipped gradients do not add up to
    nothing; the difference does so exactly where the model's records are like the private ones, whatever the clip.
    Args: `rows` is the public number of rows that a step is expected to hold. Privacy: spends the plan's steps.
    Raises: FitError when memory runs out; what was kept goes on with fewer own draws.
    """
    with single_precision():
        _train(network, curator, learning, rows)


def _train(network: RecordNetwork, curator: Curator, learning: Learning, rows: float) -> None:
    loss, clip, decoder = RecordLoss(network, learning.clip), float(learning.clip), network.decoder
    momentum, adam = Momentum(decoder), Adam(network.encoder)
    average = Average(decoder, learning.fade)
    parts = {"decoder": decoder, "encoder": network.encoder, "momentum": momentum, "adam": adam, "average": average}
    fits, said = f"take own_draws = {max(1, learning.own_draws // 4)}", [""]
    for step, steps in gradient_steps(curator, parts, told=lambda: said[0]):
        noisy, mean = noisy_gradients(
            curator, loss, clip=learning.clip, rows=rows, largest=loss.largest, device=network.device
        )
        with enough_memory(f"for {learning.own_draws} draws of the network's own", fits):
            mine, sleep = _on_own_draws(network, learning, step)
        momentum.step(
            [one - other for one, other in zip(noisy, mine, strict=True)], falling(learning.rate / clip, step, steps)
        )
        adam.step(sleep, learning.encoder_rate)
        average.add()
        said[0] = progress.on_training(mean, None)
    decoder.load(average.arrays())


def _on_own_draws(network: RecordNetwork, learning: Learning, step: int) -> tuple[list[Tensor], list[Tensor]]:
    """Mean clipped gradients of the decoder, and mean gradients of the encoder, on records that the network draws itself."""
    rng = np.random.default_rng([_START_SEED, 2, step])
    tapes = Tape(network.decoder, watching=True), Tape(network.encoder, watching=True)
    losses = network.losses(*tapes, network.draw(learning.own_draws, rng), rng)
    own, sleep = joint_factors(losses, *tapes)
    told = with_told_loss(own, losses, clip=float(learning.clip), largest=largest_loss(network))
    return _means(told[:-1]), _means(sleep)


def _means(factors: Factors) -> list[Tensor]:
    """Mean gradients. Shapes: each matrix's."""
    return [slopes.T @ inputs / len(inputs) for inputs, slopes in factors]


def stored(network: RecordNetwork, total: float) -> dict[str, npt.NDArray[np.float32]]:
    """Everything that `network_of` needs, by name: what is published of a network."""
    place, columns = {column: at for at, column in enumerate(network.layout.order)}, len(network.seen)
    seen = np.zeros((columns, columns), dtype=np.float32)
    for at, others in enumerate(network.seen):
        seen[at, list(others)] = 1
    start = [network.start[place[column]].cpu().numpy() for column in range(columns)]
    return {
        **network.decoder.state(),
        "start": np.concatenate([*start, np.zeros(0, dtype=np.float32)]),
        "seen": seen,
        "total": np.array([total], dtype=np.float32),
    }


def network_of(domain: Domain, shape: Shape, arrays: Stored) -> tuple[RecordNetwork, float]:
    """The network and the number of records that `stored` told of. Raises: FitError when they are not of this domain."""
    columns = len(domain)
    shapes = {"start": (sum(domain.sizes),), "seen": (columns, columns), "total": (1,)}
    if any(name not in arrays or arrays[name].shape != expected for name, expected in shapes.items()):
        raise FitError("stored weights are not of a vae of this domain; was a file replaced?")
    starts = np.split(arrays["start"], np.cumsum(domain.sizes)[:-1]) if columns else []
    seen = [tuple(np.flatnonzero(row[:at]).tolist()) for at, row in enumerate(arrays["seen"])]
    network = RecordNetwork(domain.sizes, shape, starts, seen, compute_device())
    network.begin(np.random.default_rng(_START_SEED))
    network.decoder.load({name: each for name, each in arrays.items() if name not in shapes})
    return network, max(float(arrays["total"][0]), 1.0)


def distribution(domain: Domain, shape: Shape, arrays: Stored) -> DrawnDistribution:
    """The distribution of the network that `stored` told of; for a domain without attributes, of nothing."""
    if not domain.attributes:
        layout = RecordNetwork((), shape, (), (), compute_device())
        return DrawnDistribution(domain, layout, 1.0)
    return DrawnDistribution(domain, *network_of(domain, shape, arrays))


def _strength(domain: Domain, codes: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """How far each pair's table is from independence, less what chance would make of it: (attributes, attributes)."""
    rows, columns = codes.shape
    found = np.zeros((columns, columns))
    shares = [np.bincount(codes[:, at], minlength=size) / max(rows, 1) for at, size in enumerate(domain.sizes)]
    for one in range(columns if rows else 0):
        for two in range(one):
            cells = codes[:, one] * domain.sizes[two] + codes[:, two]
            taken, counts = _counted(cells, domain.sizes[one] * domain.sizes[two])
            expected = (rows * shares[one][taken // domain.sizes[two]]) * shares[two][taken % domain.sizes[two]]
            apart = np.abs(counts - expected) - np.sqrt(2 / np.pi * expected)
            found[one, two] = found[two, one] = float(apart.sum()) / rows
    return found


def _counted(cells: npt.NDArray[np.int64], size: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The cells that occur, of so many, and how often."""
    if size > len(cells):
        return np.unique(cells, return_counts=True)
    counts = np.bincount(cells, minlength=size)
    taken = np.flatnonzero(counts)
    return taken, counts[taken]
