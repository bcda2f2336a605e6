"""Figures of other libraries on the same table, and how they were run; for reference beside what is measured here."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """Mean total variation of all pairs and of all triples, and CPU seconds of fitting; one run each, delta 1e-9."""

    library: str
    epsilon: str
    pairs: float
    triples: float
    cpu_seconds: float


COMMANDS = {
    "mbi MST": "mbi 2.0.0 with mechanisms/mst.py of github.com/ryan112358/mbi at 361705d: python mst.py, defaults",
    "dpmm MST": "dpmm 0.1.9: MSTPipeline(epsilon, delta=1e-9, disable_processing=True), n_iters 5000",
    "dpmm AIM-lite": "dpmm 0.1.9: AIMPipeline(rounds=28, n_iters=200, max_model_size=5, disable_processing=True)",
    "mbi MST, side by side": "make bench ONLY=path: mbi.estimation.MirrorDescent().estimate(...) and synthetic_data, this run",
    "opendp": "make bench ONLY=path: opendp make_gaussian on vectors of i32, this run",
}

MST = (
    Peer(library="mbi MST", epsilon="0.1", pairs=0.1708, triples=0.2790, cpu_seconds=67.3),
    Peer(library="dpmm MST", epsilon="0.1", pairs=0.1983, triples=0.3397, cpu_seconds=118.4),
    Peer(library="mbi MST", epsilon="1", pairs=0.0612, triples=0.1296, cpu_seconds=103.0),
    Peer(library="dpmm MST", epsilon="1", pairs=0.0630, triples=0.1345, cpu_seconds=137.3),
    Peer(library="mbi MST", epsilon="10", pairs=0.0478, triples=0.1130, cpu_seconds=131.4),
    Peer(library="dpmm MST", epsilon="10", pairs=0.0423, triples=0.1031, cpu_seconds=130.3),
)

AIM = (
    Peer(library="dpmm AIM-lite", epsilon="0.1", pairs=0.1580, triples=0.2468, cpu_seconds=28.0),
    Peer(library="dpmm AIM-lite", epsilon="1", pairs=0.0501, triples=0.1077, cpu_seconds=59.0),
    Peer(library="dpmm AIM-lite", epsilon="10", pairs=0.0496, triples=0.1064, cpu_seconds=82.5),
)
"""mbi's and dpmm's AIM with their own defaults did not finish 14 columns in 600 CPU seconds."""
