import datetime as dt
import hashlib
import re
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from privsynth import toml_file
from privsynth.errors import PolicyError
from privsynth.policy import Policy
from privsynth.policy import files as policy_file

BASE = Path(policy_file.__file__).parents[1] / "shipped" / "policies" / "partner-sharing.toml"
HEAD = '[policy]\nname = "mine"\nversion = "1.0"\nextends = ["partner-sharing"]\n'


def own(body, head=HEAD):
    return Policy.loads(head + body)


@pytest.mark.parametrize(
    ("body", "line", "said"),
    [
        ('[budget]\nrelease_epsilon = "3"', 6, "budget.release_epsilon: 3 would loosen 2 of partner-sharing.toml"),
        ("[budget]\nrelease_epsilon = 1.0", 6, "budget.release_epsilon: .*bare number 1.0; put it in quotes"),
        ("[budget]\nrelease_epsilon = 1", 6, "budget.release_epsilon: .*bare number 1; put it in quotes"),
        ("[budget]\nrelease_epsilon = nan", 6, "budget.release_epsilon: .*bare number nan"),
        ("[budget]\nrelease_epsilon = true", 6, "budget.release_epsilon: expected a decimal string"),
        ('[budget]\nrelease_epsilon = "nan"', 6, 'budget.release_epsilon: "nan" is no amount'),
        ('[budget]\nrelease_epsilon = "-Infinity"', 6, 'budget.release_epsilon: "-Infinity" is no amount'),
        ('[budget]\nrelease_epsilon = "0.0"', 6, "budget.release_epsilon: must be above zero"),
        ('[budget]\nrelease_epsilon = "-1"', 6, "budget.release_epsilon: must be above zero"),
        ('[budget]\nrelease_epsilon = "1e999999999"', 6, "budget.release_epsilon: the exponent .* is out of range"),
        ('[budget]\nrelease_epsilon = "1e-31"', 6, "budget.release_epsilon: the exponent .* is out of range"),
        ('[budget]\nrelease_epsilon = "1/3"', 6, "budget.release_epsilon: expected a decimal string"),
        ('[budget]\nrelease_epsilon = "١"', 6, "budget.release_epsilon: expected a decimal string"),
        ('[budget]\nrelease_epsilon = "101"', 6, "budget.release_epsilon: must be at most 100"),
        ('[budget]\nrelease_delta = "1e-5"', 6, "budget.release_delta: must be at most 1e-6"),
        ('[budget]\n\nepsilon = "1"', 7, "budget.epsilon: unknown key; expected one of budget.release_epsilon"),
        ("[budgets]\nx = 1", 5, "budgets: unknown key"),
        ("[budget]\nlifetime_epsilon = '1'", 24, "budget.release_epsilon: one release may not spend more"),
        ('[policy.more]\nx = 1', 5, "policy.more: unknown key"),
        ('[population]\nid = "a"', 5, "population.public_size: missing"),
        ('[population]\nid = "A b"\npublic_size = 5', 6, "population.id: expected up to 64"),
        ('[population]\nid = "a"\npublic_size = 0', 7, "population.public_size: expected greater than or equal to 1"),
        ('[population]\nid = "a"\npublic_size = "5"', 7, "population.public_size: expected a whole number"),
        ("[records]\nrows = true", 6, "records.rows: expected a number of rows"),
        ('[records]\nrows = "all"', 6, "records.rows: expected a number of rows"),
        ('[records]\nout_of_domain = "ignore"', 6, "records.out_of_domain: expected 'refuse', 'clamp' or 'other'"),
        ("[generators]\nallow = []", 6, "generators.allow: the list is empty"),
        ('[generators]\nallow = ["mst", "mst"]', 6, "generators.allow: an entry is given twice"),
        ('[generators]\nallow = ["mst", "flow"]', 6, r"generators.allow: \[mst, flow\] would loosen"),
        ("[generators]\nallow = [\n1]", 7, "generators.allow.0: expected text in quotes"),
        ('[unit]\nrelation = "replace-one"', 6, "unit.relation: expected 'add-remove'"),
        ("[unit]\nmax_rows = 0", 6, "unit.max_rows: "),
        ('[audit]\nplan = "quick"', 6, "audit.plan: quick would loosen standard"),
        ('[audit]\ncontrol = "half-copy"', 6, "audit.control: half-copy would loosen holdout"),
        ('[audit]\nholdout = "0.6"', 6, "audit.holdout: must be at most 0.5"),
        ('[audit]\nholdout = "0.05"', 6, "audit.holdout: 0.05 would loosen 0.1"),
        ("[audit]\nattempts = 2", 6, "audit.attempts: 2 would loosen 1"),
        ('[recipients]\nclass = "public"', 6, "recipients.class: public would loosen partner"),
        ("[certificate]\nvalid_days = 366", 6, "certificate.valid_days: 366 would loosen 365"),
        ("[published]\nmin_cell = 5", 6, "published.min_cell: 5 would loosen 11"),
        ('[deidentification]\ncolumns = { x = "postcode" }', 6, "deidentification.columns.x: expected 'name', "),
        ('[deidentification]\ncleared = { x = "" }', 6, "deidentification.cleared.x: expected 1 to 2000"),
        ('[attestations.hipaa]\nby = "x"', 5, "attestations.hipaa: expected 'hipaa-other-identifiers'"),
        ('[attestations.hipaa-actual-knowledge]\nby = "x"', 5, "attestations.hipaa-actual-knowledge.on: missing"),
        ('[attestations.hipaa-actual-knowledge]\nby = "x"\non = "2026-01-01"', 7, "hipaa-actual-knowledge.on: expected a date"),
        ('[population]\nid = "a"\npublic_size = 100000000', 25,
        r"delta too large for n: 1e-7 is above 1 / \(10 \* 100000000\)"),
        ('[budget]\nrelease_epsilon = "1"\nlifetime_epsilon = "0.5"', 6, "may not spend more than budget.lifetime_epsilon"),
        ('[budget]\nlifetime_delta = "1e-8"', 25, "may not spend more than budget.lifetime_delta"),
        ('[generators]\nallow = ["auto"]', 6, '"auto" chooses among the generators'),
        ('[generators]\ndefault = "flow"', 6, '"flow" is not in generators.allow'),
        ('[deidentification]\nmrn_pattern = "("', 6, "deidentification.mrn_pattern: the pattern is not a regular expression"),
        ('[deidentification]\ncolumns = { x = "zip" }\ncleared = { x = "y" }', 7,
        'column "x" is in deidentification.columns too'),
    ],
)  # fmt: skip
def test_every_error_names_file_line_and_key(body, line, said):
    with pytest.raises(PolicyError, match=said) as caught:
        own(body)
    assert f"line {line}: " in str(caught.value)
    assert str(caught.value).startswith("partner-sharing.toml" if line in (24, 25) else "policy.toml")


@pytest.mark.parametrize(
    "section", ["unit", "budget", "generators", "records", "published", "audit", "recipients", "certificate"]
)
def test_a_missing_section_or_key_is_an_error(section):
    text = BASE.read_text()
    start = text.index(f"[{section}]")
    end = text.find("\n[", start)
    with pytest.raises(PolicyError, match=rf"{section}\..*: missing"):
        Policy.loads(text[:start] + (text[end:] if end > 0 else ""))
    first = next(line for line in text[start:].splitlines()[1:] if "=" in line)
    key = first.split("=")[0].strip()
    with pytest.raises(PolicyError, match=rf"line \d+: {section}\.{key}: missing"):
        Policy.loads(text.replace(first, "", 1))


@pytest.mark.parametrize("key", ["name", "version", "description", "expires"])
def test_the_header_must_be_complete(key):
    text = "\n".join(line for line in BASE.read_text().splitlines() if not line.startswith(f"{key} ="))
    with pytest.raises(PolicyError, match=rf"line 7: policy\.{key}: missing"):
        Policy.loads(text)


def test_files_extend_one_another_by_name_and_by_path(tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "house.toml").write_text(HEAD + '[budget]\nrelease_epsilon = "1.5"\n')
    (tmp_path / "deep" / "ward.toml").write_text(
        HEAD.replace("mine", "ward").replace('["partner-sharing"]', '["../house.toml", "hipaa-safe-harbor"]')
        + '[budget]\nrelease_epsilon = "1"\n'
    )
    policy = Policy.load(tmp_path / "deep" / "ward.toml")
    assert policy.name == "ward"
    assert [file.name for file in policy.files] == [
        "partner-sharing.toml",
        "house.toml",
        "hipaa-safe-harbor.toml",
        "ward.toml",
    ]
    assert policy.budget.release_epsilon == 1
    assert policy.budget.lifetime_epsilon == 6
    assert policy.deidentification.profile == "hipaa-safe-harbor"


def test_a_base_that_two_files_share_is_taken_once(tmp_path):
    (tmp_path / "a.toml").write_text(HEAD.replace("mine", "a") + '[budget]\nrelease_epsilon = "1"\n')
    (tmp_path / "b.toml").write_text(HEAD.replace("mine", "b") + "[audit]\nholdout = '0.2'\n")
    (tmp_path / "c.toml").write_text('[policy]\nname = "c"\nversion = "1"\nextends = ["a.toml", "b.toml"]\n')
    policy = Policy.load(tmp_path / "c.toml")
    assert [file.name for file in policy.files] == ["partner-sharing.toml", "a.toml", "b.toml", "c.toml"]
    assert (policy.budget.release_epsilon, policy.audit.holdout) == (1, Fraction(1, 5))


@pytest.mark.parametrize(
    ("extends", "said"),
    [
        (
            '["nobody"]',
            'line 4: policy.extends: there is no shipped policy "nobody"; there are hipaa-safe-harbor, internal',
        ),
        ('["absent.toml"]', "line 4: policy.extends: .*absent.toml: there is no such file"),
        ('["p.toml"]', "line 4: policy.extends leads back to this file"),
        ('"partner-sharing"', "line 4: policy.extends: expected a list"),
        ("[1]", "policy.extends.0: expected text in quotes"),
        ('["hipaa-safe-harbor"]', "missing; add it, or extend a policy that states it"),
    ],
)
def test_bad_extensions(tmp_path, extends, said):
    (tmp_path / "p.toml").write_text(HEAD.replace('["partner-sharing"]', extends))
    with pytest.raises(PolicyError, match=said):
        Policy.load(tmp_path / "p.toml")


def test_a_circle_of_files_is_refused(tmp_path):
    for name, other in (("a", "b"), ("b", "a")):
        (tmp_path / f"{name}.toml").write_text(
            f'[policy]\nname = "{name}"\nversion = "1"\nextends = ["{other}.toml"]\n'
        )
    with pytest.raises(PolicyError, match="leads back"):
        Policy.load(tmp_path / "a.toml")


def test_a_crowd_of_files_is_refused(tmp_path):
    for number in range(policy_file.MAX_FILES + 1):
        base = "partner-sharing" if number == 0 else f"{number - 1}.toml"
        (tmp_path / f"{number}.toml").write_text(f'[policy]\nname = "n{number}"\nversion = "1"\nextends = ["{base}"]\n')
    with pytest.raises(PolicyError, match="more than 16 files"):
        Policy.load(tmp_path / f"{policy_file.MAX_FILES}.toml")


def test_text_can_extend_names_but_no_paths():
    with pytest.raises(PolicyError, match="lies in no folder"):
        own("", HEAD.replace("partner-sharing", "house.toml"))


def test_an_overlay_is_no_policy_by_itself_and_lends_its_name():
    with pytest.raises(PolicyError, match="this is an overlay"):
        Policy.load("hipaa-safe-harbor")
    both = Policy.load("partner-sharing", overlays=["hipaa-safe-harbor"])
    assert both.name == "partner-sharing+hipaa-safe-harbor"
    assert both.description == Policy.load("partner-sharing").description


def test_what_a_base_requires_of_deidentification_stays():
    strict = HEAD.replace('["partner-sharing"]', '["partner-sharing", "hipaa-safe-harbor"]')
    with pytest.raises(PolicyError, match=r"line 6: deidentification\.profile: none would loosen hipaa-safe-harbor"):
        own('[deidentification]\nprofile = "none"', strict)
    base = own('[deidentification]\nmrn_pattern = "M[0-9]{6}"\ncolumns = { plz = "zip" }\n')
    again = toml_file.parse(
        b'[policy]\nname = "x"\nversion = "1"\n[deidentification]\ncolumns = { plz = "age" }', name="x.toml"
    )
    with pytest.raises(PolicyError, match=r"line 5: deidentification\.columns: .*may gain entries"):
        policy_file.lay((*base.files, again))
    more = toml_file.parse(
        b'[policy]\nname = "x"\nversion = "1"\n[deidentification]\ncolumns = { b = "age" }', name="x.toml"
    )
    assert dict(policy_file.lay((*base.files, more)).terms.deidentification.columns) == {"plz": "zip", "b": "age"}
    other = toml_file.parse(
        b'[policy]\nname = "x"\nversion = "1"\n[deidentification]\nmrn_pattern = "x"', name="x.toml"
    )
    with pytest.raises(PolicyError, match="mrn_pattern: x would loosen"):
        policy_file.lay((*base.files, other))


def test_the_population_is_fixed_and_its_public_size_only_grows():
    base = own('[population]\nid = "a"\npublic_size = 5000\n')
    with pytest.raises(PolicyError, match=r"population\.id: b would loosen a"):
        base.with_population("b", 5000)
    with pytest.raises(PolicyError, match=r"population\.public_size: 10 would loosen 5000"):
        base.with_population("a", 10)
    assert base.with_population("a", 6000).require_population().public_size == 6000


def test_the_digest_is_of_exact_bytes_in_order(tmp_path):
    text = BASE.read_bytes()
    assert Policy.load(BASE).digest == hashlib.sha256(text).hexdigest()
    (tmp_path / "p.toml").write_bytes(HEAD.encode())
    parts = [hashlib.sha256(content).hexdigest() for content in (text, HEAD.encode())]
    expected = hashlib.sha256("".join(f"{part}\n" for part in parts).encode()).hexdigest()
    assert Policy.load(tmp_path / "p.toml").digest == expected
    (tmp_path / "p.toml").write_bytes(HEAD.encode() + b"#")
    assert Policy.load(tmp_path / "p.toml").digest != expected


def test_files_are_bounded_and_strict(tmp_path):
    with pytest.raises(PolicyError, match="no such file"):
        Policy.load(tmp_path / "absent.toml")
    with pytest.raises(PolicyError, match=r"budget\.release_epsilon is given twice, first on line 6"):
        own('[budget]\nrelease_epsilon = "1"\nrelease_epsilon = "2"')
    with pytest.raises(PolicyError, match=r"expected a table \[policy\]"):
        Policy.loads("x = 1")
    with pytest.raises(PolicyError, match=r"budget: expected a table \[budget\]"):
        Policy.loads("budget = 1\n" + HEAD)
    with pytest.raises(PolicyError, match=r"policy\.version: missing"):
        Policy.loads('[policy]\nname = "x"\nextends = ["partner-sharing"]')


AMOUNT = st.decimals("0.001", "9", places=3).map(str)
DELTA = st.integers(1, 1000).map(lambda n: f"{n}e-9")
CHANGES = st.fixed_dictionaries(
    {},
    optional={
        "budget.release_epsilon": AMOUNT, "budget.release_delta": DELTA,
        "budget.lifetime_epsilon": AMOUNT, "budget.lifetime_delta": DELTA,
        "generators.allow": st.lists(st.sampled_from(["aim", "mst", "independent", "gan"]), min_size=1, unique=True),
        "generators.default": st.sampled_from(["aim", "mst"]),
        "records.out_of_domain": st.sampled_from(["refuse", "clamp", "other"]),
        "records.rows": st.one_of(st.just("estimate"), st.integers(1, 99)),
        "deidentification.profile": st.sampled_from(["none", "hipaa-safe-harbor"]),
        "published.min_cell": st.integers(1, 30), "audit.plan": st.sampled_from(["quick", "standard"]),
        "audit.holdout": st.sampled_from(["0.05", "0.1", "0.3"]), "audit.attempts": st.integers(1, 4),
        "audit.control": st.sampled_from(["holdout", "half-copy"]),
        "recipients.class": st.sampled_from(["public", "partner", "internal"]),
        "certificate.valid_days": st.integers(1, 800), "policy.expires": st.dates(dt.date(2026, 1, 1), dt.date(2029, 1, 1)),
    },
)  # fmt: skip


def written(changes):
    sections = {"policy": {"name": "x", "version": "1"}}
    for key, value in changes.items():
        section, name = key.split(".")
        sections.setdefault(section, {})[name] = value
    lines = []
    for section, values in sections.items():
        lines.append(f"[{section}]")
        for name, value in values.items():
            shown = value if isinstance(value, dt.date) else repr(value)
            lines.append(f"{name} = {shown}")
    return toml_file.parse("\n".join(lines).encode(), name="x.toml")


def strength(policy):
    """Numbers and sets that must none of them move the loose way: an order of its own, not the code's."""
    return {
        "least": [
            policy.budget.release_epsilon, policy.budget.release_delta, policy.budget.lifetime_epsilon,
            policy.budget.lifetime_delta, policy.audit.attempts, policy.certificate.valid_days,
            policy.policy.expires.toordinal(),
            10**10 if policy.records.rows == "estimate" else policy.records.rows,
        ],
        "most": [
            policy.published.min_cell, policy.audit.holdout, {"quick": 0, "standard": 1}[policy.audit.plan],
            {"half-copy": 0, "holdout": 1}[policy.audit.control],
            {"public": 0, "partner": 1, "internal": 2}[policy.recipients.klass],
            {"none": 0, "hipaa-safe-harbor": 1}[policy.deidentification.profile],
            {"clamp": 0, "other": 1, "refuse": 2}[policy.records.out_of_domain],
        ],
        "allow": set(policy.generators.allow),
    }  # fmt: skip


@settings(max_examples=120, deadline=None)
@given(st.sampled_from(["public-release", "partner-sharing", "internal-research"]), CHANGES, CHANGES)
def test_no_chain_of_files_ever_loosens_anything(name, first, second):
    files = [policy_file.find(name, None).file]
    for changes in (first, second):
        before = strength(policy_file.lay(files).terms)
        file = written(changes)
        try:
            after = strength(policy_file.lay([*files, file]).terms)
        except PolicyError:
            continue
        files.append(file)
        assert all(new <= old for new, old in zip(after["least"], before["least"], strict=True))
        assert all(new >= old for new, old in zip(after["most"], before["most"], strict=True))
        assert after["allow"] <= before["allow"]


@settings(max_examples=120, deadline=None)
@given(st.sampled_from(["public-release", "partner-sharing", "internal-research"]), CHANGES.filter(bool), st.data())
def test_exactly_the_loosening_changes_are_refused(name, changes, data):
    key = data.draw(st.sampled_from(sorted(changes)))
    base = policy_file.find(name, None).file
    section, term = key.split(".")
    file = written({key: changes[key]})
    line = next(line for line in file.content.decode().splitlines() if line.startswith(f"{term} ="))
    alone, count = re.subn(
        rf"(?ms)(^\[{section}\].*?)^{term} = [^\n]*",
        lambda found: found.group(1) + line,
        base.content.decode(),
        count=1,
    )
    assert count == 1
    try:
        policy = policy_file.lay([toml_file.parse(alone.encode(), name="alone.toml")]).terms
    except PolicyError:
        return
    before, after = strength(policy_file.lay([base]).terms), strength(policy)
    loosened = (
        any(new > old for new, old in zip(after["least"], before["least"], strict=True))
        or any(new < old for new, old in zip(after["most"], before["most"], strict=True))
        or not after["allow"] <= before["allow"]
    )
    if loosened:
        with pytest.raises(PolicyError, match=rf"{key}: .* would loosen"):
            policy_file.lay([base, file])
    else:
        assert strength(policy_file.lay([base, file]).terms) == after
