"""Groups: every label has exactly one, and what is wrong is said so that it can be corrected."""

import numpy as np
import pytest

from privsynth.errors import SchemaError
from privsynth.schema import Schema, codelists, groups

HEAD = '[table]\nname="t"\n[columns.x]\nkind="category"\n'
LABELS = HEAD + 'values=["a","b","c"]\nmissing=["?"]\n'


def test_every_label_gets_its_parent_and_the_missing_level_its_own():
    schema = Schema.loads(LABELS + 'groups={v=["c","a"],k=["b"]}')
    assert schema.domain().fact("x").parents == (1, 0, 1, 2)
    assert schema.domain().fact("x").ordered == 0
    without = Schema.loads(LABELS.replace('missing=["?"]\n', "") + 'groups={v=["c","a"],k=["b"]}')
    assert without.domain().fact("x").parents == (1, 0, 1)


def test_no_groups_no_parents():
    assert Schema.loads(LABELS).domain().facts == ()


def test_the_order_of_writing_says_nothing():
    one, two = (
        Schema.loads(LABELS + f"groups={{{inner}}}") for inner in ('v=["c","a"],k=["b"]', 'k=["b"],v=["a","c"]')
    )
    assert one == two
    assert one.digest() == two.digest()
    assert one.to_json()["columns"][0]["groups"] == {"k": ["b"], "v": ["a", "c"]}
    assert one.digest() != Schema.loads(LABELS + 'groups={v=["c"],k=["a","b"]}').digest()


def test_groups_survive_json_and_a_purchase():
    schema = Schema.loads(LABELS + 'groups={v=["c","a"],k=["b"]}\n[columns.y]\nkind="category"\nbuy=true')
    assert Schema.from_json(schema.to_json()) == schema
    bought = schema.resolve("y", "categories", ["q"])
    assert bought.domain().fact("x").parents == (1, 0, 1, 2)


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ('{v=["a"],w=["b"]}', r"1 labels are in none \('c'\)"),
        ('{v=["c","a"],w=["a","b"]}', "'a' stands in 'v' and in 'w'"),
        ('{v=["c","a","a"],w=["b"]}', "'a' stands in 'v' and in 'v'"),
        ('{v=["c","a"],w=["b","z"]}', "'w' names 'z', which is none of the labels"),
        ('{v=["c","a","b"],w=[]}', "'w' holds no label"),
        ('{"=x"=["a","b","c"]}', "the name '=x' starts with a sign"),
        ('["a"]', "expected a table such as"),
        ('{v="abc"}', "'v' expects a list of labels in quotes"),
        ("{v=[1]}", "'v' expects a list of labels in quotes"),
    ],
)
def test_groups_that_are_no_hierarchy_are_refused(written, said):
    with pytest.raises(SchemaError, match=said) as error:
        Schema.loads(LABELS + "groups=" + written)
    assert "[columns.x]" in str(error.value)


def test_bought_labels_have_no_groups():
    with pytest.raises(SchemaError, match="labels that are bought are not known before"):
        Schema.loads(HEAD + 'buy=true\ngroups={v=["a"]}')


# --- code lists ---


@pytest.mark.parametrize("name", [name for name in codelists.names() if codelists.load(name).groups])
def test_groups_of_code_lists_hold_every_label_once(name):
    found = codelists.load(name)
    assert groups.problem(found.groups, found.labels) is None
    assert list(found.groups) == sorted(found.groups)


def test_countries_and_states_have_their_regions():
    schema = Schema.loads(
        HEAD + 'codes="us-states"\nmissing=[""]\n[columns.y]\nkind="category"\ncodes="iso-countries"\n'
    )
    states, countries = (schema.column(name).labels for name in "xy")
    state, country = (np.array(schema.domain().fact(name).parents) for name in "xy")
    assert state[-1] == 10
    pacific = [states[place] for place in np.flatnonzero(state == state[states.index("CA")])]
    assert sorted(pacific) == ["AK", "CA", "HI", "OR", "WA"]
    same = [countries[place] for place in np.flatnonzero(country == country[countries.index("DE")])]
    assert same == ["AT", "BE", "CH", "DE", "FR", "LI", "LU", "MC", "NL"]


def test_declared_groups_replace_those_of_the_list():
    labels = ",".join(f'"{label}"' for label in codelists.load("us-states").labels if label != "TX")
    schema = Schema.loads(HEAD + f'codes="us-states"\ngroups={{rest=[{labels}],lone=["TX"]}}\n')
    assert sorted(np.bincount(schema.domain().fact("x").parents).tolist()) == [1, 55]
