"""Compiled: the innermost loop of counting, by numba where the extra `fast` is installed.

Must never give other integers than numpy does, nor be needed for anything.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Increment: TypeAlias = Callable[[npt.NDArray[np.unsignedinteger], npt.NDArray[np.int64]], None]
"""Adds one to a flat table at each of these cells; cells outside the table are the caller's fault and not checked."""


@cache
def increment() -> Increment | None:
    """The compiled loop, kept on disk between processes; None where numba is absent, broken or may not write its cache."""
    if find_spec("numba") is None:
        return None
    try:
        from numba import njit

        compiled: Increment = njit(cache=True)(_increment)
    except (ImportError, RuntimeError):
        return None
    return compiled


def _increment(cells: npt.NDArray[np.unsignedinteger], table: npt.NDArray[np.int64]) -> None:
    for row in range(cells.size):
        table[cells[row]] += 1
