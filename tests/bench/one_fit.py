"""One fit of the flagship and its records, in a process of its own; prints its peak memory as JSON."""

from __future__ import annotations

import json
import resource

import numpy as np

from tests.bench import flagship


def main() -> None:
    """Fit adult at epsilon 10 and draw as many records."""
    data = flagship.adult()
    flagship.fit(data, "10").draw(data.rows, np.random.default_rng(0))
    print(json.dumps({"megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))


if __name__ == "__main__":
    main()
