"""The loop of gradient steps: what every deep generator does with a curator's noisy sums, kept so that a killed fit goes on.

Must never take a step that the plan does not hold, look at records, or decide when to stop by what it sees.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch

from privsynth import progress
from privsynth.errors import MechanismError
from privsynth.nn.device import single_precision
from privsynth.nn.layers import AbstractMemory, told_loss
from privsynth.privacy.gradient import AbstractLoss

if TYPE_CHECKING:
    from privsynth.privacy.curator import Curator

Tensor: TypeAlias = Any


def gradient_steps(
    curator: Curator, memory: Mapping[str, AbstractMemory], *, told: Callable[[], str]
) -> Iterator[tuple[int, int]]:
    """(step, steps in all), for each gradient step of the plan that is left; take it inside the loop, with `noisy_gradients`.

    What `memory` holds is loaded from where a killed fit was kept, and kept whenever the steps that were claimed are used up.
    `told` is shown with the progress: it must be made of noisy answers alone.
    """
    plan = curator.training
    if plan is None:
        raise MechanismError("this fit's budget has no part for gradient steps")
    spent, kept = curator.training_state()
    if kept is not None:
        for part, each in memory.items():
            own = {name.removeprefix(f"{part}:"): array for name, array in kept.items() if name.startswith(f"{part}:")}
            each.load(own)

    def note() -> str:
        words = (told().strip(", "), progress.on_training(None, curator.epsilon_so_far))
        return ", ".join(each for each in words if each)

    for step in range(spent, plan.steps):
        yield step, plan.steps
        progress.report("gradients", step + 1, plan.steps, note)
        if curator.claim_used:
            curator.keep(
                {f"{part}:{name}": array for part, each in memory.items() for name, array in each.state().items()}
            )


def noisy_gradients(
    curator: Curator, loss: AbstractLoss, *, clip: Fraction, rows: float, largest: float, device: Any
) -> tuple[list[Tensor], float]:
    """One gradient step's mean gradients, and the noisy mean loss: for losses whose last matrix is `with_told_loss`'s.

    Args: `rows` is the public number of rows that a step is expected to hold. Privacy: spends one step of the plan.
    """
    with single_precision():
        found = curator.gradient_sum(loss, clip=clip, rows=rows)
    mean = told_loss(float(found[-1][0, 0]), clip=float(clip), largest=largest, rows=rows)
    return on_device([each / rows for each in found[:-1]], device), mean


def on_device(arrays: Sequence[npt.NDArray[np.floating]], device: Any) -> list[Tensor]:
    """The arrays as single precision tensors."""
    return [torch.from_numpy(np.asarray(each, dtype=np.float32)).to(device) for each in arrays]
