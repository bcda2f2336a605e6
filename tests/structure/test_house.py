"""The tree checks itself: sizes, headers, docstrings, names, and what a bare import loads."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted((ROOT / "privsynth").rglob("*.py"))
ALL = [*SOURCES, *sorted((ROOT / "tests").rglob("*.py")), *sorted((ROOT / "examples").rglob("*.py"))]
RELATIVE = [str(path.relative_to(ROOT)) for path in SOURCES]


@pytest.mark.parametrize("path", ALL, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_and_functions_are_small(path):
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 400
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno - node.lineno < 60, node.name


@pytest.mark.parametrize("path", SOURCES, ids=RELATIVE)
def test_every_module_says_what_it_is_for_and_what_it_must_never_do(path):
    header = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    assert header
    if path.name != "__init__.py":
        assert "Must never" in header


@pytest.mark.parametrize("path", SOURCES, ids=RELATIVE)
def test_no_junk_drawers_no_keyword_dictionaries_no_attribute_guessing(path):
    assert path.stem not in {"utils", "common", "core", "base", "helpers", "misc"}
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            assert node.args.kwarg is None, f"{node.name} takes **{node.args.kwarg.arg if node.args.kwarg else ''}"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id != "hasattr"


@pytest.mark.parametrize("path", SOURCES, ids=RELATIVE)
def test_classes_are_abstract_or_final(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ClassDef) and "errors.py" not in path.name:
            decorated = any("final" in ast.unparse(decorator) for decorator in node.decorator_list)
            bases = {ast.unparse(base).split("[")[0] for base in node.bases}
            special = bases & {"TypedDict", "Protocol", "NamedTuple"} or any(
                base.endswith(("Error", "Exception")) for base in bases
            )
            assert decorated or special or node.name.lstrip("_").startswith("Abstract"), node.name


def test_system_entropy_is_read_in_two_places_only():
    users = {
        str(path.relative_to(ROOT))
        for path in SOURCES
        if re.search(r"\bos\.urandom\b|\bimport secrets\b|\bfrom secrets\b", path.read_text(encoding="utf-8"))
    }
    assert users <= {"privsynth/privacy/noise.py", "privsynth/certificate/keys.py"}
    assert "privsynth/privacy/noise.py" in users


def test_no_module_shadows_a_public_verb():
    import privsynth

    stems = {path.stem for path in (ROOT / "privsynth").iterdir() if path.suffix == ".py" or path.is_dir()}
    assert not stems & set(privsynth.__all__)


@pytest.mark.parametrize("statement", ["import privsynth", "import privsynth.cli.app"])
def test_a_bare_import_is_light(statement):
    heavy = {"pandas", "scipy", "torch", "jax", "polars", "sklearn", "faker", "dp_accounting", "duckdb", "fairlearn"}
    code = f"import sys; {statement}; sys.exit(', '.join({heavy} & set(sys.modules)) or 0)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_import_contracts_hold():
    done = subprocess.run(
        [str(Path(sys.executable).with_name("lint-imports"))], capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 0, done.stdout[-4000:]
