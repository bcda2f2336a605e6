"""Nothing is put into a release's folder: it would not be what was signed any more, and could hold what may not leave.

And nothing that may be given away is put among internal figures.
"""

import numpy as np
import pytest

from privsynth.certificate import keys
from privsynth.certificate.places import require_outside, require_publishable
from privsynth.database import writing
from privsynth.errors import OutputError
from privsynth.evaluating import folder as evaluations
from privsynth.imagining import tables
from privsynth.privacy.ledgers.sqlite import SqliteLedger
from privsynth.releasing import audit_files
from privsynth.releasing.resuming import fit_in
from privsynth.releasing.workspace import Workspace
from privsynth.transcript_files import write_model

NO_FINDINGS = {"plan": None, "what": "", "claim": None}
WRITERS = {
    "a release": lambda place: Workspace(place).require_free(),
    "a resumed fit": lambda place: fit_in(place, None, None, None, terms=""),
    "an evaluation": lambda place: evaluations.require_free(place, []),
    "internal files": lambda place: evaluations.write_files(place, {}),
    "an audit": lambda place: audit_files.write_audit(place, None, **NO_FINDINGS),
    "an audit's figures": lambda place: audit_files.write_internal(place, None, **NO_FINDINGS),
    "an imagined table": lambda place: tables.require_new(place.with_suffix(".csv")),
    "a model": lambda place: write_model(place, {}, {"a": np.zeros(1)}),
    "tables": lambda place: writing.write({}, place),
    "a database file": lambda place: writing.write({}, place.with_suffix(".sqlite"), "sqlite"),
    "a key": lambda place: keys.new(place, place.parents[3] / "trust.toml", "machine"),
    "a trust store": lambda place: keys.new(place.parents[3] / "key.pem", place, "machine"),
    "a ledger": lambda place: SqliteLedger(place / "ledger.sqlite3"),
    "a ledger's checkpoint": lambda place: SqliteLedger(place.parents[3] / "l" / "ledger.sqlite3", place / "noted"),
}


@pytest.fixture
def release(tmp_path):
    folder = tmp_path / "a" / "b" / "release"
    (folder / "deep").mkdir(parents=True)
    (folder / "certificate.json").write_text("{}", encoding="utf-8")
    (folder.parent / "link").symlink_to(folder)
    return folder


@pytest.mark.parametrize("inside", ["release/next", "release/deep/next", "link/next", "release/deep/../next"])
def test_a_place_in_a_release_is_refused(release, inside):
    with pytest.raises(OutputError, match="folder of a release"):
        require_outside(release.parent / inside)


@pytest.mark.parametrize("writer", WRITERS)
def test_whatever_writes_refuses_a_place_in_a_release_and_leaves_nothing(release, writer):
    before = sorted(release.parents[2].rglob("*"))
    with pytest.raises(OutputError, match="folder of a release"):
        WRITERS[writer](release / "deep" / "next")
    assert sorted(release.parents[2].rglob("*")) == before


def test_a_place_beside_one_is_free(release):
    require_outside(release.parent / "next")
    Workspace(release.parent / "next").require_free()


@pytest.fixture(params=["by its notice", "by its name"])
def internal(tmp_path, request):
    folder = tmp_path / ("evaluated" if request.param == "by its notice" else "release.internal")
    if request.param == "by its notice":
        evaluations.write_files(folder, {})
    (folder / "deep").mkdir(parents=True)
    return folder


def test_what_may_be_given_away_is_not_put_among_internal_figures(internal):
    for place in (internal / "next", internal / "deep" / "next"):
        with pytest.raises(OutputError, match="internal figures"):
            Workspace(place).require_free()
        with pytest.raises(OutputError, match="internal figures"):
            audit_files.write_audit(place, None, **NO_FINDINGS)
        require_outside(place)  # internal figures may be


def test_beside_internal_figures_there_is_room(internal):
    require_publishable(internal.parent / "next")


def test_a_workspace_says_that_it_is_internal_and_leaves_no_trace_where_nothing_was_started(tmp_path):
    workspace = Workspace(tmp_path / "release")
    with workspace.locked():
        assert "never release" in (workspace.folder / "INTERNAL.txt").read_text(encoding="utf-8")
    assert not workspace.folder.exists()
