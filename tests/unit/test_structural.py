"""Structural zeros: rows are allowed when no table rules out their cell, however the tables are joined."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from privsynth import structural
from privsynth.dataset import Dataset
from privsynth.domain import Domain, Impossible
from privsynth.encoding import decode
from privsynth.errors import SchemaError
from privsynth.rules import check
from privsynth.schema import Schema
from privsynth.structural import StructuralZeros

NAMES = tuple("abcdef")


@st.composite
def domains(draw) -> Domain:
    sizes = draw(st.lists(st.integers(1, 6), min_size=2, max_size=6))
    names = NAMES[: len(sizes)]
    plain = Domain(names, tuple(sizes))
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    pairs = draw(st.lists(st.sets(st.sampled_from(names), min_size=2, max_size=3), max_size=6))
    cliques = [plain.canonical(pair) for pair in pairs]
    tables = tuple(Impossible.of(clique, rng.random(plain.shape(clique)) < 0.3) for clique in cliques)
    return Domain(names, tuple(sizes), impossible=tables)


def one_by_one(domain: Domain, columns: list[np.ndarray]) -> list[bool]:
    tables = [(one.clique, one.table(domain)) for one in domain.impossible]
    rows = [dict(zip(domain.attributes, map(int, row), strict=True)) for row in zip(*columns, strict=True)]
    return [not any(table[tuple(row[name] for name in clique)] for clique, table in tables) for row in rows]


@given(domains(), st.integers(0, 80), st.sampled_from([1, 30, 4096]), st.sampled_from([7, 1 << 15]))
def test_rows_are_allowed_that_hit_no_impossible_cell(domain, rows, cells, block):
    rng = np.random.default_rng(rows)
    columns = [rng.integers(0, size, rows).astype(np.uint8) for size in domain.sizes]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(structural, "_JOINED_CELLS", cells)
        patch.setattr(structural, "_BLOCK_ROWS", block)
        found = StructuralZeros(domain).allowed(columns)
    assert found.dtype == np.bool_
    assert found.tolist() == one_by_one(domain, columns)


@given(domains(), st.data())
def test_possible_cells_of_any_table(domain, data):
    zeros = StructuralZeros(domain)
    clique = tuple(data.draw(st.permutations(domain.attributes)))[: data.draw(st.integers(0, len(domain)))]
    found = zeros.possible(clique)
    inner = [one for one in domain.impossible if set(one.clique) <= set(clique)]
    narrow = Domain(clique, domain.shape(clique), impossible=tuple(inner))
    every = [axis.ravel() for axis in np.meshgrid(*map(np.arange, narrow.sizes), indexing="ij")]
    assert found.shape == domain.shape(clique)
    assert found.ravel().tolist() == (one_by_one(narrow, every) if clique else [True])
    for name, table in zeros.tables.items():
        assert table.shape == domain.shape(name)
        assert (table == zeros.possible(name)).all() or any(set(one) < set(name) for one in zeros.tables)


def test_codes_of_any_width_and_tables_larger_than_the_cache():
    domain = Domain.from_mapping({"a": 70_000, "b": 300, "c": 2})
    rng = np.random.default_rng(0)
    tables = [(("a", "b"), rng.random((70_000, 300)) < 0.5), (("b", "c"), rng.random((300, 2)) < 0.1)]
    packed = tuple(Impossible.of(clique, table) for clique, table in tables)
    zeros = StructuralZeros(Domain(domain.attributes, domain.sizes, impossible=packed))
    columns = [rng.integers(0, size, 100_000).astype(np.min_scalar_type(size - 1)) for size in domain.sizes]
    a, b, c = columns
    assert (zeros.allowed(columns) == ~(tables[0][1][a, b] | tables[1][1][b, c])).all()


def test_without_rules_every_row_is_allowed():
    domain = Domain.from_mapping({"a": 3, "b": 2})
    zeros = StructuralZeros(domain)
    assert zeros.tables == {}
    assert zeros.allowed([np.zeros(4, dtype=np.uint8)] * 2).tolist() == [True] * 4
    assert zeros.allowed([np.zeros(0, dtype=np.uint8)] * 2).size == 0
    assert StructuralZeros(Domain((), ())).allowed([]).size == 0


def test_rows_of_another_domain_are_refused():
    domain = Domain(("a", "b"), (3, 2), impossible=(Impossible.of(("a", "b"), np.eye(3, 2, dtype=bool)),))
    zeros = StructuralZeros(domain)
    with pytest.raises(SchemaError, match="expected 2 columns, found 1"):
        zeros.allowed([np.zeros(1, dtype=np.uint8)])
    for codes in ([0, 3], [-1, 0]):
        with pytest.raises(SchemaError, match='column "a" holds a code outside its 3 levels'):
            zeros.allowed([np.array(codes), np.zeros(2, dtype=np.uint8)])


def test_rows_that_are_allowed_break_rules_that_levels_decide_only_within_bins():
    schema = Schema.loads(
        '[table]\nname="t"\n[columns.a]\nkind="integer"\nlower=0\nupper=99\nbins={method="uniform",count=10}\n'
        '[columns.b]\nkind="integer"\nlower=0\nupper=99\nbins={method="uniform",count=10}\n'
        '[columns.sex]\nkind="category"\nvalues=["F","M"]\n[columns.ward]\nkind="category"\nvalues=["x","maternity"]\n'
        '[[rules]]\nkind="order"\nleft="a"\nop=">="\nright="b"\n'
        '[[rules]]\nkind="combination"\ncolumns=["sex","ward"]\nallowed=[["F","x"],["F","maternity"],["M","x"]]\n'
    )
    rng = np.random.default_rng(0)
    domain = schema.domain()
    drawn = Dataset.from_columns({name: rng.integers(0, domain.size(name), 4000) for name in domain.attributes}, domain)
    kept = drawn.take(StructuralZeros(domain).allowed(drawn.columns))
    assert kept.rows == pytest.approx(4000 * 0.55 * 0.75, rel=0.1)
    order, listed = check(schema.rules, decode(kept, schema, rng=rng)).values()
    assert not listed.any()
    assert (kept.column("a")[order] == kept.column("b")[order]).all(), "only the values inside one bin are in question"
