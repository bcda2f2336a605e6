"""The table of docs/kill-matrix.md, written from the list: `python -m tests.kill_matrix.page` renews it."""

from __future__ import annotations

from pathlib import Path

from tests.kill_matrix.matrix import DEFECTS, FAMILIES

PAGE = Path(__file__).resolve().parents[2] / "docs" / "kill-matrix.md"
START, END = "<!-- table: start -->", "<!-- table: end -->"


def table() -> str:
    """All defects, family by family, as Markdown."""
    lines = [f"{len(DEFECTS)} defects."]
    for title, defects in FAMILIES.items():
        lines += ["", f"## {title}", "", "| Defect | What is wrong | Drawn from | Caught by |", "|---|---|---|---|"]
        lines += [f"| {each.name} | {each.what} | {each.drawn_from} | `{each.caught_by}` |" for each in defects]
    return "\n".join(lines) + "\n"


def renewed(text: str) -> str:
    """The page with the table as it is now."""
    before, rest = text.split(START)
    return f"{before}{START}\n\n{table()}\n{END}{rest.split(END)[1]}"


if __name__ == "__main__":
    PAGE.write_text(renewed(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
