"""The checkpoint file and the places a ledger may live in. Must never need a ledger's database."""

from __future__ import annotations

import fcntl
import os
import stat
from pathlib import Path

import pytest

from privsynth.errors import LedgerError
from privsynth.privacy.checkpoint import (
    FORMAT,
    Checkpoint,
    folder_lock,
    network_filesystem,
    prepare_folder,
    require_private_file,
)
from privsynth.privacy.ledger_entry import GENESIS, LedgerHead

START = LedgerHead(sequence=0, digest=GENESIS)
FIRST, SECOND = LedgerHead(sequence=1, digest="a" * 64), LedgerHead(sequence=2, digest="b" * 64)


def make(folder: Path) -> Checkpoint:
    return Checkpoint(folder / "ledger.checkpoint", timeout_seconds=0.05)


def test_what_is_noted_is_read_back(tmp_path: Path) -> None:
    checkpoint = make(tmp_path)
    assert checkpoint.read() is None
    checkpoint.advance(FIRST, lambda _: True)
    assert make(tmp_path).read() == FIRST
    assert checkpoint.path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [checkpoint.path]


def test_it_is_on_the_disk_before_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    acts: list[str] = []

    def sync(descriptor: int) -> None:
        acts.append("sync folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "sync file")

    def rename(source: Path, target: Path) -> None:
        acts.append(f"rename {source.name} with {source.stat().st_size > 0}")
        source.rename(target)

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(os, "replace", rename)
    make(tmp_path).advance(FIRST, lambda _: True)
    assert acts == ["sync file", "rename ledger.checkpoint.new with True", "sync folder"]


def test_it_never_goes_back(tmp_path: Path) -> None:
    checkpoint = make(tmp_path)
    checkpoint.advance(SECOND, lambda _: True)
    checkpoint.advance(FIRST, lambda _: True)
    assert checkpoint.read() == SECOND


def test_it_is_not_moved_to_another_history(tmp_path: Path) -> None:
    checkpoint = make(tmp_path)
    checkpoint.advance(FIRST, lambda _: True)
    with pytest.raises(LedgerError, match="forked"):
        checkpoint.advance(SECOND, lambda head: head == START)
    assert checkpoint.read() == FIRST


def test_a_leftover_of_a_crash_does_no_harm(tmp_path: Path) -> None:
    checkpoint = make(tmp_path)
    (tmp_path / "ledger.checkpoint.new").write_text("half a chec")
    assert checkpoint.read() is None
    checkpoint.advance(FIRST, lambda _: True)
    assert checkpoint.read() == FIRST


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "7",
        "null",
        '{"format": "F", "sequence": 1}',
        '{"format": "other", "sequence": 1, "digest": "a"}',
        '{"format": "F", "sequence": "1", "digest": "a"}',
        '{"format": "F", "sequence": true, "digest": "a"}',
        '{"format": "F", "sequence": -1, "digest": "a"}',
        '{"format": "F", "sequence": 1, "digest": 7}',
        "\x00\xff",
    ],
)
def test_a_damaged_checkpoint_is_refused(tmp_path: Path, text: str) -> None:
    checkpoint = make(tmp_path)
    checkpoint.path.write_bytes(text.replace('"F"', f'"{FORMAT}"').encode("latin-1"))
    checkpoint.path.chmod(0o600)
    with pytest.raises(LedgerError, match="is damaged"):
        checkpoint.read()
    with pytest.raises(LedgerError, match="is damaged"):
        checkpoint.advance(FIRST, lambda _: True)


def test_a_lock_that_another_holds_is_not_waited_for_for_ever(tmp_path: Path) -> None:
    holder = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(holder, fcntl.LOCK_EX)
    with pytest.raises(LedgerError, match="locked by another process"):
        make(tmp_path).advance(FIRST, lambda _: True)
    os.close(holder)
    with folder_lock(tmp_path, timeout_seconds=0.05):
        pass
    make(tmp_path).advance(FIRST, lambda _: True)


def test_a_new_folder_admits_nobody_else(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    prepare_folder(folder)
    prepare_folder(folder)
    assert folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("mode", [0o755, 0o770, 0o701, 0o777])
def test_a_folder_that_others_may_enter_is_refused(tmp_path: Path, mode: int) -> None:
    tmp_path.chmod(mode)
    with pytest.raises(LedgerError, match="folder of its own"):
        prepare_folder(tmp_path)


def test_only_a_private_plain_file_will_do(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.touch(mode=0o600)
    require_private_file(plain)
    (tmp_path / "link").symlink_to(plain)
    for other in (tmp_path / "link", tmp_path):
        with pytest.raises(LedgerError, match="plain file"):
            require_private_file(other)
    for mode in (0o640, 0o604, 0o620):
        plain.chmod(mode)
        with pytest.raises(LedgerError, match="chmod 600"):
            require_private_file(plain)


MOUNTS = """server:/home /home nfs4 rw 0 0
/dev/vdb /home/local\\040disk ext4 rw 0 0
tmpfs /scratch tmpfs rw 0 0
share /mnt/bank cifs rw 0 0
/dev/vda / ext4 rw 0 0
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/var/ledger", None),
        ("/home/ann/ledger", "nfs4"),
        ("/home/local disk/ledger", None),
        ("/homestead", None),
        ("/mnt/bank", "cifs"),
        ("/scratch/x", None),
    ],
)
def test_a_network_file_system_is_recognised(path: str, kind: str | None) -> None:
    assert network_filesystem(Path(path), MOUNTS) == kind
