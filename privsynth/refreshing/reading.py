"""Reading the new table: what an earlier release did not buy goes where it went then, and is no value outside the domain.

Must never let a label or a bound that was not bought into a schema.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

from privsynth.measurement import Purchase
from privsynth.published import Published
from privsynth.refreshing.aligning import Alignment
from privsynth.schema import Schema

_FACTS: Final = ("categories", "bounds")
"""What is bought of a domain; edges only cut it."""


def bought(published: Published, schema: Schema, alignment: Alignment) -> tuple[str, ...]:
    """The columns whose domain an earlier release bought, and that this schema has as it was filled in.

    What a new schema declares otherwise is declared, and the policy says what becomes of other values.
    """
    claim = published.predicate.get("refresh") or {}
    found = {one.column for one in published.transcript if isinstance(one, Purchase) and one.fact in _FACTS}
    found |= set(claim.get("bought", ()))
    return tuple(
        one.name
        for one in alignment.carried
        if one.was in found
        and published.schema.modelled_column(one.was).model_copy(update={"name": one.name})
        == schema.modelled_column(one.name)
    )


def opened(schema: Schema, names: Collection[str]) -> Schema:
    """The schema under which rows are read, with these columns as open as they were before they were bought.

    Rules and uses, which may name what was bought, are left out: no row is read by them.
    """
    if not names:
        return schema
    document: dict[str, Any] = {**schema.to_json()}
    document["columns"] = [_open(one) if one["name"] in names else one for one in document["columns"]]
    return Schema.from_json({name: value for name, value in document.items() if name not in ("rules", "use")})


def _open(column: dict[str, Any]) -> dict[str, Any]:
    if column["kind"] == "category":
        return {**{name: value for name, value in column.items() if name != "values"}, "buy": True}
    return {**{name: value for name, value in column.items() if name not in ("lower", "upper")}, "buy": "bounds"}
