"""A made-up clinic's tables as files, with their schema and a policy, for tests of the whole path on several tables."""

import numpy as np

from privsynth.database import keys, writing
from privsynth.histories import deriving
from tests import clinic, made_database

SECRET = "SECRET"  # noqa: S105 - a planted value to look for, not a password
GIVEN = 'allow = ["independent", "mst"]\ndefault = "independent"\n'
POLICY = clinic.POLICY.replace('[unit]\nname = "person"', '[unit]\nname = "patient"')


def tables(units=500, seed=1, secret=SECRET):
    """The clinic's tables as they are read: keys that carry `secret`, and link."""
    database = made_database.clinic(units, np.random.default_rng(seed))
    new = keys.regenerate(database.schema, database, np.random.default_rng(seed))
    marked = {
        name: {
            column: [None if one is None else f"{secret}{one}" for one in found] for column, found in columns.items()
        }
        for name, columns in new.items()
    }
    return writing.to_tables(database, marked, deriving.derive(database.schema, database))


def write(folder, *, kind="sqlite", policy=POLICY, made=None):
    """Write tables, schema and policy into a folder; return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    source = folder / ("clinic.sqlite" if kind == "sqlite" else "tables")
    writing.write(tables() if made is None else made, source, kind)
    (folder / "database.toml").write_text(made_database.CLINIC_TOML)
    (folder / "policy.toml").write_text(policy)
    return source, folder / "database.toml", folder / "policy.toml"


def pass_every_audit(setattr_):
    """Replace both halves of the audit by one that passes."""
    from privsynth.auditing import histories as auditing
    from privsynth.conformance import histories as conformance

    setattr_(auditing, "run", clinic.passing_audit)
    setattr_(conformance, "run", clinic.passing_audit)
