"""Nothing is put into a release's folder: it would not be what was signed any more, and could hold what may not leave."""

import pytest

from privsynth.certificate.folder import require_outside
from privsynth.errors import OutputError
from privsynth.imagining import tables
from privsynth.releasing.workspace import Workspace


@pytest.fixture
def release(tmp_path):
    folder = tmp_path / "release"
    (folder / "deep").mkdir(parents=True)
    (folder / "certificate.json").write_text("{}", encoding="utf-8")
    (tmp_path / "link").symlink_to(folder)
    return folder


@pytest.mark.parametrize("inside", ["release/next", "release/deep/next", "link/next"])
def test_a_place_in_a_release_is_refused_before_anything(release, inside):
    place = release.parent / inside
    with pytest.raises(OutputError, match="folder of a release"):
        Workspace(place).require_free()
    with pytest.raises(OutputError, match="folder of a release"):
        tables.require_new(place.with_suffix(".csv"))


def test_a_place_beside_one_is_free(release):
    require_outside(release.parent / "next")
    Workspace(release.parent / "next").require_free()
