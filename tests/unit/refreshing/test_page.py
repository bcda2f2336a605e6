"""docs/refresh.md: its command has the options that it names, its map is read, and what it says is refused is."""

import re
import tomllib
from pathlib import Path

import pytest

from privsynth import generators
from privsynth.cli import run
from privsynth.refreshing.prior import MEASURING
from privsynth.refreshing.refreshed import DRIFT_SHARE

PAGE = (Path(__file__).parents[3] / "docs" / "refresh.md").read_text()


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.S)


def test_the_command_has_every_option_on_the_page(capsys):
    assert run(["refresh", "--help"]) == 0
    shown = capsys.readouterr().out
    named = set(re.findall(r"--[a-z]+", PAGE))
    assert named >= {"--previous", "--policy", "--key", "--out", "--trust", "--schema"}
    assert not [option for option in named if option not in shown]


def test_the_map_is_toml_with_columns_and_labels():
    (text,) = blocks("toml")
    found = tomllib.loads(text)
    assert found["sex"] == "gender"
    assert set(found["ward"].values()) == {"Surgery"}


@pytest.mark.parametrize("name", sorted(set(generators.NAMES) - set(MEASURING)))
def test_the_generators_that_are_refused_are_named(name):
    assert f"`{name}`" in PAGE.split("## What is refused")[1]


def test_the_share_of_the_drift_test_is_that_of_the_page():
    assert f"{int(DRIFT_SHARE * 100)} % of the policy's release budget" in PAGE
