"""Dealing: a mixture's records with less error than independent draws, as integers that add up.

Must never let two attributes share a rounding: within a class each attribute is dealt in a fresh random order.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from privsynth.latent.layout import Layout
from privsynth.latent.mixture import Mixture

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Codes = npt.NDArray[np.unsignedinteger]


def class_counts(weights: Floats, n: int, rng: np.random.Generator) -> Ints:
    """Split n rows over classes or levels in proportion to weights: each rounded up or down, without bias.

    Source: systematic sampling (Madow 1949).
    """
    ends = np.cumsum(weights) / weights.sum() * n
    marks = np.floor(ends + rng.random()).astype(np.int64)
    marks[ends >= ends[-1]] = n
    return np.asarray(np.diff(np.minimum(marks, n), prepend=0))


def deal(mixture: Mixture, rows: Ints, rng: np.random.Generator) -> list[Codes]:
    """Groups of `rows[k]` records of each class k, class after class. Shapes: (sum of rows,), an attribute each."""
    counts = _cell_counts(mixture, rows, rng)
    ends = np.cumsum(rows)
    dealt = []
    for attribute, size in enumerate(mixture.layout.sizes):
        block = counts[mixture.layout.part(attribute)]
        groups = np.arange(size, dtype=np.min_scalar_type(size - 1))
        codes = np.repeat(np.tile(groups, len(rows)), block.T.reshape(-1))
        for start, end in zip((ends - rows).tolist(), ends.tolist(), strict=True):
            rng.shuffle(codes[start:end])
        dealt.append(codes)
    return dealt


def draw_independently(mixture: Mixture, n: int, rng: np.random.Generator) -> list[Codes]:
    """Groups of n independent records, with all the roughness that chance gives them. Shapes: (n,), an attribute each."""
    rows = rng.multinomial(n, mixture.weights / mixture.weights.sum())
    ends = np.cumsum(rows)
    drawn = []
    for attribute, size in enumerate(mixture.layout.sizes):
        up_to = np.cumsum(mixture.given[mixture.layout.part(attribute)], axis=0)
        uniform = rng.random(n)
        codes = np.empty(n, dtype=np.min_scalar_type(size - 1))
        for which in np.flatnonzero(rows).tolist():
            part = slice(ends[which] - rows[which], ends[which])
            codes[part] = np.minimum(np.searchsorted(up_to[:, which], uniform[part], side="right"), size - 1)
        drawn.append(codes)
    return drawn


def _cell_counts(mixture: Mixture, rows: Ints, rng: np.random.Generator) -> Ints:
    """How many records of each class lie in each group: every class and attribute adds up, and groups do within about one.

    Classes are rounded one after the other, in random order; what a class's rounding leaves over is carried to the next
    (error diffusion), so that errors do not add up over classes. Shapes: (groups, classes).
    """
    layout = mixture.layout
    counts = np.zeros((layout.total, len(rows)), dtype=np.int64)
    carried = rng.random(layout.total) - 0.5
    for which in rng.permutation(np.flatnonzero(rows)).tolist():
        given = mixture.given[:, which]
        wanted = rows[which] * given + carried
        counts[:, which] = _rounded(np.maximum(wanted, 0.0), given, int(rows[which]), layout)
        carried = np.where(given > 0, wanted - counts[:, which], carried)
    return counts


def _rounded(wanted: Floats, given: Floats, rows: int, layout: Layout) -> Ints:
    """Whole numbers near these, `rows` in each attribute, none where none can be: largest remainders first."""
    floor = np.floor(wanted).astype(np.int64)
    lacking = rows - np.add.reduceat(floor, layout.starts)
    order = np.lexsort((np.where(given > 0, floor - wanted, 1.0), layout.owner))
    rank = np.empty(layout.total, dtype=np.int64)
    rank[order] = np.arange(layout.total) - layout.starts[layout.owner]
    counts = floor + (rank < lacking[layout.owner])
    off = (np.add.reduceat(counts, layout.starts) != rows)[layout.owner] | ((counts > 0) & (given <= 0))
    for attribute in np.unique(layout.owner[off]).tolist():
        part = layout.part(attribute)
        ends = np.round(np.cumsum(given[part]) / given[part].sum() * rows).astype(np.int64)
        counts[part] = np.diff(ends, prepend=0)
    return counts


def split_groups(groups: Codes, group_of: Ints, within: Floats, rng: np.random.Generator) -> Codes:
    """Levels for rows whose groups are known: each group's rows are shared out by `within`, in random order."""
    levels = np.argsort(group_of, kind="stable").astype(np.min_scalar_type(len(group_of) - 1))
    sizes = np.bincount(group_of)
    first = np.cumsum(sizes) - sizes
    out = levels[first][groups]
    for group in np.flatnonzero(sizes > 1).tolist():
        rows = np.flatnonzero(groups == group)
        members = levels[first[group] : first[group] + sizes[group]]
        if rows.size:
            dealt = np.repeat(members, class_counts(within[members], rows.size, rng))
            rng.shuffle(dealt)
            out[rows] = dealt
    return np.asarray(out)
