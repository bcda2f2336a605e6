"""The units that an audit of histories tries: as whole people, or by one row each of one table.

Must never pick units by anything that differs between the two groups but for the release itself; a unit that is copied or
presented as a release comes with all its rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np

from privsynth.attack import Histories, NoisyTables, Target, together
from privsynth.auditing import recounting
from privsynth.auditing.people import AbstractPeople, Places, isolated_places
from privsynth.database.document import DatabaseSchema
from privsynth.database.held import Database
from privsynth.errors import AuditError
from privsynth.histories import gathering
from privsynth.histories.profiling import profile, profile_schema
from privsynth.histories.viewing import view_datasets
from privsynth.private import Private
from privsynth.records import Records
from privsynth.schema import Schema

_NO_KEY = bytes(32)
"""Which rows of a unit are counted where an audit counts a release of its own: any choice will do."""


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Group:
    """Units of a database in random order, and of each one row of the table that is attacked. Shapes: (units,)."""

    database: Database
    units: Places
    rows: Places

    @classmethod
    def draw(cls, database: Database, table: str, rng: np.random.Generator) -> Group:
        """All units that have rows in the table; each row of a unit has the same chance to be the one."""
        order = rng.permutation(database.tables[table].count)
        owners, first = np.unique(database.tables[table].unit[order], return_index=True)
        mixed = rng.permutation(len(owners))
        return cls(database=database, units=owners[mixed], rows=order[first][mixed])


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Units(AbstractPeople):
    """Members and controls as one part of an audit sees them: their profiles and histories, or their rows of one `table`."""

    table: str | None
    release: Database
    seen: Records
    members: Private[Group]
    controls: Private[Group]
    noisy: NoisyTables | None = None

    @classmethod
    def draw(
        cls,
        table: str | None,
        *,
        synthetic: Database,
        members: Private[Database],
        controls: Private[Database],
        rng: np.random.Generator,
        noisy: NoisyTables | None = None,
    ) -> Units:
        """Shuffle both groups; with a table, keep those who have rows there.

        Raises: AuditError when nobody is left of a group, or one control alone, or the release holds nothing.
        """
        attacked = synthetic.schema.root.name if table is None else table
        inside = Group.draw(members.open(), attacked, rng)
        outside = Group.draw(controls.open(), attacked, rng)
        if not synthetic.tables[attacked].count or not len(inside.units) or len(outside.units) < 2:
            raise AuditError("an audit needs a release, members and at least two controls; one of the tables is empty")
        return cls(
            table=table,
            release=synthetic,
            seen=_look(synthetic, table),
            members=Private(inside),
            controls=Private(outside),
            noisy=noisy if table is None else None,
        )

    @property
    def schema(self) -> Schema:
        """The schema of the records that are attacked."""
        return records_schema(self.release.schema, self.table)

    @property
    def available(self) -> int:
        """How many people there are in the smaller group."""
        return min(len(self.members.open().units), self.all_controls)

    @property
    def all_controls(self) -> int:
        """How many controls there are in all."""
        return len(self.controls.open().units)

    def target(self, size: int) -> Target:
        """The first `size` people of each group."""
        return self._target(np.arange(size), np.arange(size), self.release, self.seen, self.noisy)

    def most_isolated(self, pool: int, share: float) -> Target:
        """Of the first `pool` people of each group, the share that is farthest from all others."""
        everyone = np.arange(pool)
        both = together(*(self._records(group.open(), everyone) for group in (self.members, self.controls)))
        return self._target(*isolated_places(both, pool, share), self.release, self.seen, self.noisy)

    def planted(self, size: int, copies: int) -> Target:
        """The first `size` people of each group, and a release with all rows of the first `copies` members."""
        members = self.members.open()
        rest = np.arange(min(self.release.units, size - copies))
        made = gathering.together(
            gathering.taken(self.release, rest), gathering.taken(members.database, members.units[:copies])
        )
        return self._made(size, made)

    def holdout(self, size: int) -> Target:
        """The first `size` people of each group, with the controls after them for a release."""
        controls = self.controls.open()
        return self._made(size, gathering.taken(controls.database, controls.units[size:]))

    def _made(self, size: int, release: Database) -> Target:
        """A release that the audit made of people, with noisy answers that count it exactly."""
        noisy = None if self.noisy is None else _recounted(self.noisy, release)
        return self._target(np.arange(size), np.arange(size), release, _look(release, self.table), noisy)

    def _target(
        self, inside: Places, outside: Places, release: Database, seen: Records, noisy: NoisyTables | None
    ) -> Target:
        members, controls = self.members.open(), self.controls.open()
        whole = None
        if self.table is None:
            whole = Histories(
                synthetic=release,
                members=Private(gathering.taken(members.database, members.units[inside])),
                controls=Private(gathering.taken(controls.database, controls.units[outside])),
                noisy=noisy,
            )
        return Target(
            schema=self.schema,
            synthetic=seen,
            members=Private(self._records(members, inside)),
            controls=Private(self._records(controls, outside)),
            histories=whole,
        )

    def _records(self, group: Group, places: Places) -> Records:
        if self.table is None:
            return profile(gathering.taken(group.database, group.units[places]))
        return _records_of(group.database, self.table).take(group.rows[places])


def records_schema(schema: DatabaseSchema, table: str | None) -> Schema:
    """The schema of profiles, or of one table's rows."""
    content = profile_schema(schema) if table is None else schema.table(table).content
    assert content is not None
    return content


def _look(release: Database, table: str | None) -> Records:
    """A release as this part sees it: profiles, or the rows of one table."""
    return profile(release) if table is None else _records_of(release, table)


def _records_of(database: Database, table: str) -> Records:
    records = database.tables[table].records
    assert records is not None
    return records


def _recounted(noisy: NoisyTables, release: Database) -> NoisyTables:
    counted = view_datasets(release, _NO_KEY, noisy.used)
    transcripts = {
        table: recounting.recounted_in(answers, counted[table]) for table, answers in noisy.transcripts.items()
    }
    return NoisyTables(transcripts=transcripts, used=noisy.used)
