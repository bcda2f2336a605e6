"""Evaluating: what a synthetic table is good for, measured against the real one; internal from beginning to end."""

from privsynth.evaluating.evaluation import Evaluation
from privsynth.evaluating.running import evaluate

__all__ = ["Evaluation", "evaluate"]
