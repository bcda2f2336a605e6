"""Policies and audit plans are read in the top folders and shipped inside the package: the two must be the same bytes."""

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = ROOT / "privsynth" / "shipped"


@pytest.mark.parametrize("folder", ["policies", "audits"])
def test_the_shipped_copies_are_the_files_that_users_read(folder):
    read = {path.name: path.read_bytes() for path in (ROOT / folder).iterdir()}
    shipped = {path.name: path.read_bytes() for path in (SHIPPED / folder).iterdir()}
    assert read, f"{folder}/ is empty"
    assert shipped == read, f"copy them again: cp {folder}/*.toml privsynth/shipped/{folder}/"
