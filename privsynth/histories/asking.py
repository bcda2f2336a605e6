"""Asking: what can be asked of one table of a database's model, and the answers, in words that say whom they are of.

Must never answer for numbers of rows that weights took out of what was measured, nor from anything but public numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, final

from privsynth import answering
from privsynth.answering import Answer, Evidence, ExpectedError, summary, table_error
from privsynth.answering.parsing import parse
from privsynth.answering.tokens import tokens
from privsynth.database.document import DatabaseSchema, TableTerms
from privsynth.domain import Clique
from privsynth.errors import InputError, SchemaError
from privsynth.generator import AbstractDistribution, AbstractGenerator
from privsynth.histories.layout import Attribute, View, views
from privsynth.histories.measuring import in_units
from privsynth.measurement import Transcript
from privsynth.schema import Schema, Table
from privsynth.schema.binning import EdgeBins
from privsynth.schema.columns import IdentifierColumn, IntegerColumn, ModelledColumn, TextColumn

_KEPT: Final = {"random": "drawn at random", "first": "the first ones", "last": "the last ones"}


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Asked:
    """One table of which something was measured, as a table of its own that questions are read against.

    `columns` are its own columns, those of the tables above it as "TABLE.COLUMN", and its numbers of child rows as
    "count.TABLE". What a row remembers of the row before, and when rows happen after one another, is measured too, and not
    asked for: it is nothing that stands in a table.
    """

    terms: TableTerms
    view: View
    columns: Schema
    root: str

    @property
    def weighed(self) -> bool:
        """Whether a unit's rows count as one together."""
        return self.terms.bound is not None and self.terms.bound.weights == "unit"

    @property
    def counted(self) -> str:
        """What is counted: units, also where their rows count as one together, or rows."""
        return f"rows in {self.terms.name}" if self.terms.bound is not None and not self.weighed else self.root


def asked_of(schema: DatabaseSchema, table: str) -> Asked:
    """What can be asked of a table. Raises: InputError for a table that does not exist, or of which nothing was measured."""
    found = views(schema)
    if table not in found:
        known = ", ".join(f'"{name}"' for name in found)
        is_there = table in {terms.name for terms in schema.tables}
        problem = f'of table "{table}" nothing was measured' if is_there else f'there is no table "{table}"'
        raise InputError(f"{problem}; ask about one of {known}")
    terms, view = schema.table(table), found[table]
    modelled = {one.name: _column(schema, view, one) for one in view.attributes}
    named: tuple[ModelledColumn | IdentifierColumn | TextColumn, ...] = tuple(
        column for column in modelled.values() if column is not None
    )
    others = () if terms.content is None else terms.content.columns
    dropped = terms.identifiers if terms.content is None else tuple(one for one in others if one.name not in modelled)
    columns = Schema(table=Table(name=table), columns=(*named, *dropped))
    return Asked(terms=terms, view=view, columns=columns, root=schema.root.name)


def _column(schema: DatabaseSchema, view: View, one: Attribute) -> ModelledColumn | None:
    """An attribute as a column of the same levels; None where it is no column of any row."""
    if one.absent or one.previous:
        return None
    if one.kind == "column":
        content = schema.table(one.table).content
        assert content is not None
        return content.modelled_column(one.of).model_copy(update={"name": one.name})
    if one.kind != "count" or one.table != view.table or schema.table(one.of).parent_table != view.table:
        return None  # rows of a table below that have no parent but the unit are no number of children
    assert one.layout is not None
    edges = tuple(one.layout.starts[1:].tolist())
    bins = EdgeBins[int](method="edges", edges=edges) if edges else None
    return IntegerColumn(kind="integer", name=one.name, lower=one.layout.lower, upper=one.layout.upper, bins=bins)


def evidence_of(
    asked: Asked,
    schema: DatabaseSchema,
    kind: AbstractGenerator,
    distribution: AbstractDistribution,
    transcript: Transcript,
) -> Evidence:
    """What a table's answers rest on: counts are in units, or in rows where each of them counts as one."""
    return Evidence(asked.columns, kind, distribution, in_units(schema, asked.terms.name, transcript))


def error_of(asked: Asked, evidence: Evidence, clique: Clique) -> ExpectedError:
    """The expected error of a table of these columns. Raises: InputError for columns that cannot be asked for."""
    if isinstance(clique, str):
        raise InputError(f'a clique is a tuple of column names; write ("{clique}",)')
    wanted, known = tuple(clique), [column.name for column in asked.columns.modelled]
    wrong = [name for name in wanted if name not in known]
    if wrong or len(set(wanted)) < len(wanted):
        problem = f'table "{asked.terms.name}" has no "{wrong[0]}" to ask for' if wrong else "a column is named twice"
        raise InputError(f"{problem}; the columns are {', '.join(known)}")
    _require_own(asked, wanted)
    return table_error(wanted, evidence.distribution.domain, evidence.distribution, evidence.tables)


def answer(question: str, asked: Asked, evidence: Evidence, used: int) -> Answer:
    """Answer a question about one table; see `HistoryModel.answer`. `used` is how many rows of a unit counted at most."""
    try:
        kind, columns = _read(question, asked)
    except SchemaError as error:
        raise SchemaError(f"{error}{_not_asked(question, asked)}") from None
    if kind == "count" and asked.weighed:
        raise InputError(_no_counts(asked))
    if kind == "correlation" and asked.terms.bound is not None:
        raise InputError(
            f'correlations of rows of "{asked.terms.name}" are refused: on made-up databases their 90 % intervals held as '
            'seldom as seven times in ten. Ask how a mean or a share differs between groups ("mean A where B >= 10")'
        )
    _require_own(asked, columns)
    found = answering.answer(question, evidence)
    if kind == "count":
        unit = f"of about {found.records:,.0f} {asked.counted} that were measured"
    else:
        rows = asked.root if asked.terms.bound is None else f"rows in {asked.terms.name}"
        unit = found.unit.replace("of the records", f"of the {rows}")
    return replace(found, unit=unit, notes=(*_notes(asked, columns, used), *found.notes))


def _require_own(asked: Asked, columns: Clique) -> None:
    """Raises: InputError for columns of tables above alone: how these go together is measured there, and here next to not."""
    above = [asked.view.attribute(name) for name in columns]
    if above and all(one.table != asked.terms.name for one in above):
        raise InputError(
            f'"{above[0].name}" stands in table "{above[0].table}": ask about it there, or together with a column of '
            f'"{asked.terms.name}"'
        )


def _read(question: str, asked: Asked) -> tuple[str, tuple[str, ...]]:
    read = parse(question, asked.columns)
    return read.kind, read.columns


def _not_asked(question: str, asked: Asked) -> str:
    """What was measured under a name in the question, and cannot be asked for."""
    known = {column.name for column in asked.columns.columns}
    named = {token.text for token in tokens(question) if token.kind in {"word", "name"}}
    hidden = [one.name for one in asked.view.attributes if one.name in named - known]
    if not hidden:
        return ""
    return f'\n"{hidden[0]}" is what rows are drawn by, and no column that can be asked for; ask the released tables'


def _no_counts(asked: Asked) -> str:
    """Why rows of a table are not counted, and what to ask instead."""
    name, parent = asked.terms.name, asked.terms.parent_table
    each = f'"mean count.{name}" of table "{parent}" says how many rows there are of each of the {parent} on average'
    if parent != asked.root:
        each += f" (each of the {asked.root} counting the same)"
    return (
        f'rows of "{name}" are not counted: all rows of one of the {asked.root} count as one together, so that it is known how '
        f'rows are spread and not how many there are. Ask for a share ("share where ...") or a mean of "{name}"; {each}'
    )


def _notes(asked: Asked, columns: tuple[str, ...], used: int) -> list[str]:
    """In plain words, whom an answer is of."""
    terms, notes = asked.terms, list[str]()
    if terms.parent_name is None and not terms.listed:
        notes.append(f"no table lists the {terms.name}: these are the ones who own a row in some table")
    if terms.bound is not None:
        at_most = f"at most {used} rows of each of the {asked.root} were measured, {_KEPT[terms.bound.keep]}"
        if asked.weighed:
            notes.append(
                f"each of the {asked.root} with rows in {terms.name} counts the same here, however many they own: an average "
                f"over all rows differs where those with many rows are unlike others; {at_most}"
            )
        else:
            notes.append(f"each row counts the same; {at_most}: the answer is of these")
    counts = [one for one in asked.view.own if one.kind == "count" and one.name in columns]
    most = [(one.name, one.layout.upper) for one in counts if one.layout is not None]
    return notes + [f"more than {upper} rows count as {upper} in {name}" for name, upper in most]


def errors_to_json(
    schema: DatabaseSchema,
    distributions: Mapping[str, AbstractDistribution],
    transcripts: Mapping[str, Transcript],
) -> dict[str, object]:
    """What a release's measurements.json says of errors, by table: of all that was measured, under the names of its answers.

    Units: where a unit's rows count as one together, records and rows are units.
    """
    return {
        name: summary.to_json(distribution, in_units(schema, name, transcripts[name]))
        for name, distribution in distributions.items()
    }
