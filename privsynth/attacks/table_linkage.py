"""Table linkage: given a person's rows in one table, does the release lead to the person's rows in the others?

Must never count a link that chance explains: how often controls' tables are linked is what chance explains.
"""

from __future__ import annotations

from typing import ClassVar, final

import numpy as np
from pydantic import Field

from privsynth import progress
from privsynth.attack import AbstractAttack, Need, Outcome, Tier, View
from privsynth.errors import AuditError
from privsynth.histories.profiling import summaries
from privsynth.neighbours import joined


@final
class TableLinkage(AbstractAttack):
    """The attacker holds what one table says of a person, and all the other tables without names.

    What a table says is its part of the profile. A target is linked when, for one of the tables, some released person is
    among the `neighbours` nearest to the target both in that table and in all the others. Where the units alone have
    columns there is nothing to link, and nobody is.
    Source: Article 29 Working Party, opinion 05/2014 (linkability), with tables for files.
    """

    name: ClassVar[str] = "table_linkage"
    threat: ClassVar[str] = "that the release joins a person's rows in one table to those in another"
    tier: ClassVar[Tier] = "release and auxiliary data"
    needs: ClassVar[Need] = "histories"

    neighbours: int = Field(default=5, ge=1, le=1000)

    def attack(self, view: View, *, rng: np.random.Generator) -> tuple[Outcome, ...]:  # noqa: ARG002
        """Link each table to the rest."""
        if view.histories is None:
            raise AuditError("tables are linked in histories; there is nothing to attack")
        columns: dict[str, list[str]] = {}
        for one in summaries(view.histories.synthetic.schema):
            columns.setdefault(one.table, []).append(one.name)
        linked = np.zeros(view.targets.rows, dtype=bool)
        names = list(columns) if len(columns) > 1 else []
        for number, table in enumerate(names):
            progress.report("audit: table linkage", number, len(names))
            rest = [name for other in names if other != table for name in columns[other]]
            linked |= joined(view.synthetic, view.targets, columns[table], rest, self.neighbours)
        attempted = np.ones(view.targets.rows, dtype=bool)
        return (Outcome(label="table linkage", success=linked, attempted=attempted, baseline=0.0),)


ATTACK = TableLinkage
