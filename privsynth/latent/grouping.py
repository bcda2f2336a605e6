"""Grouping: which levels of an attribute are measured together, because alone they would drown in noise.

Must never look at anything but noisy counts and the schema's facts.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from privsynth.domain import LevelFacts

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def merge_rare(counts: Floats, threshold: float, fact: LevelFacts) -> Ints:
    """The group of each level; a level of at least `threshold` noisy records is a group of its own.

    Ordered levels are merged with the ones that follow until together they reach the threshold; a last remainder joins the
    group before it. Other rare levels are merged within their parent where the schema declares one, and what is still rare
    then into one group. Never fewer than two groups (of two levels or more), so that an attribute keeps something to depend on.
    Shapes: (levels,) -> (levels,), numbered from 0 in the order of the groups' first levels.
    """
    size = len(counts)
    label = np.arange(size)
    label[: fact.ordered] = _runs(counts[: fact.ordered], threshold)
    parents = np.array(fact.parents or (0,) * size)
    loose = np.arange(fact.ordered, size)
    rare = loose[counts[loose] < threshold]
    eldest = np.full(size, size)
    np.minimum.at(eldest, parents[rare], rare)
    label[rare] = eldest[parents[rare]]
    small = rare[np.bincount(label, weights=counts)[label[rare]] < threshold]
    label[small] = small.min(initial=size)
    group_of = _numbered(label)
    return group_of if group_of.max() > 0 else _numbered(_halves(counts, fact))


def _runs(counts: Floats, threshold: float) -> Ints:
    """The first level of the run that each ordered level belongs to."""
    label = np.zeros(len(counts), dtype=np.int64)
    before = start = 0
    gathered = 0.0
    for level, count in enumerate(counts.tolist()):
        label[level] = start
        gathered += count
        if gathered >= threshold:
            before, start, gathered = start, level + 1, 0.0
    if len(counts) > start > 0:
        label[start:] = before
    return label


def _halves(counts: Floats, fact: LevelFacts) -> Ints:
    """Two groups of about equal weight: an ordered attribute's lower and upper half, or the commonest level and the rest."""
    if fact.ordered < len(counts):
        return np.asarray(np.arange(len(counts)) != int(np.argmax(counts)), dtype=np.int64)
    weight = np.cumsum(np.maximum(counts, 0))
    cut = int(np.searchsorted(weight, weight[-1] / 2)) + 1
    return np.asarray(np.arange(len(counts)) >= min(max(cut, 1), len(counts) - 1), dtype=np.int64)


def _numbered(label: Ints) -> Ints:
    """Groups numbered from 0 in the order of their first levels."""
    _, first, inverse = np.unique(label, return_index=True, return_inverse=True)
    return np.asarray(np.argsort(np.argsort(first))[inverse], dtype=np.int64)
