"""What the tests of the release path share: a clinic's files, and a release in which everything can be replaced."""

import pytest

from privsynth import releasing
from privsynth.certificate import keys
from privsynth.certificate.keys import Signer
from privsynth.policy import Policy
from privsynth.schema import Schema
from tests import clinic


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clinic")
    table, schema, policy = clinic.write(folder)
    keys.new(folder / "key.pem", folder / "trust.toml", "machine")
    return {"folder": folder, "table": table, "schema": Schema.load(schema), "policy": Policy.load(policy)}


@pytest.fixture
def make(place, tmp_path, monkeypatch):
    """Release into a fresh folder from a fresh ledger; arguments replace the defaults.

    The audit is replaced by one that passes; `audited=True` leaves the real one, for tests in which it refuses.
    """

    def run(*, audited=False, **changes):
        if audited:
            monkeypatch.undo()
        else:
            clinic.pass_every_audit(monkeypatch.setattr)
        source = changes.pop("source", place["table"])
        arguments = {
            "schema": place["schema"],
            "policy": place["policy"],
            "signer": Signer.load(place["folder"] / "key.pem"),
            "out": tmp_path / "release",
            "ledger": clinic.fresh_ledger(),
        }
        return releasing.release(source, **(arguments | changes))

    return run
