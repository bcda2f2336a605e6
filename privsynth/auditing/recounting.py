"""Noisy answers for the audit's controls: what a transcript would say, without noise, of a table that the audit made.

Must never be published: its counts are exact, and of real people.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from privsynth.dataset import Dataset
from privsynth.domain import Clique
from privsynth.encoding import encode_public
from privsynth.measurement import Entry, ErrorScores, Measurement, Transcript, measurements
from privsynth.privacy.query import Marginals
from privsynth.records import Records

_Question: TypeAlias = tuple[Clique, tuple[tuple[str, tuple[int, ...]], ...]]
"""What a measurement counts: its clique, and the groups of those attributes that have any."""


def recounted(transcript: Transcript | None, records: Records) -> Transcript | None:
    """The same questions with the exact counts of these records for answers; None for no transcript.

    What was chosen and bought stays as it was: it says which questions were asked. Scores of errors are left out, because
    they measure against tables that the transcript does not hold.
    Privacy: exact counts; internal to an audit's controls.
    """
    return None if transcript is None else recounted_in(transcript, encode_public(records))


def recounted_in(transcript: Transcript, counted: Dataset) -> Transcript:
    """The same questions with the exact answers for encoded records, weighted where these are (see `recounted`)."""
    answers: dict[_Question, npt.NDArray[np.int64]] = {}
    for groups in dict.fromkeys(_question(entry)[1] for entry in measurements(transcript)):
        asked = [entry for entry in measurements(transcript) if _question(entry)[1] == groups]
        query = Marginals(cliques=tuple(dict.fromkeys(entry.clique for entry in asked)), groups=dict(groups))
        answers |= zip(((clique, groups) for clique in query.cliques), query.answer(counted), strict=True)

    def answered(entry: Entry) -> Entry:
        if not isinstance(entry, Measurement):
            return entry
        return replace(entry, values=answers[_question(entry)])

    return tuple(answered(entry) for entry in transcript if not isinstance(entry, ErrorScores))


def _question(measurement: Measurement) -> _Question:
    return measurement.clique, tuple(sorted(measurement.groups.items()))
