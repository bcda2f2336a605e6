"""What the tests of rules across tables share: a database in which nothing is broken, and what was left out of it."""

import numpy as np

from privsynth.database import Database, DatabaseSchema, Rows
from privsynth.encoding import encode_public
from privsynth.histories.across import broken
from privsynth.histories.kinship import arranged
from privsynth.records import Records
from privsynth.schema.ticks import MISSING, tick
from tests.made_database import make_rows


def ticks_of(database: Database, table: str, column: str) -> np.ndarray:
    records = database.tables[table].records
    assert records is not None
    return records.ticks[column]


def holds(schema: DatabaseSchema, database: Database) -> None:
    """No rule is broken, every value is in its domain, and rows are in order."""
    for text, mask in broken(schema, database).items():
        assert not mask.any(), text
    for rows in database.tables.values():
        if rows.records is not None and rows.count:
            encode_public(rows.records)  # raises where a value left its domain
    assert arranged(database) is database
    assert (database.tables[schema.root.name].unit == np.arange(database.units)).all()


def gone(counts: dict[str, int]) -> dict[str, int]:
    return {text.partition(":")[0]: count for text, count in counts.items() if text.endswith(": rows left out")}


ORDERS = """
[database]
name = "orders"
unit = "people"
[tables.people]
key = ["person"]
[tables.people.columns]
person = {kind = "identifier", make = "P-####"}
start = {kind = "date", lower = 2000-01-01, upper = 2010-12-31}
end = {kind = "date", lower = 2000-01-01, upper = 2010-12-31, missing = [""], granularity = "GRANULARITY"}
[tables.visits]
key = ["visit"]
parent = {table = "people", columns = ["person"]}
bound = {rows = 4}
time = {column = "came", anchor = "start", until = "end"}
[tables.visits.columns]
visit = {kind = "identifier", make = "V-####"}
came = {kind = "KIND", lower = 2001-01-01, upper = 2009-12-31}
left = {kind = "date", after = "came", lower = 2, upper = 9, missing = [""]}
[tables.notes]
parent = {table = "visits", columns = ["visit"]}
bound = {rows = 4}
[tables.notes.columns]
letter = {kind = "category", values = ["a", "b"]}
[[rules]]
kind = "in-order"
left = "visits.left"
right = "people.end"
"""


def orders(
    people: list[tuple[str, str]],
    visits: list[tuple[int, str, int | None]],
    *,
    granularity: str = "day",
    kind: str = "date",
    more: str = "",
) -> Database:
    """People by start and end, visits by person, day and length, and two notes of each visit."""
    text = ORDERS.replace("GRANULARITY", granularity).replace("KIND", kind)
    if kind == "datetime":
        text = text.replace(
            "lower = 2001-01-01, upper = 2009-12-31}",
            "lower = 2001-01-01T00:00:00, upper = 2009-12-31T00:00:00, granularity = 'hour'}",
        )
    schema = DatabaseSchema.loads(text + more)
    person, visit = schema.table("people").content, schema.table("visits").content
    came_column = visit.modelled_column("came")
    ends = {
        name: np.array([tick(person.modelled_column(name), one) if one else MISSING for one in ends])
        for name, ends in zip(("start", "end"), zip(*people, strict=True), strict=True)
    }
    came = np.array([tick(came_column, day) for _, day, _ in visits])
    days = came // 24 if kind == "datetime" else came
    left = np.array([MISSING if long is None else day + long for day, (_, _, long) in zip(days, visits, strict=True)])
    unit = np.array([one for one, _, _ in visits])
    notes = np.repeat(np.arange(len(visits)), 2)
    return Database(
        schema=schema,
        tables={
            "people": make_rows(schema, "people", ends, np.full(len(people), -1), np.arange(len(people))),
            "visits": Rows(records=Records(schema=visit, ticks={"came": came, "left": left}), parent=unit, unit=unit),
            "notes": make_rows(schema, "notes", {"letter": notes % 2}, notes, unit[notes]),
        },
    )


def visits_of(database: Database) -> list[tuple[int, str, int | None]]:
    came, left = ticks_of(database, "visits", "came"), ticks_of(database, "visits", "left")
    return [
        (int(unit), str(np.datetime64(int(day), "D")), None if out == MISSING else int(out - day))
        for unit, day, out in zip(database.tables["visits"].unit, came, left, strict=True)
    ]
