"""Level facts: bins and declared orders are in order; atoms, missing values and what is not listed stand alone."""

import numpy as np
import pytest

from privsynth.dataset import Dataset
from privsynth.encoding import decode, encode_public
from privsynth.records import read_public
from privsynth.schema import Schema

HEAD = '[table]\nname="t"\n[columns.base]\nkind="date"\nlower=2001-01-01\nupper=2001-01-20\n[columns.x]\n'


@pytest.mark.parametrize(
    ("declared", "ordered", "size"),
    [
        ('kind="ordered"\nvalues=["lo","mid","hi"]\nmissing=["?"]', 3, 4),
        ('kind="ordered"\nvalues=["lo","mid","unlisted"]\nother="unlisted"\nmissing=["?"]', 2, 4),
        ('kind="ordered"\nvalues=["lo","mid","hi"]\nother="mid"', 3, 3),
        ('kind="integer"\nlower=0\nupper=9\natoms=[0,5]\nbins={method="uniform",count=4}\nmissing=[""]', 4, 7),
        ('kind="integer"\nlower=0\nupper=1\natoms=[0,1]', 0, 2),
        ('kind="number"\nlower="0"\nupper="9"\nprecision="0.5"\nbins={method="edges",edges=["3"]}', 2, 2),
        ('kind="date"\nlower=2001-01-01\nupper=2001-12-31\ngranularity="month"', 12, 12),
        (
            'kind="datetime"\nlower=2001-01-01T00:00:00\nupper=2001-01-01T05:00:00\ngranularity="hour"\nmissing=[""]',
            6,
            7,
        ),
        ('kind="date"\nafter="base"\nlower=0\nupper=5', 6, 6),
        ('kind="boolean"\nmissing=["?"]', 2, 3),
        ('kind="category"\nvalues=["a","b","c"]', 0, 3),
        ('kind="category"\ncodes="icd9-chapters"', 0, 19),
    ],
)
def test_which_levels_are_in_order(declared, ordered, size):
    domain = Schema.loads(HEAD + declared).domain()
    assert domain.size("x") == size
    assert domain.fact("x").ordered == ordered
    assert domain.fact("x").parents == ()
    assert domain.fact("base").ordered == 20


def test_columns_of_one_level_and_of_a_hundred_thousand_pass_through():
    many, rows = 100_000, 1000
    labels = ",".join(f'"code {index}"' for index in range(many))
    schema = Schema.loads(
        f'[table]\nname="t"\n[columns.many]\nkind="category"\nvalues=[{labels}]\nmissing=["?"]\n'
        f'[columns.one]\nkind="category"\nvalues=["only"]\n[columns.wide]\nkind="integer"\nlower=0\nupper={many - 1}\n'
        f'bins={{method="uniform",count={many}}}\n'
    )
    assert schema.domain().sizes == (many + 1, 1, many)
    drawn = np.random.default_rng(0).integers(0, many, rows)
    table = {"many": [f"code {index}" for index in drawn], "one": ["only"] * rows, "wide": drawn[::-1].tolist()}
    table["many"][7] = "?"
    encoded = encode_public(read_public(table, schema))
    assert encoded.column("many").tolist() == [*drawn[:7], many, *drawn[8:]]
    assert encoded.column("wide").tolist() == drawn[::-1].tolist()
    assert not encoded.column("one").any()
    back = decode(encoded, schema, rng=np.random.default_rng(0))
    assert encode_public(back).column("many").tolist() == encoded.column("many").tolist()


def test_a_dataset_of_an_equal_schema_can_be_decoded():
    text = HEAD + 'kind="date"\nafter="base"\nlower=0\nupper=5\n'
    schema, again = Schema.loads(text), Schema.loads(text)
    dataset = Dataset.from_columns({"base": [0], "x": [2]}, schema.domain())
    assert decode(dataset, again, rng=np.random.default_rng(0)).rows == 1


def test_as_many_atoms_as_bins():
    count = 50_000
    atoms = list(range(0, 2 * count, 2))
    schema = Schema.loads(
        f'[table]\nname="t"\n[columns.x]\nkind="integer"\nlower=0\nupper={2 * count - 1}\natoms={atoms}\n'
        f'bins={{method="quantiles",count={count}}}\n'
    )
    first, last = schema.levels("x").span(np.arange(2 * count))
    assert (first == last).all()
    assert first.tolist() == [*range(1, 2 * count, 2), *atoms]


def test_a_bin_of_one_value_before_an_atom_stays():
    schema = Schema.loads(
        '[table]\nname="t"\n[columns.x]\nkind="integer"\nlower=0\nupper=9\natoms=[5]\nbins={method="edges",edges=[4,5,6]}\n'
    )
    first, last = schema.levels("x").span(np.arange(4))
    assert (first.tolist(), last.tolist()) == ([0, 4, 6, 5], [3, 4, 9, 5])
