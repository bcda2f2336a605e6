"""privsynth: differentially private synthetic tables, attacked before they leave and certified.

Must never import anything heavy at import time: names are loaded when they are first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from privsynth.api import audit, audit_function, audit_generator, draft, fit, quote, release, verify, write_tables
    from privsynth.auditing import AuditPlan
    from privsynth.augmenting import Augmentation, augment
    from privsynth.combining import combine
    from privsynth.database.document import DatabaseSchema
    from privsynth.debiasing import Debias
    from privsynth.evaluating import Evaluation, evaluate
    from privsynth.exploring import Fitting
    from privsynth.findings import Findings
    from privsynth.growth import Growth, scale
    from privsynth.histories.history_model import HistoryModel
    from privsynth.imagining import imagine
    from privsynth.metrics.groups import compare_groups
    from privsynth.model import Model
    from privsynth.policy import Policy
    from privsynth.privacy.ledgers.memory import MemoryLedger
    from privsynth.privacy.ledgers.sqlite import SqliteLedger
    from privsynth.refreshing import refresh
    from privsynth.schema import Schema

__version__ = "0.1.0"

_HOMES = {
    "AuditPlan": "privsynth.auditing",
    "DatabaseSchema": "privsynth.database.document",
    "Debias": "privsynth.debiasing",
    "Evaluation": "privsynth.evaluating",
    "Findings": "privsynth.findings",
    "Fitting": "privsynth.exploring",
    "Growth": "privsynth.growth",
    "HistoryModel": "privsynth.histories.history_model",
    "MemoryLedger": "privsynth.privacy.ledgers.memory",
    "Model": "privsynth.model",
    "Policy": "privsynth.policy",
    "Schema": "privsynth.schema",
    "SqliteLedger": "privsynth.privacy.ledgers.sqlite",
    "Augmentation": "privsynth.augmenting",
    "audit": "privsynth.api",
    "audit_function": "privsynth.api",
    "audit_generator": "privsynth.api",
    "augment": "privsynth.augmenting",
    "combine": "privsynth.combining",
    "compare_groups": "privsynth.metrics.groups",
    "draft": "privsynth.api",
    "evaluate": "privsynth.evaluating",
    "fit": "privsynth.api",
    "imagine": "privsynth.imagining",
    "quote": "privsynth.api",
    "refresh": "privsynth.refreshing",
    "release": "privsynth.api",
    "scale": "privsynth.growth",
    "verify": "privsynth.api",
    "write_tables": "privsynth.api",
}

__all__ = [
    "AuditPlan",
    "Augmentation",
    "DatabaseSchema",
    "Debias",
    "Evaluation",
    "Findings",
    "Fitting",
    "Growth",
    "HistoryModel",
    "MemoryLedger",
    "Model",
    "Policy",
    "Schema",
    "SqliteLedger",
    "audit",
    "audit_function",
    "audit_generator",
    "augment",
    "combine",
    "compare_groups",
    "draft",
    "evaluate",
    "fit",
    "imagine",
    "quote",
    "refresh",
    "release",
    "scale",
    "verify",
    "write_tables",
]


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'privsynth' has no attribute {name!r}")
    return getattr(importlib.import_module(home), name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
