"""What a column's name says that it holds: the guess that makes a de-identification rule look at a column.

Must never be the last word: a policy says what a column holds where its name does not, and why where its name misleads.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from privsynth.policy.terms import Holds

_NUMBER = "(?:_?(?:number|num|no|nr|id|code))"
_WHOSE = (
    "first|last|full|middle|family|given|maiden|patient|member|subscriber|customer|client|mother|father|spouse|employer"
)

_WORDS: Mapping[Holds, str] = {
    "e-mail": r"e_?mails?(?:_addr(?:ess)?)?",
    "ip-address": r"ip|ipv4|ipv6|ip_?addr(?:ess)?",
    "url": r"url|uri|website|web_?page|home_?page",
    "fax": rf"fax{_NUMBER}?",
    "phone": rf"(?:tele|mobile_?|cell_?)?phone{_NUMBER}?s?|tel|mobile{_NUMBER}",
    "us-ssn": r"ssn|social_?security(?:_?(?:number|no|num))?|itin|tax_?payer_?id",
    "mrn": rf"mrn|medical_record{_NUMBER}?|record_(?:number|no)|chart_(?:number|no)",
    "health-plan": rf"(?:member|subscriber|beneficiary|plan|policy|medicare|medicaid|insurance){_NUMBER}|hicn|mbi",
    "license": rf"npi|dea{_NUMBER}|licen[cs]e{_NUMBER}?|certificate{_NUMBER}",
    "vehicle": rf"vin|(?:licen[cs]e_)?plate{_NUMBER}?|vehicle{_NUMBER}",
    "device": rf"udi|imei|mac_?address|(?:device|implant){_NUMBER}|(?:device_)?serial{_NUMBER}?",
    "account": rf"iban|(?:account|acct){_NUMBER}?|(?:credit_)?card{_NUMBER}|^pan$",
    "biometric": r"biometrics?|finger_?prints?|voice_?prints?|face_?prints?|retina_?scan|iris_?scan",
    "photo": r"photos?|photograph|selfie|portrait|face_image",
    "birth-year": r"yob|dob|birth_?(?:year|date|day)|(?:year|date)_(?:of_)?birth",
    "zip": r"zip(?:_?code)?|zip_?[345]|postal_?code|post_?code|postal",
    "geography": (
        r"city|town|village|municipality|county|district|borough|neighbou?rhood|street|address|addr(?!_state)|fips|tract|census_tract"
        r"|block_?group|precinct|parish|lat|latitude|lon|lng|longitude|geo_?hash|geo_?code|coordinates?"
    ),
    "name": rf"^names?$|surname|forename|nickname|initials|(?:{_WHOSE})_?names?",
    "age": r"age|ages|age_?(?:group|grp|band|class|range|years)",
    "date": r"date|dod|month|(?<!per_)week|weekday|dow|(?<!per_)day|quarter|datetime|timestamp",
}
"""First match wins, so the more specific kinds stand first."""

_PATTERNS = {kind: re.compile(rf"(?:^|_)(?:{words})(?:_|$)") for kind, words in _WORDS.items()}


def guess(name: str) -> Holds | None:
    """What a column of this name seems to hold; None when the name says nothing that a rule is about."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)
    plain = re.sub(r"[^a-z0-9]+", "_", spaced.lower()).strip("_")
    return next((kind for kind, pattern in _PATTERNS.items() if pattern.search(plain)), None)


def meaning(name: str, *, declared: Mapping[str, Holds], cleared: Mapping[str, str]) -> Holds | None:
    """What the policy says that a column holds; without a word on it there, what its name says; None where it is cleared."""
    if name in declared:
        return declared[name]
    return None if name in cleared else guess(name)
