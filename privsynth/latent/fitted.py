"""What a fit leaves: a mixture, the pair tables that records should have, and how far both are expected to be off.

Must never hold anything but what was made from a transcript.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
import numpy.typing as npt

from privsynth.latent.layout import Layout
from privsynth.latent.mixture import Mixture

Floats = npt.NDArray[np.float64]


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Fitted:
    """A fitted mixture and what records should look like.

    Shapes: `within[i]` is each level's share of its group; `grouped` is (groups, groups) counts of all pairs; `tables` the same
        over `fine`, the layout of levels, or of groups where there are too many levels; `pair_error` is (attributes,
        attributes), the expected L1 error of each pair's normalised table, and on the diagonal of each attribute's own.
        Without pairs, `grouped` and `tables` are None, and errors of pairs are NaN. `steps` is how many of refinement were
        taken; None where that is not known, or there were none to choose.
    """

    total: float
    mixture: Mixture
    within: tuple[Floats, ...]
    fine: Layout
    grouped: Floats | None
    tables: Floats | None
    pair_error: Floats
    steps: int | None = None
