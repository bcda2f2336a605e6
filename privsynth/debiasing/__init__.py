"""Debiasing: rows in which an outcome no longer depends on protected columns, given what may legitimately explain it."""

from privsynth.debiasing.costs import DebiasingCost, cost_of
from privsynth.debiasing.declared import Debias
from privsynth.debiasing.drawing import draw_debiased
from privsynth.debiasing.tables import Debiased, debiased

__all__ = ["Debias", "Debiased", "DebiasingCost", "cost_of", "debiased", "draw_debiased"]
