"""Terms: the generator that is meant is fixed before anything is spent, and the certificate says which and why."""

import pytest

from privsynth import generators
from privsynth.choosing import choose
from privsynth.errors import PolicyError, PolicyRefusal, SchemaError
from privsynth.policy import Policy
from privsynth.releasing import statement
from privsynth.releasing.terms import terms
from privsynth.schema import Schema
from tests import clinic

SCHEMA = Schema.loads(clinic.SCHEMA)
FEW = 'allow = ["independent", "mst"]\ndefault = "independent"\n'


def policy(words):
    assert FEW in clinic.POLICY
    return Policy.loads(clinic.POLICY.replace(FEW, words))


@pytest.mark.parametrize(
    ("words", "name", "composition"),
    [
        ("", "latent_class", "gdp"),
        ('allow = ["auto", "mst", "independent"]\n', "mst", "zcdp"),
        ('allow = ["auto", "independent"]\n', "independent", "gdp"),
    ],
)
def test_auto_is_one_of_the_allowed_generators_and_accounted_as_that_one(words, name, composition):
    agreed = terms(SCHEMA, policy(words))
    assert (agreed.generator, agreed.fit.generator.name) == (name, name)
    assert agreed.reasons == choose(len(SCHEMA.modelled), allowed=policy(words).generators.allow).reasons
    assert agreed.fit.budget.composition == composition
    named = terms(SCHEMA, policy(words), generator=name)
    assert named.reasons == ()
    assert named.digest == agreed.digest


def test_a_fit_that_buys_is_zcdp_whatever_is_chosen():
    bought = Schema.loads(clinic.SCHEMA + '[columns.region]\nkind = "category"\nbuy = true\n')
    agreed = terms(bought, policy(""))
    assert (agreed.generator, agreed.fit.budget.composition) == ("latent_class", "zcdp")


def test_auto_is_refused_where_the_policy_does_not_allow_it_and_takes_no_settings():
    with pytest.raises(PolicyRefusal, match='does not allow the generator "auto"'):
        terms(SCHEMA, policy(FEW), generator="auto")
    with pytest.raises(PolicyError, match="name the generator instead"):
        terms(SCHEMA, policy(""), settings={"components": 5})


def test_the_certificate_names_the_generator_its_settings_and_the_reasons(monkeypatch):
    said = []
    monkeypatch.setattr(statement, "require", said.append)
    statement.rehearse(terms(SCHEMA, policy("")), "system")
    (predicate,) = said
    claim = predicate["generator"]
    assert claim["name"] == "latent_class"
    assert claim["settings"] == generators.settings_of(generators.get("latent_class", {}))
    assert claim["reasons"] == list(choose(len(SCHEMA.modelled)).reasons)
    statement.rehearse(terms(SCHEMA, policy(""), generator="mst"), "system")
    assert said[1]["generator"]["reasons"] == []


def test_a_domain_that_is_too_large_for_a_generator_is_refused_before_anything_is_spent():
    labels = [f"L{number}" for number in range(15_000)]
    wide = "".join(f'[columns.{name}]\nkind = "category"\nvalues = {labels}\n' for name in ("mark", "point"))
    schema = Schema.loads(clinic.SCHEMA + wide)
    for generator in ("mst", "aim"):
        with pytest.raises(
            SchemaError, match=r'widest columns are "mark" \(15,000 levels\) and "point".*groups.*drop one'
        ):
            terms(schema, policy('allow = ["auto", "latent_class", "aim", "mst"]\n'), generator=generator)
    assert terms(schema, policy("")).generator == "latent_class"
