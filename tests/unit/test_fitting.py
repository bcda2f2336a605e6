"""Fitting: a table is known again by its keyed digest, however it is kept."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from privsynth.fitting import fingerprint
from privsynth.private import Private
from privsynth.records import Records, read
from privsynth.schema import Schema

KEY = bytes(range(32))
SCHEMA = Schema.from_domain({"a": 5, "b": 300})


def test_a_table_is_known_again_however_it_is_kept() -> None:
    packed = read({"a": [0, 4, 2], "b": [299, 0, 7]}, SCHEMA).open()
    wide = Records(schema=SCHEMA, ticks=dict(packed.ticks))
    known = fingerprint(Private(packed), KEY)
    assert known == fingerprint(Private(wide), KEY)
    owned = replace(wide, units=np.array([0, 1, 0]), unit_names=(b"p", b"q"))
    others = [
        fingerprint(Private(packed), bytes(32)),
        fingerprint(Private(packed.take(np.array([1, 0, 2]))), KEY),
        fingerprint(Private(wide.with_ticks({**wide.ticks, "b": np.array([299, 0, 8])})), KEY),
        fingerprint(Private(owned), KEY),
        fingerprint(Private(replace(owned, unit_names=(b"p", b"r"))), KEY),
        fingerprint(Private(replace(owned, units=np.array([0, 1, 1]))), KEY),
    ]
    assert len({known, *others}) == 7
