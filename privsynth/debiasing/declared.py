"""Debias: the dependence that is to be broken, as somebody declares it.

Must never be guessed: which columns are protected, and what explains a difference, is a decision.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from privsynth.errors import SchemaError
from privsynth.schema import Schema
from privsynth.schema.columns import LabelledColumn


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Debias:
    """The outcome is to be independent of the protected columns together, given the legitimate ones.

    With no legitimate column it is to be independent of them altogether.
    """

    protected: tuple[str, ...]
    outcome: str
    legitimate: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """Protected, legitimate, outcome."""
        return (*self.protected, *self.legitimate, self.outcome)

    @classmethod
    def of(cls, schema: Schema, *, asked: Debias | bool) -> Debias:
        """What was asked for, or with True what the schema declares in [use], after a check.

        Raises: SchemaError when something is missing, or is no column that can be used so.
        """
        if isinstance(asked, bool):
            use = schema.use
            if use.target is None or not use.protected:
                raise SchemaError(
                    "debias=True takes what the schema declares in [use], which names no target or no protected column; "
                    'declare both, or pass Debias(protected=("COLUMN",), outcome="COLUMN", legitimate=())'
                )
            asked = cls(protected=use.protected, outcome=use.target, legitimate=use.legitimate)
        if not isinstance(asked, Debias):
            raise SchemaError(f"debias is True or a Debias(protected=, outcome=, legitimate=); found {asked!r}")
        return asked._checked(schema)

    def _checked(self, schema: Schema) -> Debias:
        if isinstance(self.protected, str) or isinstance(self.legitimate, str) or not self.protected:
            raise SchemaError('debias: protected and legitimate are tuples of columns; write ("COLUMN",)')
        if len(set(self.columns)) != len(self.columns):
            raise SchemaError("debias names a column twice: protected, legitimate and outcome are different columns")
        for name in self.columns:
            if name not in {column.name for column in schema.modelled}:
                raise SchemaError(f'debias names "{name}", which is no modelled column of the schema; correct the name')
        for name in self.protected:
            if not isinstance(schema.modelled_column(name), LabelledColumn):
                raise SchemaError(
                    f'debias: "{name}" has no labels, and so no groups to be treated alike; declare a column of bands'
                )
        domain = schema.domain()
        for name in (*self.protected, self.outcome):
            if domain.size(name) < 2:
                raise SchemaError(f'debias: "{name}" has one value only, so that nothing depends on it; leave it out')
        return self
