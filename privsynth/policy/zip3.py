"""Three-digit ZIP prefixes that may be shown: those with more than 20,000 people, by the newest census.

Must never allow a prefix that is not in the table: about 105 prefixes (post-office boxes, government, military, unassigned)
have no population row at all, and every list of forbidden prefixes lets them through.

The table `shipped/zip3_population.tsv` sums the populations of ZIP code tabulation areas by prefix: 2010 census and 2020
census (Demographic and Housing Characteristics, table P1). Source: US Census Bureau, public domain.
"""

from __future__ import annotations

import csv
from functools import cache
from importlib import resources

MORE_THAN = 20_000
"""45 CFR 164.514(b)(2)(i)(B): the prefix must hold more than this many people."""

REPLACEMENT = "000"
"""What stands for every other prefix."""

CENSUS = "2020 census (DHC, table P1)"
_NEWEST = "pop2020_zcta"


@cache
def populations() -> dict[str, int]:
    """People by three-digit prefix, in the newest census of the table; prefixes without a figure are left out."""
    table = resources.files("privsynth") / "shipped" / "zip3_population.tsv"
    rows = csv.DictReader(table.read_text(encoding="ascii").splitlines(), delimiter="\t")
    return {row["zip3"]: int(row[_NEWEST]) for row in rows if row[_NEWEST]}


def is_allowed(prefix: str) -> bool:
    """Whether a ZIP value may be shown under Safe Harbor: "000", or three digits with more than 20,000 people."""
    return prefix == REPLACEMENT or populations().get(prefix, 0) > MORE_THAN
