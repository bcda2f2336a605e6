"""Files that people write of tables: what is wrong with one is said in the same words, whatever it declares."""

import hashlib
import json

import pytest

from privsynth.database.document import DatabaseSchema
from privsynth.errors import SchemaError
from privsynth.imagining.scenario import Scenario
from privsynth.making.document import RulesFile
from privsynth.schema import Schema, declared

KINDS = {Schema: "schema", DatabaseSchema: "schema", RulesFile: "rules", Scenario: "scenario"}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_a_file_that_cannot_be_read_is_named(kind, tmp_path):
    with pytest.raises(SchemaError, match=rf"^{KINDS[kind]} .*absent\.toml: cannot be read \(.*\); check the path$"):
        kind.load(tmp_path / "absent.toml")
    (tmp_path / "latin.toml").write_bytes('name = "café"'.encode("latin-1"))
    with pytest.raises(SchemaError, match=rf"^{KINDS[kind]} .*latin\.toml: is not UTF-8 text; save it as UTF-8$"):
        kind.load(tmp_path / "latin.toml")
    (tmp_path / "twice.toml").write_text("a = 1\na = 2\n")
    with pytest.raises(SchemaError, match=r"^twice\.toml: expected TOML in which each key stands once: "):
        kind.load(tmp_path / "twice.toml")


def test_a_digest_is_that_of_the_canonical_json_and_survives_it():
    schema = Schema.from_domain({"b": 2, "é": 3})
    text = json.dumps(schema.to_json(), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert schema.digest() == hashlib.sha256(text.encode()).hexdigest()
    assert declared.digest(declared.from_json(Schema, schema.to_json())) == schema.digest()
    assert Schema.from_domain({"b": 2, "e": 3}).digest() != schema.digest()
