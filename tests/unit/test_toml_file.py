import hashlib
import string
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from privsynth import toml_file
from privsynth.errors import PolicyError, SchemaError
from privsynth.toml_file import MAX_BYTES, MAX_DEPTH, MAX_LINE

SAMPLE = '''# a comment with a = 1
top = "x"

[budget]
release = "1" # trailing
list = [
  1, # first
  2,
]
inline = { a = 1, "b c" = [ { d = 2 } ] }
text = """
not.a = key
[nor.a.table]
"""
raw = \'\'\'
x = 1\'\'\'
dotted.inner.key = true

[[rules]]
kind = "order"
[[rules]]
kind = "sum"
[rules.extra]
when = 2001-01-01 12:00:00
'''


def parse(text, name="file.toml"):
    return toml_file.parse(text.encode(), name=name)


def test_every_key_has_its_line():
    file = parse(SAMPLE)
    lines = {".".join(path): line for path, line in file.lines.items()}
    expected = {
        "top": 2, "budget": 4, "budget.release": 5, "budget.list": 6, "budget.list.1": 8, "budget.inline": 10,
        "budget.inline.a": 10,
        "budget.inline.b c": 10, "budget.inline.b c.0.d": 10, "budget.text": 11, "budget.raw": 15,
        "budget.dotted.inner.key": 17, "rules.0": 19, "rules.0.kind": 20, "rules.1": 21, "rules.1.kind": 22,
        "rules.1.extra.when": 24,
    }  # fmt: skip
    assert {key: lines[key] for key in expected} == expected
    assert not {"not.a", "x", "a", "nor.a.table"} & set(lines)


def test_where_falls_back_to_the_nearest_table_then_to_the_file():
    file = parse(SAMPLE)
    assert file.where("budget", "absent") == "file.toml, line 4"
    assert file.where("absent", "absent") == "file.toml"


def test_digest_is_that_of_the_exact_bytes():
    content = b"a = 1\r\n"
    assert toml_file.parse(content, name="f").digest == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize(
    ("text", "key", "line"),
    [
        ("a = 1\nb = 2\na = 3", "a", 3),
        ("[x]\na = 1\n[y]\n[x]\nb = 1", "x", 4),
        ("[x]\n a . b = 1\n'a'.\"b\" = 2", "x.a.b", 3),
        ("t = { k = 1,\tk = 2 }", "t.k", 1),
        ("[x]\ny.z = 1\ny = 2", "x.y", 3),
    ],
)
def test_a_key_given_twice_is_refused_by_name_and_line(text, key, line):
    with pytest.raises(PolicyError, match=rf"line {line}: {key} is given twice"):
        parse(text)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\xef\xbb\xbfa = 1", "line 1: .*byte-order mark"),
        (b"a = 1\nb = '\xff'", "line 2: not UTF-8"),
        (b"a = \n", "not TOML"),
        (b"a = 1 b = 2", "not TOML"),
        (b"# x\n" * (MAX_BYTES // 4 + 1), "larger than"),
        (b"a = 1\n#" + b"x" * MAX_LINE, f"line 2: longer than {MAX_LINE}"),
        (b"a = " + b"[" * 2000, f"deeper than {MAX_DEPTH}"),
        (b"[" + b".".join([b"a"] * (MAX_DEPTH + 1)) + b"]", f"deeper than {MAX_DEPTH}"),
        (b"a = " + b"{ b = " * 300 + b"1" + b" }" * 300, f"deeper than {MAX_DEPTH}"),
        (b"[x]\n[x.y]\n[[x]]", "not TOML"),
    ],
)
def test_hostile_and_broken_files_are_refused(content, said):
    with pytest.raises(PolicyError, match=said):
        toml_file.parse(content, name="file.toml")


def test_the_error_class_is_the_callers(tmp_path):
    with pytest.raises(SchemaError, match="no such file"):
        toml_file.read(tmp_path / "absent.toml", error=SchemaError)
    with pytest.raises(PolicyError, match="cannot be read"):
        toml_file.read(tmp_path)
    with pytest.raises(PolicyError, match="that is no path"):
        toml_file.read(tmp_path / "a\0b")


def test_a_file_reads_like_its_text(tmp_path):
    (tmp_path / "p.toml").write_text(SAMPLE)
    file = toml_file.read(tmp_path / "p.toml")
    assert file.name == "p.toml"
    assert dict(file.tree) == tomllib.loads(SAMPLE)


KEY = st.text(string.ascii_letters + string.digits + "_-", min_size=1, max_size=6)
LEAF = st.one_of(
    st.integers(-99, 99).map(str),
    st.booleans().map(lambda value: str(value).lower()),
    st.text("ab#=[]{},.'\" \\", max_size=8).map(
        lambda text: '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
    ),
    st.text('ab#=[]{},." \\', max_size=8).map(lambda text: f"'{text}'"),
    st.text("ab#=[]\n{},' ", max_size=8).map(lambda text: f'"""{text}"""'),
    st.just("2001-01-01"),
)
VALUE = st.recursive(
    LEAF,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda items: "[ # c ]\n" + ",\n".join(items) + "\n]"),
        st.dictionaries(KEY, inner, max_size=3).map(
            lambda items: "{ " + ", ".join(f"{key} = {value}" for key, value in items.items()) + " }"
        ),
    ),
    max_leaves=6,
)


def paths(value, prefix=()):
    if isinstance(value, dict):
        for key, inner in value.items():
            yield (*prefix, key)
            yield from paths(inner, (*prefix, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield (*prefix, str(index))
            yield from paths(inner, (*prefix, str(index)))


@given(st.dictionaries(KEY, st.dictionaries(KEY, VALUE, max_size=4), max_size=4), st.booleans())
def test_exactly_the_keys_of_the_tree_have_lines(tables, carriage_returns):
    text = "".join(
        f"[{name}] # t\n" + "".join(f"{key} = {value}\n" for key, value in table.items())
        for name, table in tables.items()
    )
    file = parse(text.replace("\n", "\r\n") if carriage_returns else text)
    assert set(file.lines) == set(paths(dict(file.tree)))


@given(st.text("a.=[]{}\"'\n#, \\1", max_size=30))
def test_whatever_the_text_it_parses_as_toml_or_raises_a_policy_error(text):
    try:
        expected = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        with pytest.raises(PolicyError):
            parse(text)
    else:
        assert dict(parse(text).tree) == expected
