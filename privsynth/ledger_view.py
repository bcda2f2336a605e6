"""The ledger as text and as JSON: what each population has spent and may spend.

Must never change the ledger.
"""

from __future__ import annotations

from fractions import Fraction

from privsynth.privacy.guarantee import decimal_up
from privsynth.privacy.ledger import AbstractLedger


def to_json(ledger: AbstractLedger) -> dict[str, object]:
    """Populations with cap and spending, and every entry in order."""
    head = ledger.head()
    populations = []
    for name in ledger.populations():
        balance = ledger.balance(name)
        populations.append(
            {
                "population": name,
                "spentEpsilon": decimal_up(Fraction(balance.cap.epsilon_spent(balance.spent)), 4),
                "capEpsilon": decimal_up(balance.cap.epsilon),
                "capDelta": decimal_up(balance.cap.delta, 15),
            }
        )
    entries = [
        {"sequence": e.sequence, "at": e.at, "kind": e.kind, "population": e.population, "release": e.release_id}
        for e in ledger.entries()
    ]
    return {"head": {"sequence": head.sequence, "digest": head.digest}, "populations": populations, "entries": entries}


def lines(ledger: AbstractLedger) -> list[str]:
    """The same as text."""
    shown = to_json(ledger)
    out = []
    for population in shown["populations"]:  # type: ignore[attr-defined]
        out.append(
            f"{population['population']}: epsilon {population['spentEpsilon']} of {population['capEpsilon']} spent "
            f"(delta {population['capDelta']})"
        )
        out.extend(
            f"  {entry['sequence']:>5}  {entry['at']}  {entry['kind']:<8} {entry['release']}"
            for entry in shown["entries"]  # type: ignore[attr-defined]
            if entry["population"] == population["population"]
        )
    if out:
        out.append(
            "A release promises the epsilon of its certificate. What it is charged here is held at one order for all releases "
            "together and reads a little larger, so that epsilon 2 may show as 2.05 or 2.18; several cost less than their sum."
        )
    return out or ["the ledger is empty: no population was registered yet"]
