"""The files of a release folder. Must never pass over one, follow a link, or wait on a device."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from privsynth.certificate.folder import MAX_DEPTH, digest, digests, names
from privsynth.errors import SubjectMismatch


def test_every_file_is_a_subject_but_the_certificate(tmp_path: Path) -> None:
    (tmp_path / "b" / "c").mkdir(parents=True)
    for name in ("z.csv", "certificate.json", "b/a.svg", "b/c/certificate.json"):
        (tmp_path / name).write_text(name)
    assert names(tmp_path) == ["b/a.svg", "b/c/certificate.json", "z.csv"]
    assert digests(tmp_path) == {name: hashlib.sha256(name.encode()).hexdigest() for name in names(tmp_path)}


def test_a_digest_is_of_the_whole_file(tmp_path: Path) -> None:
    content = bytes(range(256)) * 8192 + b"end"
    (tmp_path / "big").write_bytes(content)
    assert digest(tmp_path / "big") == hashlib.sha256(content).hexdigest()
    with pytest.raises(SubjectMismatch, match="cannot be read"):
        digest(tmp_path / "missing")


@pytest.mark.parametrize("name", [".hidden", "a b", "caf\u00e9", "cafe\u0301", "-x", "a\nb", "a..b", "internal"])
def test_files_with_other_names_are_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("")
    with pytest.raises(SubjectMismatch) as refusal:
        names(tmp_path)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("place", ["internal", "a/internal", ".git", "a/.git"])
def test_folders_that_must_not_be_there_are_refused_even_when_empty(tmp_path: Path, place: str) -> None:
    (tmp_path / place).mkdir(parents=True)
    with pytest.raises(SubjectMismatch):
        names(tmp_path)


def test_links_and_devices_are_refused(tmp_path: Path) -> None:
    (tmp_path / "real" / "in").mkdir(parents=True)
    (tmp_path / "real" / "file").write_text("")
    folder = tmp_path / "release"
    for target in ("real", "real/file", "nowhere"):
        folder.mkdir()
        (folder / "link").symlink_to(tmp_path / target)
        with pytest.raises(SubjectMismatch, match="plain files only"):
            names(folder)
        with pytest.raises(SubjectMismatch, match="cannot be read"):
            digest(folder / "link")
        (folder / "link").unlink()
        folder.rmdir()
    folder.mkdir()
    os.mkfifo(folder / "pipe")
    with pytest.raises(SubjectMismatch, match="plain files only"):
        names(folder)
    with pytest.raises(SubjectMismatch, match="no plain file"):
        digest(folder / "pipe")
    (tmp_path / "to-release").symlink_to(tmp_path / "real")
    for no_folder in (tmp_path / "to-release", tmp_path / "real" / "file", tmp_path / "nowhere"):
        with pytest.raises(SubjectMismatch, match="is no folder"):
            names(no_folder)


def test_a_deep_folder_is_refused(tmp_path: Path) -> None:
    deep = tmp_path.joinpath(*["d"] * MAX_DEPTH)
    deep.mkdir(parents=True)
    (deep / "f").write_text("")
    with pytest.raises(SubjectMismatch):
        names(tmp_path)
