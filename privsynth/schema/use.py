"""Use: what a table is for, as its owner declares it: what is predicted, who is to be treated alike, what may explain more.

Must never be learned from a table: which groups are protected is a decision, and so is what explains a difference.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import final

from pydantic import BaseModel

from privsynth.schema.binning import FROZEN
from privsynth.schema.columns import CategoryColumn, LabelledColumn, ModelledColumn
from privsynth.schema.rule import Constant


@final
class Use(BaseModel):
    """What the table is used for; all of it is optional and public.

    `target` is the column that is predicted, `outcome` its labels that count as the outcome (where it has labels; empty: each
    label is a class of its own). `protected` are columns whose groups are to be treated alike; `legitimate` are columns that
    may explain a difference between them.
    """

    model_config = FROZEN
    target: str | None = None
    outcome: tuple[Constant, ...] = ()
    protected: tuple[str, ...] = ()
    legitimate: tuple[str, ...] = ()

    def problem(self, modelled: Mapping[str, ModelledColumn]) -> str | None:
        """What is wrong with it, and what to do; None when nothing is."""
        named = [*([self.target] if self.target is not None else []), *self.protected, *self.legitimate]
        for name in named:
            if name not in modelled:
                return f'names "{name}", which is no modelled column of the schema; correct the name'
        if len(set(named)) != len(named):
            return "names a column twice: target, protected and legitimate are different columns; name each once"
        for name in self.protected:
            if not isinstance(modelled[name], LabelledColumn):
                return (
                    f'protected: "{name}" has no labels, and so no groups; declare a column of bands, or leave it out'
                )
        if self.legitimate and not self.protected:
            return (
                "legitimate columns explain a difference between groups; declare protected columns, or leave them out"
            )
        return self._problem_of_outcome(modelled)

    def _problem_of_outcome(self, modelled: Mapping[str, ModelledColumn]) -> str | None:
        if not self.outcome:
            return None
        if self.target is None:
            return "outcome needs a target; declare target = ..."
        target, problem = modelled[self.target], None
        if not isinstance(target, LabelledColumn):
            problem = f'target "{self.target}" has no labels, so that outcome cannot name any; leave outcome out'
        elif isinstance(target, CategoryColumn) and target.buy:
            problem = f'outcome cannot name labels of "{self.target}" that are still to be bought'
        elif len(set(self.outcome)) != len(self.outcome):
            problem = "outcome names a label twice; name each once"
        elif unknown := [label for label in self.outcome if label not in target.labels]:
            problem = f'outcome: "{unknown[0]}" is no label of "{self.target}"; correct the label'
        elif len(self.outcome) == len(target.labels):
            problem = f'outcome names every label of "{self.target}", so that nothing is left to predict; name fewer'
        return problem
