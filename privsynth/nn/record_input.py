"""Records as a network's input: a place for every level of every column, one where the record has it.

Must never look at how often a level is taken: the layout is a function of the domain's sizes alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias, final

import numpy as np
import numpy.typing as npt
import torch

Tensor: TypeAlias = Any


@final
class RecordLayout:
    """Where each column's levels lie among the inputs; columns in the order in which networks take them, fewest levels first.

    Attributes: `order[t]` is the column that comes t-th; `sizes[t]` its levels; its places are starts[t] .. starts[t + 1] - 1.
    """

    def __init__(self, sizes: Sequence[int]) -> None:
        self.order: tuple[int, ...] = tuple(sorted(range(len(sizes)), key=lambda column: sizes[column]))
        self.sizes: tuple[int, ...] = tuple(int(sizes[column]) for column in self.order)
        self.starts: tuple[int, ...] = (0, *np.cumsum(self.sizes, dtype=np.int64).tolist())

    @property
    def total(self) -> int:
        """Number of places."""
        return self.starts[-1]

    def ordered(self, codes: npt.NDArray[np.integer], device: Any) -> Tensor:
        """Codes (rows, attributes) in the domain's order as a tensor (rows, attributes) in the order of this layout."""
        taken = np.ascontiguousarray(codes[:, list(self.order)], dtype=np.int64)
        return torch.from_numpy(taken).to(device)

    def places(self, ordered: Tensor) -> Tensor:
        """One where a record has a level, else zero. Shapes: (rows, attributes) -> (rows, total), single precision."""
        found = torch.zeros((len(ordered), self.total), device=ordered.device)
        if self.order:
            found.scatter_(1, ordered + torch.tensor(self.starts[:-1], device=ordered.device), 1.0)
        return found

    def codes(self, ordered: Tensor) -> npt.NDArray[np.int64]:
        """The inverse of `ordered`: codes (rows, attributes) in the domain's order."""
        found = np.empty(tuple(ordered.shape), dtype=np.int64)
        found[:, list(self.order)] = ordered.cpu().numpy()
        return found
