"""Adapter: anybody's generator, as a Python function or as a command line, behind one call that takes and gives records.

Must never show what a foreign program printed or raised, which may hold a value of the table, nor leave a table behind.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import os
import shlex
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import TypeAlias, final

import pyarrow as pa

from privsynth import frames, records
from privsynth.errors import AuditError, PolicyError, RecordsError
from privsynth.records import Records
from privsynth.schema.columns import IdentifierColumn

Generate: TypeAlias = Callable[..., object]
"""`generate(training, rows)`: fits a frame and gives a frame of about so many rows, with the same columns."""

_TRAINING, _ROWS, _SYNTHETIC = "{training}", "{rows}", "{synthetic}"
_OF_A_SHELL = frozenset({"|", "||", "&", "&&", ";", ">", ">>", "<"})
_FAILURES = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    BufferError,
    EOFError,
    ImportError,
    LookupError,
    MemoryError,
    NameError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
)
"""What foreign code raises. Anything rarer ends at the command line, which withholds its text as well."""


@final
class Adapter:
    """A generator of somebody else's: made by `of_function` or `of_command`.

    It is handed the modelled columns of the schema in its order, in natural types (see `records.to_arrow`), and before them in
    that order the column that names the privacy unit, where there is one: with numbers in place of names. Keys, other
    identifiers and dropped text are left out. It gives back the modelled columns; identifiers may be absent.
    """

    def __init__(self, name: str, call: Callable[[pa.Table, int], object]) -> None:
        self.name = name
        self._call = call

    @classmethod
    def of_function(cls, target: str | Generate) -> Adapter:
        """A Python function `generate(training, rows)`, or where one is: "path/to/file.py:name".

        It gets a pandas frame where pandas is installed, else an Arrow table, and gives a frame of any kind or a dict of lists.
        What it prints is dropped. Raises: PolicyError when there is no such function.
        """
        function, name = (_loaded(target), target) if isinstance(target, str) else (target, _name_of(target))
        kind = frames.PANDAS if importlib.util.find_spec(frames.PANDAS) else frames.ARROW

        def call(table: pa.Table, rows: int) -> object:
            return _quietly(f"the function {name}", lambda: function(frames.to_kind(table, kind), rows))

        return cls(name, call)

    @classmethod
    def of_command(cls, command: str, *, time_limit: float | None = None) -> Adapter:
        """A command with {training} and {synthetic}, the paths of a CSV to read and of one to write, and {rows} if wanted.

        It is run without a shell, with its own temporary folder that nobody else may read. Units: `time_limit` in seconds.
        Raises: PolicyError when the command cannot be read or lacks a placeholder.
        """
        words = _words(command)

        def call(table: pa.Table, rows: int) -> object:
            return _run(words, table, rows, time_limit)

        return cls(Path(words[0]).name, call)

    def release(self, training: Records, rows: int) -> Records:
        """Let the generator fit these records and give `rows` rows; numbers outside their bounds go to the nearest bound.

        A category that the schema does not declare goes to the column's `other` label; where it has none, the table is
        refused, because records that nobody can compare would make the generator look better than it is.
        Privacy: hands the records to foreign code.
        Raises: AuditError naming the column or the failure, never a value.
        """
        answer = self._call(_table(training), rows)
        if isinstance(answer, str | os.PathLike):
            raise AuditError(f"{self.name} gave a text or a path; expected a frame, an Arrow table or a dict of lists")
        try:
            return records.read_public(answer, training.schema, out_of_domain="clamp")
        except RecordsError as problem:
            raise AuditError(f"what {self.name} gave does not fit the schema: {problem}") from None


def _name_of(function: Generate) -> str:
    return str(getattr(function, "__name__", type(function).__name__))


def _table(training: Records) -> pa.Table:
    """The frame that a generator gets."""
    schema, rows = training.schema, training.rows
    identifiers: Mapping[str, list[str]] = {
        column.name: list(map(str, range(rows) if training.units is None else training.units.tolist()))
        for column in schema.columns
        if isinstance(column, IdentifierColumn)
    }
    table = records.to_arrow(training, identifiers)
    return table.drop_columns([name for name in identifiers if name != schema.unit])


# ---- a function ------------------------------------------------------------------------------------------------------


def _loaded(target: str) -> Generate:
    """The function of "path/to/file.py:name"."""
    place, separator, name = target.rpartition(":")
    path = Path(place)
    if not separator or not name.isidentifier() or path.suffix != ".py":
        raise PolicyError(f'a function is given as path/to/file.py:name; found "{target}"')
    if not path.is_file():
        raise PolicyError(f"there is no file {path}; check the path of the function")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    _quietly(f"the file {path.name}", lambda: _execute(spec, module), error=PolicyError)
    function = getattr(module, name, None)
    if not callable(function):
        raise PolicyError(f'{path.name} has no function "{name}"; expected def {name}(training, rows)')
    found: Generate = function
    return found


def _execute(spec: ModuleSpec, module: ModuleType) -> None:
    """Run the file, with its own folder in the path while it is imported."""
    assert spec.loader is not None
    assert spec.origin is not None
    sys.path.insert(0, str(Path(spec.origin).resolve().parent))
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.pop(0)


def _quietly(what: str, action: Callable[[], object], error: type[AuditError | PolicyError] = AuditError) -> object:
    """Run foreign code; what it prints is dropped, and of what it raises the kind is told, and a module that it lacks."""
    problem = ""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        try:
            return action()
        except ModuleNotFoundError as missing:
            problem = f'{what} needs the module "{missing.name}", which is not installed; install it beside privsynth'
        except _FAILURES as failure:
            problem = (
                f"{what} broke off ({type(failure).__name__}); its text is withheld, because it may hold values of the table: "
                "call it on a made-up table to see it"
            )
    raise error(problem)


# ---- a command -------------------------------------------------------------------------------------------------------


def _words(command: str) -> list[str]:
    try:
        words = shlex.split(command)
    except ValueError:
        raise PolicyError("the command's quotes do not match; close every quote") from None
    for needed in (_TRAINING, _SYNTHETIC):
        if not any(needed in word for word in words):
            raise PolicyError(
                f"the command does not name {needed}; write for example "
                f'"prog --in {_TRAINING} --rows {_ROWS} --out {_SYNTHETIC}"'
            )
    if found := sorted(_OF_A_SHELL & set(words)):
        raise PolicyError(f'the command is run without a shell, where "{found[0]}" means nothing; put it into a script')
    return words


def _run(words: list[str], table: pa.Table, rows: int, time_limit: float | None) -> pa.Table:
    """Write the table into a folder of its own (mode 0700), run the command, read what it wrote, remove the folder."""
    with tempfile.TemporaryDirectory(prefix="privsynth-") as made:
        training, synthetic = Path(made) / "training.csv", Path(made) / "synthetic.csv"
        frames.write_csv(table, training)
        values = {_TRAINING: str(training), _ROWS: str(rows), _SYNTHETIC: str(synthetic)}
        code = _exit_code([_filled(word, values) for word in words], time_limit)
        program = Path(words[0]).name
        if code != 0:
            raise AuditError(
                f"{program} ended with exit code {code}; what it printed is withheld, because it may hold values of the table: "
                "run it on a made-up table to see it"
            )
        if not synthetic.is_file():
            raise AuditError(f"{program} ended well and wrote no table to {_SYNTHETIC}; check the command's options")
        return _read(synthetic, program)


def _read(path: Path, program: str) -> pa.Table:
    try:
        names = frames.column_names(path)
        arrays = frames.read(path, names)
    except RecordsError as problem:
        raise AuditError(f"what {program} wrote cannot be read: {problem}") from None
    return pa.table(arrays)


def _filled(word: str, values: Mapping[str, str]) -> str:
    for placeholder, value in values.items():
        word = word.replace(placeholder, value)
    return word


def _exit_code(words: list[str], time_limit: float | None) -> int:
    """Run a command in a session of its own, so that on a time-out whatever it started ends with it."""
    nothing = subprocess.DEVNULL
    try:
        process = subprocess.Popen(words, stdin=nothing, stdout=nothing, stderr=nothing, start_new_session=True)
    except (FileNotFoundError, PermissionError):
        raise PolicyError(f'there is no program "{words[0]}" that may be run; check the command') from None
    try:
        return process.wait(timeout=time_limit)
    except subprocess.TimeoutExpired:
        raise AuditError(
            f"{Path(words[0]).name} took longer than {time_limit:g} seconds; allow it more time, or give it fewer rows"
        ) from None
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
