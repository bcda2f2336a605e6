"""The README says what is so: its example runs, its commands and files exist, its figures are those of the code."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_worked_example_runs(monkeypatch):
    monkeypatch.chdir(ROOT)
    code = "\n".join(re.findall(r"```python\n(.*?)```", README, re.DOTALL))
    names: dict[str, object] = {}
    exec(compile(code, "README.md", "exec"), names)  # noqa: S102 - it is our own README
    assert names["synthetic"].num_rows == 1000
    assert names["tables"]["tests"].num_rows > 10_000
    assert set(names["women"]["SEX"].to_pylist()) == {"2"}
    assert all(30 <= age <= 39 for age in names["women"]["AGE"].to_pylist())


def test_every_make_command_it_names_exists():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    named = set(re.findall(r"`?make ([a-z-]+)", README)) - {"sure"}
    assert {"demo", "test", "check", "bench", "help"} <= named
    for target in named:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_ci_runs_the_readmes_test_command_and_nothing_else():
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    commands = [line for line in script.splitlines() if line and not line.startswith(("#", "set ", "cd "))]
    assert commands == ["exec make test"]


def test_every_verb_it_shows_exists(capsys):
    from privsynth.cli import run

    for verb in set(re.findall(r"^privsynth ([a-z]+(?: (?:new|show|check|diff|verify))?)\b", README, re.MULTILINE)):
        assert run([*verb.split(), "--help"]) == 0, verb
        assert "Usage" in capsys.readouterr().out


@pytest.mark.parametrize("path", sorted(set(re.findall(r"`((?:docs|privsynth|examples)/[\w./-]+)`", README))))
def test_every_file_it_names_exists(path):
    assert (ROOT / path).exists()


def test_the_documented_exit_codes_are_the_code():
    from privsynth import errors

    documented = re.search(r"Exit codes: (.*?)\.", README).group(1)
    codes = {int(part.split()[0]) for part in documented.split(", ")}
    kinds = [
        value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, errors.PrivsynthError)
    ]
    assert codes == {0} | {kind.exit_code for kind in kinds}


def test_the_core_installs_no_more_than_the_readme_says():
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    core = re.search(r"^dependencies = \[(.*?)\]", text, re.DOTALL | re.MULTILINE).group(1)
    for name in re.findall(r'"([a-z]+)', core):
        assert name in README
    assert "torch" not in core
