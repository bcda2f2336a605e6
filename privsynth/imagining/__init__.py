"""Imagined tables: made from a rules file, or drawn from a model as a scenario file asks."""

from privsynth.imagining.effects import Effects, scenario_effects
from privsynth.imagining.scenario import Scenario
from privsynth.imagining.tables import imagine, write

__all__ = ["Effects", "Scenario", "imagine", "scenario_effects", "write"]
