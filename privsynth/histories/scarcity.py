"""What a release of several tables says aloud where its budget was too small: columns that nothing ties together.

Must never depend on records: the words are a function of what was measured, or is in a rehearsal, and of its noise.
"""

from __future__ import annotations

from typing import Final

TOO_FAR: Final = 0.2
"""A share of rows off, of a single attribute in the middle, from which it is said aloud."""

_HELP: Final = "raise release_epsilon, drop columns, or carry fewer"
ALL_PAIRS: Final = "latent_class"
"""The generator that measures all pairs wherever the budget allows; others measure some of them, or none, by design."""
_NONE: Final = "independent"


def warnings(
    table: str, generator: str, *, measured: int, pairs: int, off: float | None, sizes: float | None
) -> list[str]:
    """What to mind of one table.

    Args: `measured` of `pairs` pairs of attributes; `off` is the share of rows that the noise makes wrong in a single
        attribute, in the middle, `sizes` in the numbers of rows of a child table, at worst; None where it is not known.
    """
    found = []
    alone = f"{table}: columns are drawn independently of each other and of the rows above and before"
    if measured == 0 and pairs > 0 and generator == _NONE:
        found.append(f"{alone}: the generator {_NONE} measures no pairs; take another one")
    elif measured == 0 and pairs > 0:
        found.append(f"{alone}: the budget is too small for pairs; {_HELP}")
    elif measured < pairs and generator == ALL_PAIRS:
        found.append(
            f"{table}: only {measured:,} of {pairs:,} pairs are measured: the budget is too small for the others; {_HELP}"
        )
    found += [
        f"{table}: noise alone makes {min(share, 1.0):.0%} of {what} wrong: the budget is too small; {_HELP}"
        for what, share in (("the values of a single attribute", off), ("the numbers of rows below it", sizes))
        if share is not None and share > TOO_FAR
    ]
    return found
