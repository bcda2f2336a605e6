"""Run the benchmarks: `python -m tests.bench [NAME]`; writes build/bench.json, exits 1 when a target is missed."""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import os
import platform
import sys
from pathlib import Path

# Small matrices: a second thread costs more CPU time than it saves. Set before numpy is loaded.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

HERE = Path(__file__).parent
OUT = HERE.parents[1] / "build" / "bench.json"
VERSIONS = ("numpy", "mbi", "jax", "opendp", "privsynth")


def machine() -> dict[str, object]:
    """What the figures were measured on."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    models = sorted({line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")})
    return {
        "processor": models or [platform.processor()],
        "cores": os.cpu_count(),
        "load": os.getloadavg(),
        "system": platform.platform(),
        "python": platform.python_version(),
    }


def main(arguments: list[str]) -> int:
    """Run the named benchmarks, or all of them."""
    known = sorted(path.stem.removeprefix("bench_") for path in HERE.glob("bench_*.py"))
    unknown = [name for name in arguments if name not in known]
    if unknown:
        print(f"no benchmark {', '.join(unknown)}; there are {', '.join(known)}", file=sys.stderr)
        return 2
    rows, peers = [], {}
    for name in arguments or known:
        module = importlib.import_module(f"tests.bench.bench_{name}")
        peers.update(module.PEERS)
        for row in module.rows():
            rows.append(row.to_json())
            verdict = {True: "met", False: "MISSED", None: ""}[row.met]
            print(f"{row.name:58} {row.value:12.5g} {row.unit:18} {row.target or '':12} {verdict}", flush=True)
    versions = {name: importlib.metadata.version(name) for name in VERSIONS}
    OUT.parent.mkdir(exist_ok=True)
    document = {
        "command": f"make bench{' ONLY=' + ' '.join(arguments) if arguments else ''}",
        "machine": machine(),
        "versions": versions,
        "peers": peers,
        "rows": rows,
    }
    OUT.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    return 1 if any(row["met"] is False for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
