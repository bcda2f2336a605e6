"""Structural zeros: the cells that a domain's schema rules out, as tables to multiply by and as a fast test of drawn rows.

Must never learn a zero from records: that a combination was not seen says nothing of whether it is possible.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Final, final

import numpy as np
import numpy.typing as npt

from privsynth.dataset import Codes
from privsynth.domain import Clique, Domain
from privsynth.errors import SchemaError

_BLOCK_ROWS: Final = 32_768
"""Rows tested at a time, so that their codes stay in cache for every table."""

_JOINED_CELLS: Final = 4_096
"""Tables are joined up to so many cells: one look-up then answers for several rules."""


@final
class StructuralZeros:
    """Which cells of a domain's tables, and which rows, its schema's rules leave possible.

    Shapes: `tables` holds one table a clique of `domain.impossible`, `domain.shape(clique)`, true where a cell is possible.
    """

    __slots__ = ("_joined", "domain", "tables")

    def __init__(self, domain: Domain) -> None:
        self.domain = domain
        self.tables: Mapping[Clique, npt.NDArray[np.bool_]] = MappingProxyType(_tables(domain))
        joined = _joined(domain, list(self.tables))
        self._joined = [(tuple(map(domain.index, clique)), self.possible(clique).ravel()) for clique in joined]

    def possible(self, clique: Iterable[str]) -> npt.NDArray[np.bool_]:
        """The cells of any table that no table inside it rules out. Shapes: `domain.shape(clique)`."""
        names = tuple(clique)
        cells = np.ones(self.domain.shape(names), dtype=np.bool_)
        for inner, table in self.tables.items():
            if set(inner) <= set(names):
                order = sorted(range(len(inner)), key=lambda axis: names.index(inner[axis]))
                shape = [size if name in inner else 1 for name, size in zip(names, cells.shape, strict=True)]
                cells &= table.transpose(order).reshape(shape)
        return cells

    def allowed(self, columns: Sequence[Codes]) -> npt.NDArray[np.bool_]:
        """Which rows hit no impossible cell; `columns` are the codes of every attribute, in the domain's order.

        Shapes: (rows,). Raises: SchemaError when a column is absent, or holds a code outside the domain.
        """
        if len(columns) != len(self.domain):
            raise SchemaError(f"structural zeros: expected {len(self.domain)} columns, found {len(columns)}")
        for axis in sorted({axis for axes, _ in self._joined for axis in axes}):
            codes, size = columns[axis], self.domain.sizes[axis]
            if codes.size and not 0 <= int(codes.min()) <= int(codes.max()) < size:
                name = self.domain.attributes[axis]
                raise SchemaError(f'structural zeros: column "{name}" holds a code outside its {size} levels')
        rows = len(columns[0]) if columns else 0
        found = np.ones(rows, dtype=np.bool_)
        for start in range(0, rows, _BLOCK_ROWS):
            self._test([column[start : start + _BLOCK_ROWS] for column in columns], found[start : start + _BLOCK_ROWS])
        return found

    def _test(self, block: Sequence[Codes], found: npt.NDArray[np.bool_]) -> None:
        """Clear the rows of one block that hit an impossible cell."""
        cells = np.empty(found.size, dtype=np.intp)
        index = np.empty(found.size, dtype=np.uint32)
        for axes, table in self._joined:
            np.copyto(index, block[axes[0]], casting="unsafe")
            for axis in axes[1:]:
                np.multiply(index, np.uint32(self.domain.sizes[axis]), out=index)
                np.add(index, block[axis], out=index, casting="unsafe")
            np.copyto(cells, index)
            found &= table.take(cells, mode="clip")


def _tables(domain: Domain) -> dict[Clique, npt.NDArray[np.bool_]]:
    found: dict[Clique, npt.NDArray[np.bool_]] = {}
    for one in domain.impossible:
        cells = ~one.table(domain)
        found[one.clique] = found[one.clique] & cells if one.clique in found else cells
    return found


def _joined(domain: Domain, cliques: Sequence[Clique]) -> list[Clique]:
    """Cliques that between them hold every given one, each joined while it stays small and saves the most look-ups."""
    waiting = sorted(cliques, key=domain.cells, reverse=True)
    found: list[Clique] = []
    while waiting:
        joined = set(waiting.pop(0))
        while True:
            fitting = [clique for clique in waiting if domain.cells(joined | set(clique)) <= _JOINED_CELLS]
            if not fitting:
                break
            joined |= set(min(fitting, key=lambda clique: domain.cells(joined | set(clique))))
            waiting = [clique for clique in waiting if not joined.issuperset(clique)]
        found.append(domain.canonical(joined))
    return found
