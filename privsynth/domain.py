"""Domain: attribute names and their sizes after encoding; set algebra on names, so that axes are never numbered elsewhere.

Must never be derived from records: it is a function of the schema alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias, final

from privsynth.errors import SchemaError

Clique: TypeAlias = tuple[str, ...]
"""Attribute names; order is significant for arrays (axis i is the i-th name)."""


@final
@dataclass(frozen=True, slots=True)
class Domain:
    """Attributes and the number of levels of each.

    Shapes: `attributes` and `sizes` have one entry an attribute, in the order of the columns.
    Raises: SchemaError if a name repeats, a size is below one, or the lengths differ.
    """

    attributes: Clique
    sizes: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(self.attributes) != len(self.sizes):
            raise SchemaError(f"domain: {len(self.attributes)} attributes but {len(self.sizes)} sizes")
        if len(set(self.attributes)) != len(self.attributes):
            raise SchemaError("domain: an attribute is named twice; rename one of them")
        for name, size in zip(self.attributes, self.sizes, strict=True):
            if size < 1:
                raise SchemaError(f'domain: attribute "{name}" has {size} levels; it needs at least one')

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
        """The domain of these attributes, in the given order."""
        names = tuple(clique)
        return Domain(names, self.shape(names))

    def marginalize(self, drop: Iterable[str]) -> Domain:
        """The domain without these attributes."""
        gone = set(drop)
        return self.project(name for name in self.attributes if name not in gone)

    def merge(self, other: Domain) -> Domain:
        """Union of two domains: this one's attributes first. Raises SchemaError where sizes disagree."""
        for name in other.attributes:
            if name in self and self.size(name) != other.size(name):
                raise SchemaError(f'attribute "{name}" has two sizes: {self.size(name)} and {other.size(name)}')
        extra = tuple(name for name in other.attributes if name not in self)
        return Domain(self.attributes + extra, self.sizes + other.shape(extra))
