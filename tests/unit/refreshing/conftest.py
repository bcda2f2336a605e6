"""A population whose first release was made, to be refreshed in a copy of its folder and ledger."""

import functools
import shutil
from fractions import Fraction

import pyarrow as pa
import pyarrow.csv as pa_csv
import pytest

import privsynth as ps
from privsynth import api
from privsynth.certificate import keys
from privsynth.policy import Policy
from privsynth.refreshing import making
from privsynth.refreshing.refreshed import Refreshed
from tests import clinic
from tests import made_refresh as made

POLICY = (
    clinic.POLICY.replace('allow = ["independent", "mst"]', 'allow = ["independent", "latent_class", "mst"]')
    .replace('default = "independent"', 'default = "latent_class"')
    .replace('name = "person"', 'name = "row"')
)


def table(place, name, **moved):
    """A table of the population, as a file."""
    path = place / f"{name}.csv"
    pa_csv.write_csv(pa.table(made.people(6000, len(name) + 20, **moved)), path)
    return path


@pytest.fixture(scope="package")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("population")
    keys.new(folder / "key.pem", folder / "trust.toml", "machine")
    ledger = api.open_ledger(folder / "ledger.sqlite3")
    with pytest.MonkeyPatch.context() as patch:
        clinic.pass_every_audit(patch.setattr)
        release(folder, ledger, table(folder, "before"), "first")
    ledger.close()
    return folder


def release(folder, ledger, source, out, policy=POLICY):
    return api.release(
        source, schema=made.SCHEMA, policy=Policy.loads(policy), key=folder / "key.pem", out=folder / out, ledger=ledger
    )


@pytest.fixture
def at(place, tmp_path, monkeypatch):
    """A copy of the population's folder and ledger, in which the audit lets everything through."""
    clinic.pass_every_audit(monkeypatch.setattr)
    calm = functools.partial(Refreshed, false_alarm=Fraction(1, 10**7))  # so that chance makes no test fail
    monkeypatch.setattr(making, "Refreshed", calm)
    folder = tmp_path / "population"
    shutil.copytree(place, folder)
    with api.open_ledger(folder / "ledger.sqlite3") as ledger:
        yield folder, ledger


def refresh(at, source, **changes):
    folder, ledger = at
    arguments = {
        "previous": folder / "first",
        "policy": Policy.loads(POLICY),
        "key": folder / "key.pem",
        "out": folder / "second",
        "ledger": ledger,
        "trust": folder / "trust.toml",
    }
    return ps.refresh(source, **(arguments | changes))


def kinds(ledger):
    return [entry.kind for entry in ledger.entries()][4:]


def interrupted(*_):
    """What a crash is, to whoever is called."""
    raise KeyboardInterrupt
