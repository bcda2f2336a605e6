"""`python -m privsynth` and the `privsynth` command: arguments in, exit code out.

Must never print a traceback or an unknown error's text on private data: either may hold a value.
"""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Run the command line and exit with its documented code."""
    # Many small matrices: threads wait for each other longer than they work. Read by numpy when it is first loaded.
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(variable, "1")
    from privsynth.cli import run

    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
