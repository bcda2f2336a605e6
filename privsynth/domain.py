"""Domain: attribute names and their sizes after encoding, and what is publicly known of their levels; set algebra on names,
so that axes are never numbered elsewhere.

Must never be derived from records: it is a function of the schema alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias, final

import numpy as np
import numpy.typing as npt

from privsynth.errors import SchemaError

Clique: TypeAlias = tuple[str, ...]
"""Attribute names; order is significant for arrays (axis i is the i-th name)."""

_PAIR = 2


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class LevelFacts:
    """What is publicly known of one attribute's levels, whose codes are bins or labels, then atoms, then missing.

    The first `ordered` levels are in order; those after them stand alone. `parents` is a hierarchy, declared or of a code
    list: the parent (0..p-1, every one used) of every level; empty when there is none. `given` says that the attribute is known
    before a record is drawn: how it depends on other given ones is told elsewhere. Two attributes with the same `chain`, one of
    them given, hold the same of a record and of the one before it.
    Raises: SchemaError when a number is negative or a parent has no level.
    """

    ordered: int = 0
    parents: tuple[int, ...] = ()
    given: bool = False
    chain: str = ""

    def __post_init__(self) -> None:
        used = set(self.parents)
        if self.ordered < 0 or used != set(range(len(used))):
            raise SchemaError(
                "level facts: expected a number of ordered levels, and parents 0..p-1 that all have levels"
            )


_NOTHING = LevelFacts()


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Impossible:
    """The cells of one table that no row obeying the schema's rules can have.

    `clique` has two attributes or more, in the order of the schema's columns; it keeps that order in a domain that was
    reordered by `project`. `mask` is `np.packbits` of the table in C order, true where a cell is impossible.
    """

    clique: Clique
    mask: bytes

    def __post_init__(self) -> None:
        if len(set(self.clique)) != len(self.clique) or len(self.clique) < _PAIR:
            raise SchemaError(f"impossible cells: expected two different attributes or more, found {self.clique}")

    @classmethod
    def of(cls, clique: Clique, table: npt.NDArray[np.bool_]) -> Impossible:
        """Pack a table that is true where a cell is impossible; its axes are in the clique's order."""
        return cls(clique=clique, mask=np.packbits(table).tobytes())

    def table(self, domain: Domain) -> npt.NDArray[np.bool_]:
        """The cells, true where impossible. Shapes: `domain.shape(clique)`."""
        packed = np.frombuffer(self.mask, dtype=np.uint8)
        shape = domain.shape(self.clique)
        return np.unpackbits(packed, count=math.prod(shape)).view(np.bool_).reshape(shape)


@final
@dataclass(frozen=True, slots=True)
class Domain:
    """Attributes, the number of levels of each, what is known of those levels, and which cells no row can have.

    Shapes: `attributes`, `sizes` and `facts` have one entry an attribute, in the order of the columns; empty `facts` say that
        nothing is known of any, and facts that say nothing are stored so.
    Raises: SchemaError if a name repeats, a size is below one, the lengths differ, or facts do not fit the sizes.
    """

    attributes: Clique
    sizes: tuple[int, ...]
    facts: tuple[LevelFacts, ...] = ()
    impossible: tuple[Impossible, ...] = ()

    def __post_init__(self) -> None:
        if len(self.attributes) != len(self.sizes):
            raise SchemaError(f"domain: {len(self.attributes)} attributes but {len(self.sizes)} sizes")
        if len(set(self.attributes)) != len(self.attributes):
            raise SchemaError("domain: an attribute is named twice; rename one of them")
        for name, size in zip(self.attributes, self.sizes, strict=True):
            if size < 1:
                raise SchemaError(f'domain: attribute "{name}" has {size} levels; it needs at least one')
        if self.facts:
            self._check_facts()
        for one in self.impossible:
            if len(one.mask) != (self.cells(one.clique) + 7) // 8:
                raise SchemaError(f"domain: the impossible cells of {one.clique} are a table of another size")

    def _check_facts(self) -> None:
        if len(self.facts) != len(self.sizes):
            raise SchemaError(f"domain: {len(self.attributes)} attributes but facts of {len(self.facts)}")
        for name, size, fact in zip(self.attributes, self.sizes, self.facts, strict=True):
            if fact.ordered > size or len(fact.parents) not in (0, size):
                raise SchemaError(f'domain: the facts of attribute "{name}" are not of {size} levels')
        if all(fact == _NOTHING for fact in self.facts):
            object.__setattr__(self, "facts", ())

    @classmethod
    def from_mapping(cls, sizes: Mapping[str, int]) -> Domain:
        """Make a domain from {name: number of levels}."""
        return cls(tuple(sizes), tuple(int(size) for size in sizes.values()))

    def __contains__(self, attribute: object) -> bool:
        return attribute in self.attributes

    def __len__(self) -> int:
        return len(self.attributes)

    def index(self, attribute: str) -> int:
        """Position of an attribute; SchemaError when it is not in the domain."""
        try:
            return self.attributes.index(attribute)
        except ValueError:
            raise SchemaError(
                f'there is no attribute "{attribute}"; the attributes are {", ".join(self.attributes)}'
            ) from None

    def size(self, attribute: str) -> int:
        """Number of levels of one attribute."""
        return self.sizes[self.index(attribute)]

    def fact(self, attribute: str) -> LevelFacts:
        """What is known of one attribute's levels."""
        place = self.index(attribute)
        return self.facts[place] if self.facts else _NOTHING

    def shape(self, clique: Iterable[str]) -> tuple[int, ...]:
        """Sizes of the clique's attributes, in the clique's order."""
        return tuple(self.size(attribute) for attribute in clique)

    def cells(self, clique: Iterable[str]) -> int:
        """Number of cells of the clique's table; 1 for the empty clique."""
        return math.prod(self.shape(clique))

    def canonical(self, clique: Iterable[str]) -> Clique:
        """The same attributes in the domain's order."""
        return tuple(sorted(set(clique), key=self.index))

    def project(self, clique: Iterable[str]) -> Domain:
        """The domain of these attributes, in the given order; impossible cells stay where all their attributes do."""
        names = tuple(clique)
        if not self.facts and not self.impossible:
            return Domain(names, self.shape(names))
        inside = set(names)
        return Domain(
            names,
            self.shape(names),
            tuple(self.fact(name) for name in names),
            tuple(one for one in self.impossible if inside.issuperset(one.clique)),
        )

    def merge(self, other: Domain) -> Domain:
        """Union of two domains: this one's attributes first, with what either knows of them, this one first.

        Raises: SchemaError where sizes disagree.
        """
        for name in other.attributes:
            if name in self and self.size(name) != other.size(name):
                raise SchemaError(f'attribute "{name}" has two sizes: {self.size(name)} and {other.size(name)}')
        extra = tuple(name for name in other.attributes if name not in self)
        facts: tuple[LevelFacts, ...] = ()
        if self.facts or other.facts:
            known = {name: other.fact(name) for name in other.attributes}
            known |= {name: fact for name, fact in zip(self.attributes, self.facts, strict=False) if fact != _NOTHING}
            facts = tuple(known.get(name, _NOTHING) for name in self.attributes + extra)
        return Domain(
            self.attributes + extra,
            self.sizes + other.shape(extra),
            facts,
            tuple(dict.fromkeys(self.impossible + other.impossible)),
        )
