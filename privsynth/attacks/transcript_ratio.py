"""Transcript ratio: do the noisy answers that were published with the release tell who was counted?

Must never take the expected answers from who is a member: they are those of all targets.
"""

from __future__ import annotations

from typing import ClassVar, final

import numpy as np
from pydantic import Field

from privsynth import progress
from privsynth.attack import Need, Outcome, Tier, View
from privsynth.encoding import encode_public
from privsynth.errors import AuditError
from privsynth.measurement import measurements
from privsynth.membership import AbstractTopShare, Table, log_likelihood_ratio, measured_cells, measured_rows


@final
class TranscriptRatio(AbstractTopShare):
    """The attacker calls the targets members with whom among those measured the noisy tables are likeliest.

    Every measured table is used, whatever became of it in the release; where there are more than `tables`, that many at
    random. Choices and scores of errors are not used.
    Source: Neyman, Pearson 1933; Homer et al. 2008.
    """

    name: ClassVar[str] = "transcript_ratio"
    threat: ClassVar[str] = "that the noisy answers published with the release tell who is in the training data"
    tier: ClassVar[Tier] = "transcript"
    needs: ClassVar[Need] = "the noisy answers"

    tables: int = Field(default=400, ge=1, le=10_000)

    def attack(self, view: View, *, rng: np.random.Generator) -> tuple[Outcome, ...]:
        """Weigh every target's cells in the measured tables."""
        found = measurements(view.transcript or ())
        if not found:
            raise AuditError("the noisy answers hold no table; there is nothing to attack")
        encoded = encode_public(view.targets)
        chosen = np.sort(rng.permutation(len(found))[: self.tables])
        tables = []
        for number in chosen:
            cell, values = measured_cells(found[number], encoded), found[number].values.reshape(-1)
            tables.append(Table(cell=cell, count=values[cell].astype(np.float64), variance=found[number].variance))
        rows = measured_rows(found)
        score = log_likelihood_ratio(
            tables,
            rows=rows,
            spread=1 + rows / view.targets.rows,
            report=lambda done, total: progress.report("audit: transcript ratio", done, total),
        )
        return self.called("transcript ratio", score)


ATTACK = TranscriptRatio
