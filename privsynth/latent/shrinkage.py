"""Shrinkage: noisy pair tables, seen as low-rank matrices around a reference, with the noise's part of them taken out.

Must never see anything but noisy tables and how large their noise is.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from privsynth.latent.layout import Layout
from privsynth.latent.observed import Observed

Floats = npt.NDArray[np.float64]

_SWEEPS = 15
_TINY = 1e-6
"""The least count a cell keeps before it is fitted to its margins, so that these can always be met."""


def denoise(seen: Observed, reference: Floats, margins: Floats) -> Floats:
    """Estimate all pair tables: the reference plus what stands out of the noise around it, fitted to the margins.

    An attribute's residuals against all others share one column space: their eigenvectors above the Marchenko-Pastur edge,
    pooled over all its pairs. Inside those spaces each pair's singular values are shrunk to what minimises squared error.
    Shapes: `reference` and what is returned are (groups, groups) counts, `margins` (groups,). Impossible cells are zero.
    Source: Gavish, Donoho 2017 (optimal shrinkage of singular values), Frobenius loss, for a known noise level.
    """
    assert seen.pairs is not None
    layout = seen.layout
    residual = {(i, j): _centred((seen.pairs - reference)[layout.part(i), layout.part(j)]) for i, j in layout.pairs()}
    spaces = [_column_space(seen, residual, attribute) for attribute in range(len(layout))]
    parts = layout.split(margins)
    out = np.zeros_like(reference)
    for i, j in layout.pairs():
        table = reference[layout.part(i), layout.part(j)]
        if spaces[i].size and spaces[j].size:
            core = shrink_singular_values(spaces[i].T @ residual[i, j] @ spaces[j], float(seen.sigma[i, j]))
            table = table + spaces[i] @ core @ spaces[j].T
        allowed = seen.possible[layout.part(i), layout.part(j)]
        fitted = rake(np.where(allowed, np.maximum(table, _TINY), 0.0), parts[i], parts[j])
        out[layout.part(i), layout.part(j)] = fitted
        out[layout.part(j), layout.part(i)] = fitted.T
    return out


def _centred(table: Floats) -> Floats:
    return np.asarray(table - table.mean(axis=0) - table.mean(axis=1, keepdims=True) + table.mean())


def _column_space(seen: Observed, residual: dict[tuple[int, int], Floats], attribute: int) -> Floats:
    """Directions among an attribute's groups that carry more than noise. Shapes: (groups of it, directions)."""
    layout: Layout = seen.layout
    others = [other for other in range(len(layout)) if other != attribute]
    scaled = [
        (residual[attribute, other] if attribute < other else residual[other, attribute].T)
        / float(seen.sigma[attribute, other])
        for other in others
    ]
    columns = max(1, sum(layout.sizes[other] - 1 for other in others))
    stacked = np.concatenate(scaled, axis=1)
    strength, directions = np.linalg.eigh(stacked @ stacked.T)
    edge = (1 + math.sqrt((layout.sizes[attribute] - 1) / columns)) ** 2
    return np.asarray(directions[:, strength / columns > edge])


def shrink_singular_values(noisy: Floats, sigma: float) -> Floats:
    """The best estimate, in squared error, that scales the singular values of a low-rank matrix in noise of known size."""
    left, values, right = np.linalg.svd(noisy, full_matrices=False)
    longer, shorter = max(noisy.shape), min(noisy.shape)
    aspect, scale = shorter / longer, sigma * math.sqrt(longer)
    height = values / scale
    kept = height > 1 + math.sqrt(aspect)
    shrunk = np.sqrt(np.maximum((height**2 - aspect - 1) ** 2 - 4 * aspect, 0)) / np.where(kept, height, 1.0)
    return np.asarray((left * np.where(kept, shrunk * scale, 0.0)) @ right)


def rake(table: Floats, rows: Floats, columns: Floats) -> Floats:
    """Fit a non-negative table to its margins by iterative proportional fitting."""
    for _ in range(_SWEEPS):
        table = table * (rows / np.maximum(table.sum(axis=1), 1e-200))[:, None]
        table = table * (columns / np.maximum(table.sum(axis=0), 1e-200))[None, :]
    return table


def shrink_towards(noisy: Floats, variance: float, reference: Floats) -> Floats:
    """James and Stein's estimate of a table around a reference of the same total; not negative.

    Source: James, Stein 1961, positive part.
    """
    residual = noisy - reference
    spread = float((residual**2).sum())
    kept = max(0.0, 1 - noisy.size * variance / spread) if spread else 0.0
    estimate = np.maximum(reference + kept * residual, 0.0)
    return np.asarray(estimate * (reference.sum() / max(estimate.sum(), 1e-300)))
