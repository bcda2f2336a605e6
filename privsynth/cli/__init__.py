"""The command line: one file a verb; each reads arguments, calls the verb, prints, returns.

Must never hold logic: a command longer than fifteen lines belongs in a module below.

Exit codes: 0 done; 1 an unexpected failure; 2 bad input; 3 refused by policy or budget; 4 failed audit;
5 failed verification.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

_INTERRUPTED = 130
_STOPPED = dict.fromkeys(
    ("release", "refresh"),
    "stopped; the budget is charged when measuring begins, and `privsynth ledger show` says whether it was. The same command "
    "goes on from what was measured at no further cost",
)
"""What is said of a verb that was interrupted; nothing is kept of the others."""


def run(arguments: Sequence[str]) -> int:
    """Run one command; return its exit code."""
    from privsynth.cli.app import app
    from privsynth.cli.console import explain

    try:
        app(list(arguments))
    except SystemExit as ended:
        if ended.code == _INTERRUPTED:
            verb = next((word for word in arguments if not word.startswith("-")), "")
            sys.stderr.write(
                _STOPPED.get(verb, "stopped; run the same command again, it starts from the beginning") + "\n"
            )
            return 1
        return ended.code if isinstance(ended.code, int) else 0
    except Exception as failure:  # noqa: BLE001 - the last door: whatever arrives here must not show its text
        text, code = explain(failure)
        sys.stderr.write(text + "\n")
        return code
    return 0
