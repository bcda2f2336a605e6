"""Other people's generators: what they are handed, what they may give back, and what no message may say."""

import stat
import sys
import time

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from privsynth import records
from privsynth.black_box.adapter import Adapter
from privsynth.errors import AuditError, PolicyError
from privsynth.schema import Schema

SECRET = "UNMISTAKABLE-4711"  # noqa: S105 - a planted value to look for, not a password
SCHEMA = Schema.loads(
    """
[table]
name = "odd"
unit = "the person"
key = ["visit.no"]
[columns."visit.no"]
kind = "identifier"
make = "V-########"
[columns."the person"]
kind = "identifier"
make = "P-########"
[columns.note]
kind = "text"
drop = true
[columns."a \\"quoted\\" name"]
kind = "category"
values = ["x, y", "z"]
missing = ["?"]
[columns."sys.bp"]
kind = "number"
lower = "-10.0"
upper = "10.0"
precision = "0.1"
missing = ["NA"]
[columns."seen on"]
kind = "date"
lower = 2001-01-01
upper = 2009-12-31
format = "%d/%m/%Y"
[columns.month]
kind = "date"
granularity = "month"
lower = 2001-01-01
upper = 2001-12-01
[columns.one]
kind = "integer"
lower = 7
upper = 7
[columns.again]
kind = "boolean"
true = ["yes"]
false = ["no"]
"""
)
MODELLED = ['a "quoted" name', "sys.bp", "seen on", "month", "one", "again"]


def table(rows=40):
    return {
        "visit.no": [f"{SECRET}-{n}" for n in range(rows)],
        "the person": [f"{SECRET}-{n // 2}" for n in range(rows)],
        "note": [SECRET] * rows,
        'a "quoted" name': ["x, y", "z", "?", "z"] * (rows // 4),
        "sys.bp": ["-7.5", "NA", "0.1", "10"] * (rows // 4),
        "seen on": ["31/12/2005"] * rows,
        "month": ["2001-05"] * rows,
        "one": [7] * rows,
        "again": ["yes", "no"] * (rows // 2),
    }


@pytest.fixture(scope="module")
def training():
    return records.read(table(), SCHEMA).open()


def same(one, other):
    return all(np.array_equal(one.ticks[name], other.ticks[name]) for name in MODELLED)


def test_a_function_gets_the_modelled_columns_and_numbers_for_people(training):
    seen = {}

    def generate(frame, rows):
        seen.update(frame=frame, rows=rows)
        return frame

    released = Adapter.of_function(generate).release(training, 12)
    assert seen["rows"] == 12
    assert isinstance(seen["frame"], pd.DataFrame)
    assert list(seen["frame"].columns) == ["the person", *MODELLED]
    assert SECRET not in seen["frame"].to_csv()
    assert seen["frame"]["the person"].nunique() == 20
    assert same(released, training)


@pytest.mark.parametrize(
    "convert", [lambda f: f.drop(columns="the person"), pa.Table.from_pandas, dict, lambda f: f.iloc[::-1]]
)
def test_any_kind_of_frame_may_come_back(training, convert):
    released = Adapter.of_function(lambda frame, rows: convert(frame)).release(training, 1)
    assert released.rows == 40


def _with(name, values):
    def generate(frame, rows):
        frame[name] = values
        return frame

    return generate


@pytest.mark.parametrize(
    ("generate", "says"),
    [
        (lambda frame, rows: frame.drop(columns="sys.bp"), '"sys.bp"'),
        (_with(SECRET, 1), "does not declare"),
        (_with("seen on", SECRET), '"seen on"'),
        (_with('a "quoted" name', SECRET), 'a "quoted" name'),
        (_with("one", None), '"one" has empty cells'),
        (_with("sys.bp", float("inf")), '"sys.bp" holds NaN or infinity'),
        (lambda frame, rows: frame.iloc[:0], "no rows"),
        (lambda frame, rows: None, "cannot be read"),
        (lambda frame, rows: SECRET, "gave a text or a path"),
        (lambda frame, rows: frame[SECRET], "KeyError"),
        (lambda frame, rows: 1 / 0, "ZeroDivisionError"),
        (lambda frame: frame, "TypeError"),
    ],
)
def test_a_table_that_does_not_fit_is_refused_by_column_and_without_a_value(training, generate, says):
    with pytest.raises(AuditError) as found:
        Adapter.of_function(generate).release(training, 5)
    assert says in str(found.value)
    if "does not declare" not in says:  # a column's name may be told
        assert SECRET not in str(found.value)
    assert found.value.__cause__ is None


def test_numbers_beyond_the_bounds_and_between_the_steps_go_to_the_nearest(training):
    def generate(frame, rows):
        return frame.assign(**{"sys.bp": [99.0, -99.0, 0.14, 0.16] * 10, "one": 7.4})

    released = Adapter.of_function(generate).release(training, 5)
    assert released.ticks["sys.bp"][:4].tolist() == [100, -100, 1, 2]
    assert set(released.ticks["one"].tolist()) == {7}


def test_a_function_in_a_file(training, tmp_path, capsys):
    (tmp_path / "beside.py").write_text("ROWS = 3\n")
    file = tmp_path / "generate.py"
    file.write_text(
        "import beside\nprint('loaded')\n"
        "def generate(training, rows):\n    print(training)\n    return training.head(beside.ROWS)\n"
        "number = 1\n"
    )
    assert Adapter.of_function(f"{file}:generate").release(training, 9).rows == 3
    assert capsys.readouterr().out == ""
    assert str(tmp_path) not in sys.path
    (tmp_path / "lacks.py").write_text("import a_module_that_is_nowhere\n")
    (tmp_path / "wrong.py").write_text("def generate(:\n")
    for target, says in [
        (f"{file}:absent", 'no function "absent"'),
        (f"{file}:number", 'no function "number"'),
        (f"{file}", "path/to/file.py:name"),
        ("nowhere.py:generate", "no file"),
        (f"{tmp_path / 'lacks.py'}:generate", '"a_module_that_is_nowhere", which is not installed'),
        (f"{tmp_path / 'wrong.py'}:generate", "SyntaxError"),
    ]:
        with pytest.raises(PolicyError, match=says):
            Adapter.of_function(target)


def _script(tmp_path, body):
    path = tmp_path / "a generator.py"
    path.write_text("import sys, shutil, os, time\ntraining, rows, synthetic, log = sys.argv[1:]\n" + body)
    return f'"{sys.executable}" "{path}" {{training}} {{rows}} {{synthetic}} "{tmp_path / "log"}"'


def test_a_command_reads_and_writes_files_in_a_folder_that_goes_away(training, tmp_path, capfd):
    body = (
        "folder = os.path.dirname(training)\n"
        "open(log, 'w').write(f'{rows} {folder} {os.stat(folder).st_mode:o} {os.stat(training).st_mode:o}')\n"
        "print(open(training).read())\n"
        "shutil.copy(training, synthetic)\n"
    )
    released = Adapter.of_command(_script(tmp_path, body)).release(training, 12)
    assert same(released, training)
    rows, folder, mode, of_file = (tmp_path / "log").read_text().split()
    assert (rows, stat.S_IMODE(int(mode, 8)), stat.S_IMODE(int(of_file, 8))) == ("12", 0o700, 0o600)
    with pytest.raises(FileNotFoundError):
        open(folder)  # noqa: PTH123, SIM115
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (f"sys.exit('{SECRET}')", "exit code 1"),
        ("sys.exit(7)", "exit code 7"),
        ("pass", "wrote no table"),
        ("open(synthetic, 'w').close()", "is empty"),
        ("open(synthetic, 'w').write('a,b\\n1,2,3\\n')", "damaged"),
        ("open(synthetic, 'w').write(open(training).readline())", "no rows"),
    ],
)
def test_a_command_that_fails_says_how_and_not_what_it_printed(training, tmp_path, capfd, body, says):
    with pytest.raises(AuditError, match=says) as found:
        Adapter.of_command(_script(tmp_path, body)).release(training, 12)
    assert SECRET not in str(found.value) + "".join(capfd.readouterr())


def test_a_command_that_takes_too_long_is_ended_with_what_it_started(training, tmp_path):
    body = (
        "import subprocess\nchild = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "open(log, 'w').write(str(child.pid))\ntime.sleep(60)"
    )
    with pytest.raises(AuditError, match="took longer than 2 seconds"):
        Adapter.of_command(_script(tmp_path, body), time_limit=2).release(training, 12)
    child = (tmp_path / "log").read_text()
    for _ in range(100):
        try:
            state = (tmp_path.parent / f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return
        if state == "Z":
            return
        time.sleep(0.02)
    raise AssertionError("the child still runs")


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("prog --out {synthetic}", r"\{training\}"),
        ("prog {training}", r"\{synthetic\}"),
        ("prog '{training} {synthetic}", "quotes"),
        ("prog {training} > {synthetic}", '">" means nothing'),
        ("", r"\{training\}"),
    ],
)
def test_a_command_that_cannot_work_is_refused_at_once(command, says):
    with pytest.raises(PolicyError, match=says):
        Adapter.of_command(command)


def test_a_program_that_is_not_there(training):
    with pytest.raises(PolicyError, match='no program "no-such-program"'):
        Adapter.of_command("no-such-program {training} {synthetic}").release(training, 3)


def test_two_hundred_columns():
    names = [f"c {n}" for n in range(200)]
    schema = Schema.loads(
        '[table]\nname = "wide"\n'
        + "".join(f'[columns."{name}"]\nkind = "integer"\nlower = -5\nupper = 5\n' for name in names)
    )
    wide = records.read({name: [-5, 0, 5] for name in names}, schema).open()
    released = Adapter.of_function(lambda frame, rows: frame).release(wide, 3)
    assert all(released.ticks[name].tolist() == [-5, 0, 5] for name in names)
