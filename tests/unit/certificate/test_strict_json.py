"""Hostile JSON. Must never need a certificate around it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from privsynth.certificate.strict_json import JsonValue, parse
from privsynth.errors import CertificateError

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**18), 10**18)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)


def read(content: bytes) -> JsonValue:
    return parse(content, what="the text", max_bytes=10_000)


@given(PLAIN)
def test_plain_json_is_read_as_it_is(value: JsonValue) -> None:
    assert parse(json.dumps(value).encode(), what="the text", max_bytes=10**6) == value


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b'{"a":1,"a":2}', "twice"),
        (b'{"x":{"a":1,"\\u0061":1}}', "twice"),
        (b'{"a":NaN}', "not finite"),
        (b"[Infinity]", "not finite"),
        (b"[-Infinity]", "not finite"),
        (b"[1e999]", "not finite"),
        (b"[" + b"9" * 21 + b"]", "too long"),
        (b"[" + b"9" * 5000 + b"]", "too long"),
        (b"[" * 17 + b"]" * 17, "deeper"),
        (b'{"a":' * 17 + b"1" + b"}" * 17, "deeper"),
        (b"[" * 4000, "not JSON"),
        (b"[" * 4900 + b"]" * 4900, "not JSON|deeper"),
        (b'["\\ud800"]', "not JSON"),
        (b'{"\\udfff":1}', "not JSON"),
        (b"\xef\xbb\xbf{}", "not JSON"),
        (b"\xff\xfe{\x00}\x00", "not JSON"),
        (b'["\xc3\x28"]', "not JSON"),
        (b"{'a':1}", "not JSON"),
        (b"{} {}", "not JSON"),
        (b"", "not JSON"),
        (b'"' + b"a" * 10_000 + b'"', "larger than"),
    ],
)
def test_what_two_readers_could_read_differently_is_refused(content: bytes, complaint: str) -> None:
    with pytest.raises(CertificateError, match=complaint):
        read(content)


def test_sixteen_levels_are_enough_and_allowed() -> None:
    value: JsonValue = 1
    for _ in range(15):
        value = [value]
    assert read(json.dumps(value).encode()) == value
