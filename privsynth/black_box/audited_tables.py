"""The tables of an audit of somebody else's generator: split into members and controls, and held against each other.

Must never say which values a table holds, or how many people stand in it.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from privsynth.database.document import DatabaseSchema
from privsynth.encoding import encode_public
from privsynth.errors import AuditError
from privsynth.findings import Claim
from privsynth.privacy.accounting import Exact, positive, probability
from privsynth.privacy.unit import hold_out
from privsynth.private import Private
from privsynth.records import Records
from privsynth.schema import Schema

_HALF: Final = 0.5


def claim(schema: Schema | DatabaseSchema, epsilon: Exact, delta: Exact) -> Claim:
    """What a table's maker claims, for the schema's privacy unit; `delta` 0 is pure differential privacy.

    Raises: MechanismError for numbers that promise nothing.
    """
    failure = 0.0 if delta in (0, "0") else float(probability(delta))
    unit = schema.root.name if isinstance(schema, DatabaseSchema) else schema.unit or "row"
    return Claim(epsilon=float(positive(epsilon, "epsilon")), delta=failure, rho=None, unit=unit)


def halves(table: Private[Records], key: bytes) -> tuple[Private[Records], Private[Records]]:
    """Members and controls: each unit with all of its rows goes to one of them, by its own keyed coin.

    Raises: AuditError when nobody is left in one of them.
    """
    members, controls = hold_out(table.open(), _HALF, key)
    if not members.rows or not controls.rows:
        raise AuditError("the table has too few people to be split into members and controls; give a larger one")
    return Private(members), Private(controls)


def require_shared_values(synthetic: Records, members: Private[Records]) -> None:
    """Refuse a synthetic table that has no level in common with the training table, in any column of two levels or more.

    Attacks on it would find nothing, which would say nothing: it is not of this population, or not in these units.
    Raises: AuditError.
    """
    opened = members.open()
    if not synthetic.rows or not opened.rows:
        return
    released, real = encode_public(synthetic), encode_public(opened)
    names = [name for name in real.domain.attributes if real.domain.size(name) > 1]
    if names and not any(np.isin(np.unique(released.column(name)), real.column(name)).any() for name in names):
        raise AuditError(
            "the synthetic table shares no value with the training table, in any column: it is not of the same population, or "
            "its columns are coded otherwise; check that both were made under this schema"
        )
