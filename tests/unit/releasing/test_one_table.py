"""A release of one table whose records break a declared rule says so: in its certificate, its report and on the terminal."""

import json
from types import SimpleNamespace

from privsynth import api
from privsynth.answering.contradictions import ADVICE, spoken
from privsynth.cli import run
from privsynth.policy import Policy
from tests import clinic


def broken_table():
    """One visit in ten is a man's on the maternity ward."""
    rows = clinic.rows(patients=3000)
    for row in rows[::10]:
        row[4], row[5] = "M", "Maternity"
    return rows


def released(make, folder, table=None):
    allowed = clinic.POLICY.replace('"independent", "mst"', '"independent", "latent_class"')
    source, _, policy = clinic.write(folder, table, policy=allowed)
    return make(source=source, policy=Policy.load(policy), generator="latent_class", settings={"components": 40})


def test_a_rule_that_records_break_is_told_of_wherever_the_release_is_read(make, tmp_path, monkeypatch, capsys):
    made = released(make, tmp_path / "broken", broken_table())
    (sentence, *_) = spoken(made.predicate["limitations"])
    assert "if ward in {Maternity} then sex in {F}" in sentence
    assert ADVICE in sentence
    page = (made.folder / "report.html").read_text()
    assert "ward × sex" in page or "sex × ward" in page
    assert ADVICE in page
    monkeypatch.setattr(api, "release", lambda *_, **__: SimpleNamespace(folder=made.folder, predicate=made.predicate))
    words = ["release", "t.csv", "--schema", "s", "--policy", "p", "--out", "o", "--key", "k"]
    assert run(words) == 0
    assert sentence in capsys.readouterr().out
    assert run(["--json", *words]) == 0
    assert sentence in json.loads(capsys.readouterr().out)["contradictions"]


def test_a_release_whose_records_keep_the_rules_says_nothing(make, tmp_path):
    made = released(make, tmp_path / "kept", clinic.rows(patients=3000))
    assert spoken(made.predicate["limitations"]) == []
