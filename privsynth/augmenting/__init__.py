"""Augmenting: synthetic rows of under-represented classes beside real ones, and whether they help.

Must never be released: everything here is computed on real records.
"""

from privsynth.augmenting.augmentation import Augmentation
from privsynth.augmenting.running import augment

__all__ = ["Augmentation", "augment"]
