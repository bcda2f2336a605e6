"""What a refresh goes on from: its own drift test, an attempt that is left, and all releases of a chain."""

import re
import shutil

import pyarrow as pa
import pytest

from privsynth import api
from privsynth.errors import (
    AuditFailed,
    OutputError,
    PolicyRefusal,
    RefusedError,
)
from privsynth.measurement import measurements
from privsynth.model import Model
from privsynth.policy import Policy
from privsynth.refreshing import making
from privsynth.releasing import path
from privsynth.schema import Schema
from tests.unit.refreshing.conftest import POLICY, interrupted, kinds, refresh, table


def test_a_second_part_goes_on_from_its_own_drift_test_alone(at, monkeypatch):
    folder, ledger = at
    source, outs = table(folder, "moved", column=0.3), (folder / "second", folder / "third")
    with monkeypatch.context() as patch:
        patch.setattr(making, "carry_out", interrupted)
        for out in outs:
            with pytest.raises(KeyboardInterrupt):
                refresh(at, source, out=out)
    before, (one, other) = kinds(ledger), (out.with_name(f"{out.name}.drift.internal") for out in outs)
    one.rename(folder / "aside")
    other.rename(one)
    with pytest.raises(RefusedError, match="another drift test"):
        refresh(at, source)
    assert kinds(ledger) == before == ["reserve", "begin", "commit"] * 2


def test_a_drift_test_is_not_kept_where_a_link_leads(at, tmp_path):
    folder, ledger = at
    (tmp_path / "elsewhere").mkdir()
    (folder / "second.drift.internal").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OutputError, match="is a link"):
        refresh(at, table(folder, "same"))
    assert kinds(ledger) == []
    assert not list((tmp_path / "elsewhere").iterdir())


def test_where_no_attempt_is_left_nothing_is_charged(at, monkeypatch):
    folder, ledger = at
    source = table(folder, "moved", column=0.3)
    refused = path.Refusal(why=["no"], rows=[])
    with monkeypatch.context() as patch:
        measured = path._attempt
        patch.setattr(path, "_attempt", lambda *args: (measured(*args), refused)[1])
        with pytest.raises(AuditFailed):
            refresh(at, source)
    before = kinds(ledger)
    assert before[-1] == "forfeit"
    with pytest.raises(PolicyRefusal, match="all 1 attempts"):
        refresh(at, source, out=folder / "third")
    assert kinds(ledger) == before
    assert not list(folder.glob("third*"))


def test_after_labels_were_bought_the_same_table_can_be_read_again(at):
    folder, ledger = at
    schema = Schema.loads('[table]\nname = "t"\n[columns.a]\nkind = "category"\nbuy = true\n')
    source = pa.table({"a": ["rare", *("x", "y", "z") * 1000]})
    api.release(
        source,
        schema=schema,
        policy=Policy.loads(POLICY),
        key=folder / "key.pem",
        out=folder / "labels",
        ledger=ledger,
    )
    found = refresh(at, source, previous=folder / "labels")
    assert "rare" not in (folder / "labels" / "schema.json").read_text()
    assert [column["status"] for column in found.changes["columns"]] == ["kept"]


def test_a_refresh_can_itself_be_refreshed_and_says_what_rests_on_several_releases(at):
    folder, ledger = at
    source = table(folder, "moved", column=0.3)
    before = refresh(at, source).predicate["refresh"]
    assert refresh(at, source, previous=folder / "second", out=folder / "nothing").release is None
    assert kinds(ledger)[-3:] == ["reserve", "begin", "commit"]
    found = refresh(at, table(folder, "again", column=0.3, pair=0.8), previous=folder / "second", out=folder / "third")
    claim, guarantee = found.predicate["refresh"], found.predicate["guarantee"]
    second, first = claim["previous"], before["previous"]
    assert [one["release"] for one in claim["keptFrom"]] == [second, first]
    both = f"kept from release {' and '.join(sorted((first, second)))}"
    measured = measurements(Model.from_release(found.folder).transcript)
    stage_of = {one.clique: one.event.stage for one in measured if one.event.stage.startswith("kept")}
    assert stage_of["a",] == both  # measured by the first, and by the drift test of the second
    assert stage_of["d",] == f"kept from release {second}"  # it moved in the second
    assert stage_of["a", "c"] == f"kept from release {first}"
    assert both in {stage["stage"] for stage in guarantee["stages"]}
    assert "by their sum: epsilon 8 at delta" in guarantee["notCovered"][-1]


def test_drift_answers_that_somebody_changed_are_refused(at):
    folder, ledger = at
    source = table(folder, "same")
    refresh(at, source)
    path = folder / "second.drift.internal" / "measurements.json"
    text = path.read_text()
    changed = re.sub(r'("values": \[)(-?\d+)', lambda found: f"{found[1]}{int(found[2]) + 900}", text, count=1)
    assert changed != text
    path.write_text(changed)
    with pytest.raises(RefusedError, match="not those that the ledger knows"):
        refresh(at, source)
    path.unlink()
    with pytest.raises(OutputError, match="lost the drift test's answers"):
        refresh(at, source)
    assert kinds(ledger) == ["reserve", "begin", "commit"]


def test_a_second_part_that_another_attempt_left_is_refused_before_anything_is_charged(at):
    folder, ledger = at
    source = table(folder, "moved", column=0.3)
    refresh(at, source)
    shutil.copytree(folder / "second.internal", folder / "third.internal")
    before = kinds(ledger)
    with pytest.raises(OutputError, match="what another attempt left"):
        refresh(at, source, out=folder / "third")
    assert kinds(ledger) == before
