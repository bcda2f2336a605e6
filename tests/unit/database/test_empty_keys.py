"""What stands for an empty key: the same in a table and in the foreign keys to it, so that nobody unnamed is a unit."""

import pandas as pd
import pytest

from privsynth.database import DatabaseSchema, reading
from privsynth.errors import RecordsError
from tests.made_database import CLINIC_TOML
from tests.unit.database.test_reading import clinic_frames

VISITS = """
[database]
name = "visits"
unit = "people"
[tables.first]
parent = {columns = ["person"]}
bound = {rows = 3}
[tables.first.columns]
person = {kind = "identifier", make = "P-####"MARKED}
[tables.second]
parent = {columns = ["whose"]}
bound = {rows = 3}
[tables.second.columns]
whose = {kind = "identifier", make = "P-####"}
"""


def read(frames, schema):
    return reading.read(frames, schema).open()


@pytest.mark.parametrize("declared", ["person", "whose"])
@pytest.mark.parametrize("empty", ["person", "whose"])
def test_what_means_nobody_in_one_table_is_no_unit_of_many_people_in_another(declared, empty):
    marker = ', missing = ["NA"]'
    text = VISITS.replace("MARKED", marker if declared == "person" else "")
    if declared == "whose":
        text = text.replace(
            'whose = {kind = "identifier", make = "P-####"', f'whose = {{kind = "identifier", make = "P-####"{marker}'
        )
    keys_of = {"person": ["a", "b"], "whose": ["a", "b"]}
    names = {"person": "first", "whose": "second"}
    frames = {names[column]: pd.DataFrame({column: found}) for column, found in keys_of.items()}
    assert read(frames, DatabaseSchema.loads(text)).unit_names == (b"a", b"b")
    frames[names[empty]].loc[1, empty] = "NA"
    with pytest.raises(RecordsError, match="every row must say"):
        read(frames, DatabaseSchema.loads(text))


def test_what_means_an_empty_key_means_an_empty_foreign_key():
    schema = DatabaseSchema.loads(CLINIC_TOML.replace('make = "S-########"', 'make = "S-########", missing = ["none"]'))
    frames = clinic_frames()
    frames["diagnoses"]["stay_id"] = frames["diagnoses"]["stay_id"].replace("", "none")
    wanted, found = (read(one, schema).tables["diagnoses"].parent.tolist() for one in (clinic_frames(), frames))
    assert found == wanted
    assert -1 in found
