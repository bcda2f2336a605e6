"""Answering: questions about counts, shares, means and correlations, with intervals, from public numbers alone."""

from privsynth.answering.answers import Answer, answer
from privsynth.answering.evidence import Evidence
from privsynth.answering.table_errors import ExpectedError, table_error

__all__ = ["Answer", "Evidence", "ExpectedError", "answer", "table_error"]
