"""What "auto" means: names and reasons, what is allowed, and that it is no generator."""

import itertools

import pytest

from privsynth import generators
from privsynth.choosing import AUTO, MOST_ATTRIBUTES, Choice, choose, resolve
from privsynth.errors import PolicyError


@pytest.mark.parametrize(
    ("attributes", "name", "said"),
    [
        (0, "independent", "no pairs"),
        (1, "independent", "no pairs"),
        (2, "latent_class", "all 1 pairs of 2 columns"),
        (48, "latent_class", "all 1,128 pairs of 48 columns"),
        (300, "latent_class", "all 44,850 pairs"),
        (MOST_ATTRIBUTES, "latent_class", "rare levels are merged"),
        (MOST_ATTRIBUTES + 1, "independent", "more than are measured by default"),
    ],
)
def test_the_number_of_columns_decides(attributes, name, said):
    found = choose(attributes)
    assert found.name == name
    assert len(found.reasons) == 1
    assert found.reasons[0].startswith(f"{name}: ")
    assert said in found.reasons[0]


@pytest.mark.parametrize("attributes", [1, 20, 2000])
def test_what_is_not_allowed_is_not_chosen_and_the_reason_says_so(attributes):
    best = choose(attributes).name
    tables = [name for name in generators.NAMES if name not in {"vae", "gan"}]
    for size in range(1, len(tables) + 1):
        for allowed in itertools.combinations(tables, size):
            found = choose(attributes, allowed=(AUTO, *allowed, "vae", "gan"))
            assert found.name in allowed
            assert (found.name == best) == (best in allowed)
            if best not in allowed:
                assert found.reasons == (f"{found.name}: the best that is allowed; {best} is not",)


def test_the_next_best_is_the_better_one_where_both_are_allowed():
    assert choose(20, allowed=("independent", "mst", "aim")).name == "aim"
    assert choose(20, allowed=("independent", "mst")).name == "mst"
    assert choose(2000, allowed=("mst", "latent_class")).name == "latent_class"


def test_a_choice_from_nothing_is_refused():
    with pytest.raises(PolicyError, match="allow one of"):
        choose(3, allowed=(AUTO,))
    with pytest.raises(PolicyError, match=r"allow one of latent_class, aim, mst, independent$"):
        choose(3, allowed=(AUTO, "vae", "gan"))


def test_a_name_means_itself_and_gives_no_reasons():
    assert resolve("mst", 1, settings={"iterations": 3}) == Choice(name="mst", reasons=())
    assert resolve(AUTO, 7, settings={}) == choose(7)


def test_settings_are_a_generators_own():
    with pytest.raises(PolicyError, match=r"settings \(components\) are a generator's own"):
        resolve(AUTO, 7, settings={"components": 3})


def test_auto_is_no_generator():
    assert AUTO not in generators.NAMES
    with pytest.raises(PolicyError, match="there is no generator"):
        generators.get(AUTO, {})


@pytest.mark.parametrize("name", generators.NAMES)
def test_all_settings_of_a_generator_can_be_written_down_and_read_again(name):
    generator = generators.get(name, {})
    written = generators.settings_of(generator)
    assert all(isinstance(value, int | str) for value in written.values())
    assert generators.get(name, written) == generator


@pytest.mark.parametrize("name", ["vae", "gan"])
def test_a_deep_generator_comes_with_what_does_better(name: str) -> None:
    assert "latent_class" in resolve(name, 14, settings={}).cautions[0]
    assert "independent" in resolve(name, 1, settings={}).cautions[0]
    assert resolve(name, 1000, settings={}).cautions == ()


@pytest.mark.parametrize("name", ["mst", "latent_class", "auto"])
def test_the_others_come_without(name: str) -> None:
    assert resolve(name, 14, settings={}).cautions == ()
