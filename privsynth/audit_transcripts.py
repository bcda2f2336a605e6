"""Noisy answers for the audit's controls: what a transcript would say, without noise, of a table that the audit made.

Must never be published: its counts are exact, and of real people.
"""

from __future__ import annotations

from privsynth.encoding import encode_public
from privsynth.measurement import Entry, ErrorScores, Measurement, Transcript
from privsynth.privacy.query import Marginals
from privsynth.records import Records


def recounted(transcript: Transcript | None, records: Records) -> Transcript | None:
    """The same questions with the exact counts of these records for answers; None for no transcript.

    What was chosen and bought stays as it was: it says which questions were asked. Scores of errors are left out, because
    they measure against tables that the transcript does not hold.
    Privacy: exact counts; internal to an audit's controls.
    """
    if transcript is None:
        return None
    counted = encode_public(records)

    def answered(entry: Entry) -> Entry:
        if not isinstance(entry, Measurement):
            return entry
        query = Marginals(cliques=(entry.clique,), groups=entry.groups)
        (values,) = query.answer(counted)
        return Measurement(clique=entry.clique, values=values, event=entry.event, groups=entry.groups)

    return tuple(answered(entry) for entry in transcript if not isinstance(entry, ErrorScores))
