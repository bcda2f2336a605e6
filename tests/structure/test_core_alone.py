"""The core needs no extra: with the packages of deep and sql out of reach, every module loads and a release is made."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

BLOCKED = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"torch", "opacus", "dp_accounting", "scipy", "sklearn", "jax", "duckdb"}:
            raise ImportError(f"{name} is out of reach in this test")

sys.meta_path.insert(0, Blocked())
"""

IMPORTS = """
import importlib, pkgutil
import privsynth

for module in pkgutil.walk_packages(privsynth.__path__, "privsynth."):
    if not module.name.startswith(("privsynth.nn", "privsynth.__main__")):
        importlib.import_module(module.name)
"""

RELEASE = """
import pathlib, tempfile
from privsynth import releasing
from privsynth.certificate import keys
from privsynth.certificate.keys import Signer
from privsynth.policy import Policy
from privsynth.schema import Schema
from tests import clinic

clinic.pass_every_audit()
folder = pathlib.Path(tempfile.mkdtemp())
table, schema, policy = clinic.write(folder, clinic.rows(patients=1500))
keys.new(folder / "key.pem", folder / "trust.toml", "machine")
made = releasing.release(
    table,
    schema=Schema.load(schema),
    policy=Policy.load(policy),
    signer=Signer.load(folder / "key.pem"),
    out=folder / "release",
    ledger=clinic.fresh_ledger(),
)
assert made.predicate["decision"] == "PASSED"
assert "training" not in made.predicate["guarantee"]
"""

STEPS = """
from fractions import Fraction
from privsynth.errors import InputError
from privsynth.privacy.guarantee import Budget
from privsynth.privacy.sampled_gaussian import Schedule

plan = Schedule(sampling_rate=Fraction(1, 50), steps=10, first_share=Fraction(0))
try:
    Budget.of(1, "1e-6", buys=False, composition="pld", schedule=plan)
except InputError as missing:
    assert 'pip install "privsynth[deep]"' in str(missing)
else:
    raise AssertionError("gradient steps were accounted without the library that accounts for them")
"""

NAMED = """
sys.modules["torch"] = None
from privsynth import generators
from privsynth.errors import InputError

assert {"vae", "gan"} <= set(generators.NAMES)
assert generators.get("mst", {}).name == "mst"
for name in ("vae", "gan"):
    try:
        generators.get(name, {})
    except InputError as missing:
        assert 'pip install "privsynth[deep]"' in str(missing)
    else:
        raise AssertionError("a generator that trains was made without torch")
"""


def run(code):
    done = subprocess.run([sys.executable, "-c", BLOCKED + code], capture_output=True, text=True, cwd=ROOT, timeout=300)
    assert done.returncode == 0, done.stderr[-4000:]


def test_every_module_loads_without_the_extra():
    run(IMPORTS)


def test_a_release_needs_nothing_of_the_extra():
    run(RELEASE)


def test_gradient_steps_without_it_are_refused_with_its_name():
    run(STEPS)


def test_generators_that_train_are_named_and_say_what_they_need():
    run(NAMED)
