"""History ratio: do the noisy answers that were published with the release tell whose histories were counted?

Must never take the expected answers from who is a member: they are those of all targets.
"""

from __future__ import annotations

from typing import ClassVar, final

import numpy as np
from pydantic import Field

from privsynth import progress
from privsynth.attack import Need, NoisyTables, Outcome, SeenHistories, Tier, View
from privsynth.contributions import Contributions, history_likelihood_ratio
from privsynth.errors import AuditError
from privsynth.histories.viewing import view_datasets
from privsynth.measurement import measurements
from privsynth.membership import AbstractTopShare


@final
class HistoryRatio(AbstractTopShare):
    """The attacker calls the targets members with all of whose rows, in all tables, the noisy answers are likeliest.

    Each measured table of each view is used, with what the target's rows there add to it, weighted as they were measured;
    where there are more than `cells` cells in all, tables are drawn at random up to that. The attacker does not know which
    rows of a unit beyond the bound were used, and takes some at random.
    Source: Neyman, Pearson 1933; Homer et al. 2008.
    """

    name: ClassVar[str] = "history_ratio"
    threat: ClassVar[str] = (
        "that the noisy answers published with the release tell whose history is in the training data"
    )
    tier: ClassVar[Tier] = "transcript"
    needs: ClassVar[Need] = "noisy answers about histories"

    cells: int = Field(default=20_000, ge=1)

    def attack(self, view: View, *, rng: np.random.Generator) -> tuple[Outcome, ...]:
        """Weigh every target's rows in the measured tables."""
        if view.histories is None or view.histories.noisy is None:
            raise AuditError("there are no noisy answers about histories; there is nothing to attack")
        score = history_likelihood_ratio(
            self._tables(view.histories, view.histories.noisy, rng),
            targets=view.targets.rows,
            report=lambda done, total: progress.report("audit: history ratio", done, total),
        )
        return self.called("history ratio", score)

    def _tables(self, seen: SeenHistories, noisy: NoisyTables, rng: np.random.Generator) -> list[Contributions]:
        encoded = view_datasets(seen.targets, rng.bytes(32), noisy.used)
        found = [(one, table) for table, answers in noisy.transcripts.items() for one in measurements(answers)]
        if not found:
            raise AuditError("the noisy answers hold no table; there is nothing to attack")
        tables: list[Contributions] = []
        for number in rng.permutation(len(found)).tolist():
            measured, table = found[number]
            tables.append(Contributions.of(measured, encoded[table], seen.targets.units))
            if sum(len(one.count) for one in tables) > self.cells:
                break
        return tables


ATTACK = HistoryRatio
