"""Impossible cells: brute force over every value says which cells a rule leaves, and the marking agrees with it."""

import datetime as dt

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from privsynth.encoding import encode_public
from privsynth.errors import SchemaError
from privsynth.records import Records
from privsynth.rule_masks import broken
from privsynth.schema import Schema
from privsynth.schema import impossible as subject
from privsynth.schema.levels import granule_bounds
from privsynth.schema.ticks import MISSING, from_granules, rebased, text


def every_row(schema: Schema) -> Records:
    """All rows of values that the schema admits: the full product, each date from the one that it is counted after."""
    grids = []
    for column in schema.modelled:
        lower, upper = granule_bounds(column)
        own = from_granules(column, np.arange(lower, upper + 1))
        grids.append(np.append(own, MISSING) if column.nullable else own)
    product = [values.ravel() for values in np.meshgrid(*grids, indexing="ij")]
    ticks = dict(zip((column.name for column in schema.modelled), product, strict=True))
    for column, base in schema.following:
        start, own = rebased(column, base, ticks[base.name]), ticks[column.name]
        absent = (start == MISSING) | (own == MISSING)
        ticks[column.name] = np.where(absent, MISSING, np.where(absent, 0, start) + np.where(absent, 0, own))
    return Records(schema=schema, ticks=ticks)


def by_brute_force(schema: Schema) -> np.ndarray:
    """The cells of the table of all columns that no row obeying every rule has."""
    records = every_row(schema)
    assert records.rows <= 1 << 19
    obeying = np.ones(records.rows, dtype=bool)
    for rule in schema.rules:
        obeying &= ~broken(rule, schema, records.ticks)
    unruled = Schema.from_json({key: value for key, value in schema.to_json().items() if key != "rules"})
    dataset = encode_public(Records(schema=unruled, ticks=records.ticks)).take(obeying)
    return dataset.marginal(dataset.domain.attributes) == 0


def marked(schema: Schema) -> np.ndarray:
    """The cells of the table of all columns that one of the schema's tables marks."""
    domain = schema.domain()
    cells = np.zeros(domain.sizes, dtype=bool)
    for one in domain.impossible:
        assert one.clique == domain.canonical(one.clique)
        shape = [size if name in one.clique else 1 for name, size in zip(domain.attributes, domain.sizes, strict=True)]
        cells |= one.table(domain).reshape(shape)
    return cells


def agrees(schema: Schema, *, exact: bool = True) -> None:
    truth = by_brute_force(schema)
    if truth.all() and not exact:
        return
    if truth.all():
        with pytest.raises(SchemaError, match="can be obeyed by no row"):
            schema.domain()
        return
    found = marked(schema)
    assert not (found & ~truth).any(), "a possible cell is marked"
    assert not exact or (found == truth).all(), "an impossible cell is not marked"


# --- columns and rules at random ---


@st.composite
def numbers(draw, name: str, *, nullable: bool = True) -> str:
    step = draw(st.integers(1, 3))
    low = draw(st.integers(-4, 3))
    width = draw(st.integers(0, 9))
    values = [step * (low + index) for index in range(width + 1)]
    atoms = draw(st.lists(st.sampled_from(values), max_size=3, unique=True))
    free = len(values) - len(atoms)
    lines = [f"[columns.{name}]", 'kind="integer"', f"lower={values[0]}", f"upper={values[-1]}", f"step={step}"]
    if draw(st.booleans()):
        half = [f'"{value / 2}"' for value in (values[0], values[-1])]
        lines = [
            f"[columns.{name}]",
            'kind="number"',
            f"lower={half[0]}",
            f"upper={half[1]}",
            f'precision="{step / 2}"',
        ]
        atoms_text = ",".join(f'"{atom / 2}"' for atom in atoms)
    else:
        atoms_text = ",".join(map(str, atoms))
    lines.append(f"atoms=[{atoms_text}]")
    if free:
        method = draw(st.sampled_from(["uniform", "quantiles"]))
        lines.append(f'bins={{method="{method}",count={draw(st.integers(1, free))}}}')
    return "\n".join(lines) + ('\nmissing=[""]\n' if nullable and draw(st.booleans()) else "\n")


@st.composite
def labels(draw, name: str, kind: str) -> str:
    values = ",".join(f'"{letter}"' for letter in "pqrs"[: draw(st.integers(1, 4))])
    missing = '\nmissing=["?"]' if draw(st.booleans()) else ""
    if kind == "boolean":
        return f'[columns.{name}]\nkind="boolean"\ntrue=["p"]\nfalse=["q"]{missing}\n'
    return f'[columns.{name}]\nkind="{kind}"\nvalues=[{values}]{missing}\n'


@st.composite
def times(draw, name: str, granularity: str) -> str:
    """A date or a time within few granules of the turn of a month."""
    start = dt.datetime(2001, 1, 30) + draw(st.integers(0, 60)) * dt.timedelta(hours=1)
    missing = '\nmissing=[""]' if draw(st.booleans()) else ""
    if granularity == "hour":
        size = draw(st.integers(1, 50))
        end = start + (size - 1) * dt.timedelta(hours=1)
        kind, bounds = "datetime", (start.isoformat(), end.isoformat())
    else:
        end = start + draw(st.integers(0, 8 if granularity == "day" else 400)) * dt.timedelta(days=1)
        kind, bounds = "date", (start.date().isoformat(), end.date().isoformat())
        months = (end.year - start.year) * 12 + end.month - start.month
        size = (
            1 + {"day": (end.date() - start.date()).days, "month": months, "year": end.year - start.year}[granularity]
        )
    bins = f'\nbins={{method="uniform",count={draw(st.integers(1, min(size, 5)))}}}' if draw(st.booleans()) else ""
    span = f"lower={bounds[0]}\nupper={bounds[1]}"
    return f'[columns.{name}]\nkind="{kind}"\ngranularity="{granularity}"\n{span}{bins}{missing}\n'


@st.composite
def counted(draw, name: str, after: str, granularity: str, nullable: bool, longest: int = 3) -> str:
    low = draw(st.integers(-2, 2))
    high = low + draw(st.integers(0, longest))
    kind = "date" if granularity == "day" else "datetime"
    size = (high - low) * (1 if granularity == "day" else 24) + 1
    atoms = draw(st.lists(st.integers(low, high), max_size=2, unique=True)) if size > 2 else []
    bins = f'bins={{method="uniform",count={draw(st.integers(1, min(size - len(atoms), 5)))}}}\natoms={atoms}'
    missing = '\nmissing=[""]' if nullable else ""
    return (
        f'[columns.{name}]\nkind="{kind}"\ngranularity="{granularity}"\nafter="{after}"\n'
        f"lower={low}\nupper={high}\n{bins}{missing}\n"
    )


def order(left: str, op: str, right: str) -> str:
    return f'[[rules]]\nkind="order"\nleft="{left}"\nop="{op}"\nright="{right}"\n'


@st.composite
def condition(draw, schema: Schema, name: str) -> str:
    """A condition whose constants are values of the column, or lie just outside its bounds."""
    column = schema.modelled_column(name)
    lower, upper = granule_bounds(column)
    labelled = column.kind in ("category", "ordered", "boolean")
    points = np.arange(lower, upper + 1) if labelled else np.arange(lower - 1, upper + 2)
    if getattr(column, "after", None) is not None:
        first, last = granule_bounds(schema.modelled_column(column.after))
        scale = 1 if column.kind == "date" else 24
        points = np.arange(first * scale + lower - 1, last * scale + upper + 2)
    texts = [f'"{text(column, tick)}"' for tick in from_granules(column, points).tolist()]
    parts = [f'column="{name}"']
    if draw(st.booleans()):
        parts.append(f"in=[{','.join(draw(st.lists(st.sampled_from(texts), min_size=1, max_size=6, unique=True)))}]")
    ends = () if column.kind in ("category", "boolean") else ("lower", "upper")
    parts += [f"{end}={draw(st.sampled_from(texts))}" for end in ends if draw(st.booleans())]
    if len(parts) == 1:
        parts.append("missing=false")
    if column.nullable and draw(st.booleans()) and parts[-1] != "missing=false":
        parts.append("missing=true")
    return "{" + ",".join(parts) + "}"


OPS = st.sampled_from(["<", "<=", ">", ">=", "=="])
HEAD = '[table]\nname="t"\n'


# --- order ---


@settings(max_examples=300)
@given(numbers("a"), numbers("b"), OPS)
def test_order_of_numbers(a, b, op):
    agrees(Schema.loads(HEAD + a + b + order("a", op, "b")))


@given(labels("a", "ordered"), OPS)
def test_order_of_labels(a, op):
    agrees(Schema.loads(HEAD + a + a.replace("columns.a", "columns.b") + order("b", op, "a")))


@settings(max_examples=200)
@given(st.data(), OPS)
def test_order_of_times(data, op):
    units = data.draw(st.tuples(*[st.sampled_from(["hour", "day", "month", "year"])] * 2))
    agrees(Schema.loads(HEAD + data.draw(times("a", units[0])) + data.draw(times("b", units[1])) + order("a", op, "b")))


CHAINS = [("b", "x"), ("x", "b"), ("b", "c"), ("c", "b"), ("c", "a")]


@settings(max_examples=150)
@given(st.data(), OPS, st.sampled_from(CHAINS))
def test_order_of_what_is_counted_after_another_column(data, op, sides):
    """b and c are counted after a; x stands alone."""
    units = data.draw(st.tuples(*[st.sampled_from(["hour", "day"])] * 4))
    a, x = data.draw(times("a", units[0])), data.draw(times("x", units[3]))
    nullable = "missing" in a or data.draw(st.booleans())
    b, c = (data.draw(counted(name, "a", unit, nullable)) for name, unit in (("b", units[1]), ("c", units[2])))
    c, x = ("", x) if "c" not in sides else (c, "")
    schema = Schema.loads(HEAD + a + x + b * ("b" in sides) + c + order(sides[0], op, sides[1]))
    assume(np.prod([granule_bounds(one)[1] - granule_bounds(one)[0] + 2 for one in schema.modelled]) < 1 << 18)
    alone = "a" in sides
    finer = units[0] == "hour" and "day" in (units[1] if "b" in sides else "", units[2] if "c" in sides else "")
    agrees(schema, exact=op != "==" and not alone and not ("c" in sides and finer))


@pytest.mark.parametrize("op", ["<", "<=", ">", ">=", "=="])
def test_hours_of_a_base_that_days_are_counted_after_decide_too(op):
    """At 23:00 one hour later is the next day, at 22:00 it is not: no pair of distances is ruled out by midnight alone."""
    agrees(
        Schema.loads(
            HEAD
            + '[columns.a]\nkind="datetime"\ngranularity="hour"\nlower=2001-01-30T22:00:00\nupper=2001-01-30T23:00:00\n'
            '[columns.b]\nkind="date"\nafter="a"\nlower=0\nupper=1\n'
            '[columns.c]\nkind="datetime"\ngranularity="hour"\nafter="a"\nlower=0\nupper=1\n'
            'bins={method="uniform",count=25}\n' + order("b", op, "c")
        ),
        exact=False,
    )


@settings(max_examples=100)
@given(st.data(), OPS)
def test_order_down_a_chain(data, op):
    """c is counted after b, and b after a: only the distance from b decides between c and b, from a between c and d."""
    a = data.draw(times("a", "day"))
    nullable = "missing" in a
    b, d = (data.draw(counted(name, "a", "day", nullable, 2)) for name in "bd")
    c = data.draw(counted("c", "b", data.draw(st.sampled_from(["hour", "day"])), nullable, 2))
    agrees(Schema.loads(HEAD + a + d + c + b + order("c", op, "d")), exact=op != "==")


def test_equality_of_long_columns_asks_only_that_the_spans_meet(monkeypatch):
    schema = Schema.loads(
        HEAD + '[columns.a]\nkind="integer"\nlower=0\nupper=9\nstep=3\nbins={method="uniform",count=2}\n'
        '[columns.b]\nkind="integer"\nlower=0\nupper=9\nbins={method="uniform",count=10}\n' + order("a", "==", "b")
    )
    truth = by_brute_force(schema)
    assert marked(schema).tolist() == truth.tolist()
    monkeypatch.setattr(subject, "_LISTED", 3)
    (one,) = subject.impossible_cells(schema.modelled, schema.rules)
    loosely = one.table(schema.domain())
    assert not (loosely & ~truth).any()
    assert (loosely.sum(), truth.sum()) == (12, 16)


# --- implications and combinations ---


def any_column(name: str) -> st.SearchStrategy[str]:
    kinds = [labels(name, kind) for kind in ("category", "ordered", "boolean")]
    dates = [times(name, unit) for unit in ("hour", "day", "month")]
    return st.one_of(numbers(name), numbers(name), *kinds, *dates)


@settings(max_examples=300)
@given(st.data())
def test_implications(data):
    columns = HEAD + data.draw(any_column("a")) + data.draw(any_column("b"))
    schema = Schema.loads(columns)
    sides = [data.draw(condition(schema, name)) for name in "ab"]
    agrees(Schema.loads(f'{columns}[[rules]]\nkind="implication"\nif={sides[0]}\nthen={sides[1]}\n'))


@pytest.mark.parametrize("kept", [[0, 4], [0, 1, 3, 4], [0, 1, 2, 3, 4], [1, 3], [0, 2, 3, 4]])
def test_values_between_listed_ones_may_fail_a_condition(kept):
    """The first bin is 0, 1, 3, 4: 2 is an atom."""
    listed = ",".join(f'"{value}"' for value in kept)
    agrees(
        Schema.loads(
            HEAD + '[columns.a]\nkind="integer"\nlower=0\nupper=9\natoms=[2]\nbins={method="edges",edges=[5]}\n'
            '[columns.b]\nkind="category"\nvalues=["p","q"]\n[[rules]]\nkind="implication"\n'
            f'if={{column="a",in=[{listed}]}}\nthen={{column="b",in=["p"]}}\n'
        )
    )


@settings(max_examples=150)
@given(st.data(), st.booleans())
def test_implications_about_what_is_counted_after_another_column(data, flip):
    units = data.draw(st.tuples(*[st.sampled_from(["hour", "day"])] * 2))
    a = data.draw(times("a", units[0]))
    nullable = "missing" in a or data.draw(st.booleans())
    columns = HEAD + data.draw(counted("b", "a", units[1], nullable)) + a + data.draw(labels("x", "category"))
    schema = Schema.loads(columns)
    sides = [data.draw(condition(schema, name)) for name in (("b", "x") if flip else ("x", "b"))]
    agrees(
        Schema.loads(f'{columns}[[rules]]\nkind="implication"\nif={sides[0]}\nthen={sides[1]}\n'),
        exact=units != ("day", "hour") and "atoms=[]" in columns,
    )


@settings(max_examples=150)
@given(st.data(), st.integers(2, 3))
def test_combinations(data, width):
    columns = HEAD + "".join(data.draw(any_column(name)) for name in "abc"[:width])
    schema = Schema.loads(columns)
    assume(np.prod([granule_bounds(one)[1] - granule_bounds(one)[0] + 2 for one in schema.modelled]) < 1 << 18)
    texts = []
    for column in schema.modelled:
        lower, upper = granule_bounds(column)
        labelled = column.kind in ("category", "ordered", "boolean")
        points = np.arange(lower, upper + 1 + (not labelled))
        texts.append([text(column, tick) for tick in from_granules(column, points).tolist()])
    rows = data.draw(st.lists(st.tuples(*(st.sampled_from(one) for one in texts)), min_size=1, max_size=8))
    allowed = ",".join("[" + ",".join(f'"{value}"' for value in row) + "]" for row in rows)
    names = ",".join(f'"{column.name}"' for column in schema.modelled)
    agrees(Schema.loads(f'{columns}[[rules]]\nkind="combination"\ncolumns=[{names}]\nallowed=[{allowed}]\n'))


# --- several rules, and where nothing is marked ---


@given(numbers("a"), numbers("b"), numbers("c"), st.tuples(OPS, OPS, OPS))
def test_several_rules_mark_what_any_of_them_marks(a, b, c, ops):
    columns = HEAD + a + b + c
    rules = [order("a", ops[0], "b"), order("b", ops[1], "a"), order("b", ops[2], "c")]
    each = [by_brute_force(Schema.loads(columns + rule)) for rule in rules]
    assume(not any(one.all() for one in each))
    schema = Schema.loads(columns + "".join(rules))
    assert marked(schema).tolist() == np.any(each, axis=0).tolist()
    assert len(schema.domain().impossible) <= 2, "one table a clique"


def test_large_tables_sums_and_single_columns_are_left_to_repair():
    many = ",".join(f'"v{index}"' for index in range(400))
    columns = HEAD + f'[columns.a]\nkind="ordered"\nvalues=[{many}]\n[columns.b]\nkind="ordered"\nvalues=[{many}]\n'
    assert Schema.loads(columns + order("a", "<", "b")).domain().impossible == ()
    pair = '[columns.a]\nkind="integer"\nlower=0\nupper=3\n[columns.b]\nkind="integer"\nlower=0\nupper=3\n'
    for rule in ('kind="sum"\ntotal="a"\nparts=["b"]', 'kind="order"\nleft="a"\nop="<"\nvalue=2'):
        assert Schema.loads(f"{HEAD}{pair}[[rules]]\n{rule}\n").domain().impossible == ()


def test_listed_combinations_with_a_counted_date_are_left_to_repair():
    schema = Schema.loads(
        HEAD + '[columns.a]\nkind="date"\nlower=2001-01-30\nupper=2001-02-02\n[columns.b]\nkind="date"\nafter="a"\n'
        'lower=0\nupper=2\n[columns.x]\nkind="category"\nvalues=["p","q"]\n[[rules]]\nkind="combination"\n'
        'columns=["b","x"]\nallowed=[["2001-02-01","p"]]\n'
    )
    assert schema.domain().impossible == ()


def test_a_rule_that_nobody_can_obey_is_an_error():
    columns = '[columns.a]\nkind="integer"\nlower=0\nupper=3\n[columns.b]\nkind="integer"\nlower=5\nupper=9\n'
    schema = Schema.loads(HEAD + columns + order("a", ">", "b"))
    with pytest.raises(SchemaError, match='the rule "a > b" can be obeyed by no row'):
        schema.domain()


def test_marking_is_done_once_a_schema():
    schema = Schema.loads(HEAD + '[columns.a]\nkind="boolean"\n')
    assert schema.domain() is schema.domain()
    assert Schema.from_json(schema.to_json()) == schema


@pytest.mark.parametrize("op", ["<", "<=", ">", ">=", "=="])
@pytest.mark.parametrize("value", [3, 4])
def test_levels_that_a_rule_with_a_constant_forbids_are_told_apart_from_the_domain(op, value):
    column = (
        '[columns.x]\nkind = "integer"\nlower = 0\nupper = 9\nbins = {method = "uniform", count = 5}\nmissing = ["?"]\n'
    )
    rule = f'[[rules]]\nkind = "order"\nleft = "x"\nop = "{op}"\nvalue = {value}\n'
    schema = Schema.loads(f'[table]\nname = "t"\n{column}{rule}')
    (found,) = subject.forbidden_cells(schema.modelled, schema.rules)
    assert (found.number, found.clique) == (1, ("x",))
    assert (found.cells == by_brute_force(schema)).all()
    assert not schema.domain().impossible
