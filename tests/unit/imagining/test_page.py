"""docs/scenarios.md: its blocks run, in order."""

import re
import shlex
from pathlib import Path

from privsynth.cli import run
from privsynth.making import makers

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "scenarios.md").read_text(encoding="utf-8")


def test_the_pages_blocks_run(tmp_path, monkeypatch, capsys):
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    blocks = re.findall(r"```(console|python)\n(.*?)```", PAGE, re.DOTALL)
    assert len(blocks) == 5
    for kind, text in blocks:
        if kind == "python":
            exec(compile(text, "scenarios.md", "exec"), names)  # noqa: S102 - it is our own page
        else:
            verb, *words = shlex.split(text.removeprefix("$ "))
            assert verb == "privsynth"
            assert run(words) == 0
    assert "readmitted: total variation" in capsys.readouterr().out
    assert (tmp_path / "whatif.csv").exists()


def test_the_page_names_every_way():
    ways = {
        "".join(kind.model_fields["how"].annotation.__args__)
        for kind in makers.AbstractMaker.__subclasses__()
        if "how" in kind.model_fields
    }
    assert ways - set(re.findall(r'`"([a-z]+)"`', PAGE)) == set()
    assert len(ways) >= 9
