"""PyTorch: whether it is installed, and the one way in which it is set up.

Must never import torch at the head of this file: generators import it to say, plainly, that torch is missing.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from privsynth.errors import FitError, InputError, OutOfMemory


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
def single_precision() -> Iterator[None]:
    """Compute as the bound on rounding supposes, whatever the caller has set: no autocast, no TF32 or bfloat16 products.

    Inside `torch.autocast` a product of single precision matrices is one of half precision, and gradients are refused; with a
    matmul precision other than "highest" it looks like single precision and is not. Gradients are recorded inside.
    Raises: FitError where the precision was set for one backend alone, so that torch itself cannot tell which one holds.
    """
    import torch

    try:
        before, kind = torch.get_float32_matmul_precision(), torch.get_default_dtype()
    except RuntimeError:
        raise FitError(
            "PyTorch's precision of matrix products is set for one backend alone; set it for all, by "
            'torch.set_float32_matmul_precision("highest"), in a fresh process'
        ) from None
    torch.set_float32_matmul_precision("highest")
    torch.set_default_dtype(torch.float32)
    try:
        with (
            torch.autocast(compute_device().type, enabled=False),
            torch.autocast("cpu", enabled=False),
            torch.inference_mode(mode=False),
            torch.enable_grad(),
        ):
            yield
    finally:
        torch.set_default_dtype(kind)
        torch.set_float32_matmul_precision(before)


@contextmanager
def memory_errors() -> Iterator[None]:
    """Raise Python's MemoryError, without a text, where torch runs out of memory, on whatever device."""
    import torch

    try:
        yield
    except torch.OutOfMemoryError:
        raise MemoryError from None
    except RuntimeError as error:  # what the CPU's allocator raises has no class of its own
        if "allocate memory" in str(error) or "out of memory" in str(error):
            raise MemoryError from None
        raise
    except MemoryError:
        raise MemoryError from None


@contextmanager
def enough_memory(doing: str, fits: str) -> Iterator[None]:
    """Raise OutOfMemory where memory runs out, on whatever device: what was being done, and what would fit."""
    try:
        with memory_errors():
            yield
    except MemoryError:
        raise OutOfMemory(
            f"there is no memory {doing}: free some and run the same again; or, in a new fit, {fits}"
        ) from None
