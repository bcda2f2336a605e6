"""One gradient step's exact answer: sample units, deal their rows, sum their gradients.

Must never tell how a loss failed: what it raises or warns may quote records.
"""

from __future__ import annotations

import warnings

import numpy as np
import numpy.typing as npt

from privsynth.dataset import Dataset
from privsynth.errors import MechanismError, OutOfMemory
from privsynth.privacy import sampling
from privsynth.privacy.gradient import CHUNK_ROWS, GradientSum
from privsynth.privacy.sampled_gaussian import SampledGaussian


def exact_sum(
    query: GradientSum, data: Dataset, plan: SampledGaussian, key: bytes, rows: float | None
) -> npt.NDArray[np.int64]:
    """The sum over the units that this key samples. Shapes: (weights,), to be split by `query.split`.

    Args: `rows` is how many rows are expected, a public number, or None; `key` is 32 fresh secret bytes.
    Raises: MechanismError or OutOfMemory, with texts that are the same for all records.
    """
    if data.weights is not None:
        raise MechanismError("rows with weights have no gradients; take a generator that does not train")
    parts, most = (1, CHUNK_ROWS) if rows is None else sampling.dealing(rows, CHUNK_ROWS)
    taking_part = sampling.poisson(data.units, data.rows, plan.sampling_rate, key)
    chunks = sampling.dealt(taking_part, data.rows, most, key, parts=parts)
    try:
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return query.flat_answer(((data.codes(chunk.rows), chunk.key) for chunk in chunks), rows=most)
    except (MechanismError, OutOfMemory):
        raise
    except MemoryError:
        raise OutOfMemory(
            f"there is not enough memory for the gradients of {most} rows at a time: take narrower layers, merge levels of "
            "the widest columns, or use a machine with more memory"
        ) from None
    except Exception:  # noqa: BLE001  its text may quote records
        raise MechanismError("a loss failed on the records; try it on made-up records to see how") from None
