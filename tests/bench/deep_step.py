"""What a step under DP-SGD costs beside the same network's ordinary step, and Opacus's two ways beside them.

Must never measure anything on more than one thread. The network is a plain one: a record's columns as zeros and ones through
three layers of rectifiers to a distribution of every column. Ours samples by Poisson, fills chunks up, clips, rounds to the
grid, and takes its noise from the system's entropy; the others are given 1,024 rows, and Opacus's noise is torch's.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from privsynth.dataset import Dataset
from privsynth.domain import Domain
from privsynth.nn.layers import Tape, Weights, with_one
from privsynth.privacy.curator import make_curator
from privsynth.privacy.gradient import AbstractLoss, Factors, clipped_sums
from privsynth.privacy.noise import SystemNoise
from privsynth.privacy.sampled_gaussian import SampledGaussian
from privsynth.privacy.unit import PrivacyUnit
from tests.bench.row import Row

RECORDS, BATCH = 45_000, 1_024
COLUMNS, LEVELS, HIDDEN = 14, 15, 200
CLIP: Final = Fraction(1)

_WIDE: Final = COLUMNS * LEVELS
_RATE: Final = 1e-4
_ROUNDS, _STEPS = 24, 4
_HOOK_ROUNDS: Final = 4
_CHECKED: Final = 256
"""Records whose gradients are worked out one by one."""


def rows() -> Iterator[Row]:
    """The ratios, then how exact the sums are."""
    torch.set_num_threads(1)
    data = _records()
    ordinary, ours = _ordinary(data), _ours(data)
    ghost = _opacus(data, ghost=True)
    hooks = _opacus(data, ghost=False)
    times: dict[str, float] = {}
    for turn in range(_ROUNDS):  # by turns, so that all meet the same machine
        contenders = {"ordinary": ordinary, "ours": ours, "ghost": ghost}
        for name, step in (contenders | ({"hooks": hooks} if turn < _HOOK_ROUNDS else {})).items():
            times[name] = min(times.get(name, float("inf")), _seconds(step, 1 if name == "hooks" else _STEPS))
    weights = sum(each.numel() for each in _network().parameters())
    base = times["ordinary"]
    yield Row(name=f"ordinary step, {weights} weights, {BATCH} rows", value=base * 1e3, unit="CPU ms")
    yield Row(name="DP-SGD step over the ordinary one", value=times["ours"] / base, unit="ratio", target="<= 1.3")
    yield Row(name="Opacus's ghost clipping over the ordinary step", value=times["ghost"] / base, unit="ratio")
    yield Row(name="Opacus's hooks over the ordinary step", value=times["hooks"] / base, unit="ratio")
    yield from exactness(data)


def exactness(data: Dataset) -> Iterator[Row]:
    """Norms without gradients, and the clipped sum, against every record's own gradient (torch.func)."""
    network, codes = _network(), torch.from_numpy(data.codes(np.arange(_CHECKED)))
    named = {name: each.detach() for name, each in network.named_parameters()}

    def loss(weights: dict[str, Any], record: Any) -> Any:
        return _losses(torch.func.functional_call(network, weights, (_one_hot(record[None]),)), record[None])[0]

    each = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0))(named, codes)
    layers = [name.removesuffix(".weight") for name in named if name.endswith(".weight")]
    joined = [
        torch.cat([each[f"{name}.weight"], each[f"{name}.bias"][:, :, None]], dim=2).double().numpy() for name in layers
    ]
    norms = np.sqrt(sum((part**2).sum((1, 2)) for part in joined))
    factors = _Loss(_weights(network)).factors(codes.numpy(), b"")
    found = np.sqrt(sum(((x * x).sum(1) * (s * s).sum(1)).numpy() for x, s in factors))
    yield Row(
        name="norms without gradients, largest error", value=_off(found, norms), unit="of a norm", target="<= 1e-5"
    )
    clip = float(np.median(norms))
    scale = np.minimum(1, clip / norms)[:, None, None]
    sums = [(part * scale).sum(0) for part in joined]
    apart = [mine.numpy() - other for mine, other in zip(clipped_sums(factors, clip), sums, strict=True)]
    error = np.sqrt(sum((part**2).sum() for part in apart) / sum((part**2).sum() for part in sums))
    yield Row(name="clipped sum, error in L2", value=float(error), unit="of its norm", target="<= 1e-5")


def _records() -> Dataset:
    rng = np.random.default_rng(1)
    domain = Domain(tuple(f"c{at}" for at in range(COLUMNS)), (LEVELS,) * COLUMNS)
    return Dataset.from_columns({name: rng.integers(0, LEVELS, RECORDS) for name in domain.attributes}, domain)


def _network() -> nn.Sequential:
    torch.manual_seed(0)
    sizes = (_WIDE, HIDDEN, HIDDEN, HIDDEN)
    layers: list[nn.Module] = []
    for narrow, wide in itertools.pairwise(sizes):
        layers += [nn.Linear(narrow, wide), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(HIDDEN, _WIDE))


def _one_hot(codes: Any) -> Any:
    places = codes + torch.arange(COLUMNS) * LEVELS
    return torch.zeros((len(codes), _WIDE)).scatter(1, places, 1.0)


def _losses(outputs: Any, codes: Any) -> Any:
    """Minus the log-likelihood of each record, (rows,)."""
    logs = torch.log_softmax(outputs.view(-1, COLUMNS, LEVELS), dim=2)
    return -logs.gather(2, codes[:, :, None])[:, :, 0].sum(1)


def _weights(network: nn.Sequential) -> Weights:
    """The same network's matrices, each with its biases as the last column."""
    linear = [each for each in network if isinstance(each, nn.Linear)]
    joined = {str(at): torch.cat([each.weight, each.bias[:, None]], dim=1).detach() for at, each in enumerate(linear)}
    return Weights(joined, torch.device("cpu"))


class _Loss(AbstractLoss):
    """The network's loss as the curator needs it."""

    def __init__(self, weights: Weights) -> None:
        self._weights = weights

    @property
    def shapes(self) -> tuple[tuple[int, int], ...]:
        """(outputs, inputs) of each layer."""
        return self._weights.shapes

    def factors(self, codes: npt.NDArray[np.int64], key: bytes) -> Factors:
        """Each layer's inputs and slopes; no randomness."""
        tape, records = Tape(self._weights, watching=True), torch.from_numpy(codes)
        features = _one_hot(records)
        for name in self._weights.names[:-1]:
            features = torch.relu(tape.apply(name, with_one(features)))
        return tape.factors(_losses(tape.apply(self._weights.names[-1], with_one(features)), records))

    def host(self, array: Any) -> npt.NDArray[np.floating]:
        """As numpy's."""
        return np.asarray(array.numpy())


def _ours(data: Dataset) -> Callable[[], None]:
    """One step through the curator, and Adam's."""
    steps = SampledGaussian(
        sampling_rate=Fraction(BATCH, RECORDS), steps=_ROUNDS * _STEPS, noise_multiplier=Fraction(1)
    )
    curator = make_curator(
        data,
        unit=PrivacyUnit(name="row"),
        rho=Fraction(0),
        noise=SystemNoise(),
        composition="pld",
        training=steps,
    )
    weights = _weights(_network())
    loss, matrices = _Loss(weights), list(weights.matrices.values())
    optimiser = torch.optim.Adam(matrices, lr=_RATE)

    def step() -> None:
        noisy = curator.gradient_sum(loss, clip=CLIP, rows=BATCH)
        for matrix, found in zip(matrices, noisy, strict=True):
            matrix.grad = torch.from_numpy((found / BATCH).astype(np.float32))
        optimiser.step()

    return step


def _ordinary(data: Dataset) -> Callable[[], None]:
    """One step of the mean loss of a batch, and Adam's."""
    network, records, rng = _network(), torch.from_numpy(data.codes(np.arange(RECORDS))), np.random.default_rng(2)
    optimiser = torch.optim.Adam(network.parameters(), lr=_RATE)

    def step() -> None:
        batch = records[rng.integers(0, RECORDS, BATCH)]
        optimiser.zero_grad()
        _losses(network(_one_hot(batch)), batch).mean().backward()
        optimiser.step()

    return step


class _Criterion:
    """The loss in the form that Opacus's wrapper asks for."""

    reduction = "mean"

    def __call__(self, outputs: Any, codes: Any) -> Any:
        losses = _losses(outputs, codes)
        return losses.mean() if self.reduction == "mean" else losses


def _opacus(data: Dataset, *, ghost: bool) -> Callable[[], None]:
    """Its step on a batch that is drawn as the ordinary one's: with every record's gradient, or by ghost clipping."""
    from opacus.grad_sample import GradSampleModule, GradSampleModuleFastGradientClipping
    from opacus.optimizers import DPOptimizer, DPOptimizerFastGradientClipping
    from opacus.utils.fast_gradient_clipping_utils import DPLossFastGradientClipping

    records, rng = torch.from_numpy(data.codes(np.arange(RECORDS))), np.random.default_rng(3)
    clip = float(CLIP)
    network: Any
    if ghost:
        network = GradSampleModuleFastGradientClipping(_network(), max_grad_norm=clip, use_ghost_clipping=True)
    else:
        network = GradSampleModule(_network())
    kind = DPOptimizerFastGradientClipping if ghost else DPOptimizer
    optimiser = kind(
        torch.optim.Adam(network.parameters(), lr=_RATE),
        noise_multiplier=1.0,
        max_grad_norm=clip,
        expected_batch_size=BATCH,
    )
    criterion: Any = _Criterion()
    if ghost:
        criterion = DPLossFastGradientClipping(network, optimiser, criterion)

    def step() -> None:
        batch = records[rng.integers(0, RECORDS, BATCH)]
        optimiser.zero_grad()
        criterion(network(_one_hot(batch)), batch).backward()
        optimiser.step()

    return step


def _seconds(step: Callable[[], None], steps: int) -> float:
    """CPU seconds of a step, the mean of some."""
    before = time.process_time()
    for _ in range(steps):
        step()
    return (time.process_time() - before) / steps


def _off(found: npt.NDArray[np.floating], true: npt.NDArray[np.floating]) -> float:
    return float(np.abs(found / true - 1).max())
