"""One line of a benchmark's result, and how CPU time is taken."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A measured figure with the target it has to meet: "<= 15", ">= 5", or none where it is for reference."""

    name: str
    value: float
    unit: str
    target: str | None = None

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None without one."""
        if self.target is None:
            return None
        sign, limit = self.target.split()
        return self.value <= float(limit) if sign == "<=" else self.value >= float(limit)

    def to_json(self) -> dict[str, Any]:
        """name, value, unit, target, met."""
        return {**asdict(self), "value": float(f"{self.value:.4g}"), "met": self.met}


def cpu_seconds(work: Callable[[], object], repeat: int = 1) -> float:
    """The least CPU time (user and system, all threads of this process) of some runs of `work`."""
    best = float("inf")
    for _ in range(repeat):
        before = time.process_time()
        work()
        best = min(best, time.process_time() - before)
    return best
