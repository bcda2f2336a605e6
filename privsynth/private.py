"""Private[T]: the box that private data travels in between reading and the curator.

Must never show, copy, pickle, hash, compare or iterate its content; only the modules named in the import contract may open it.
"""

from __future__ import annotations

from typing import Generic, NoReturn, TypeVar, final

from privsynth.errors import PrivsynthError

T = TypeVar("T")


class PrivateAccessError(PrivsynthError):
    """Something tried to look into a private value by a side door."""


def _refuse(*_: object) -> NoReturn:
    raise PrivateAccessError(
        "private data cannot be shown, copied, compared, iterated or pickled; pass it to the curator"
    )


@final
class Private(Generic[T]):
    """A value that only the trusted modules may open.

    Privacy: holding it spends nothing and tells nothing; `open` hands out the content and is what the import contract guards.
    """

    __slots__ = ("__content",)

    def __init__(self, content: T) -> None:
        self.__content = content

    def open(self) -> T:
        """Return the content; callable only from the modules that the import contract lets import this one."""
        return self.__content

    def __repr__(self) -> str:
        return "Private(...)"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        _refuse()

    __copy__ = __deepcopy__ = __getstate__ = __iter__ = __len__ = __bool__ = __getitem__ = __contains__ = _refuse
    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = __hash__ = _refuse
    __str__ = __repr__
