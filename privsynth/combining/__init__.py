"""Combining: analyses of several synthetic copies, put together with honest intervals.

Must never need a private record: everything here follows from noisy answers.
"""

from privsynth.combining.copying import Copies
from privsynth.combining.regressing import Coefficient, Regression
from privsynth.combining.rules import Combined, combine

__all__ = ["Coefficient", "Combined", "Copies", "Regression", "combine"]
