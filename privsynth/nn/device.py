"""PyTorch: whether it is installed, and the one way in which it is set up.

Must never import torch at the head of this file: generators import it to say, plainly, that torch is missing.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from privsynth.errors import InputError


def require_torch(what: str) -> None:
    """Raises: InputError, which names the extra, where PyTorch is not installed."""
    if importlib.util.find_spec("torch") is None:
        raise InputError(
            f'{what} needs PyTorch, which is not installed: pip install "privsynth[deep]"; or choose a generator that measures '
            "tables, such as latent_class"
        )


def compute_device() -> Any:
    """The torch device to compute on: CUDA where there is one, else the CPU; in full single precision (no TF32) on both."""
    import torch

    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


@contextmanager
def memory_errors() -> Iterator[None]:
    """Raise Python's MemoryError, without a text, where torch runs out of memory, on whatever device."""
    import torch

    try:
        yield
    except torch.OutOfMemoryError:
        raise MemoryError from None
    except RuntimeError as error:  # what the CPU's allocator raises has no class of its own
        if "allocate memory" in str(error):
            raise MemoryError from None
        raise
