"""What models give out: the same bit by bit for the same answers; anything else, in any of its parts, is seen."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pytest

from privsynth import generators, graphical
from privsynth.conformance import models
from privsynth.conformance.tables import Laboratory
from privsynth.conformance.watching import Trained
from privsynth.domain import Domain
from privsynth.errors import MechanismError
from privsynth.generator import AbstractDistribution
from privsynth.graphical import GraphicalDistribution
from privsynth.measurement import Transcript
from privsynth.pgm.markov_random_field import MarkovRandomField
from privsynth.privacy.curator import Curator
from privsynth.privacy.noise import UnsafeSeededNoise
from privsynth.privacy.unit import PrivacyUnit
from tests.fitting_of import SHORT
from tests.laboratory import DOMAIN, PATIENT, REPLACED, ROW, Pairs


def found(generator: Any, unit: PrivacyUnit = PATIENT, rho: Fraction = Fraction(9)) -> list[str]:
    """What is told of a generator on two tables of 100 and of 101 records."""
    laboratory = Laboratory(DOMAIN, unit, columns=4, levels=5)
    table, other = (laboratory.table(rows, np.random.default_rng(rows)) for rows in (100, 101))
    trained = Trained.of(generator, unit, rho, None)
    draw = (
        models.draw_of(generator, unit, rho)
        if trained is None
        else models.draw_of(trained.generator, unit, rho, trained.plan)
    )
    return list(models.problems(draw, table, {"one more": other}, UnsafeSeededNoise(1), 1))


@pytest.mark.parametrize("name", generators.NAMES)
@pytest.mark.parametrize("unit", [ROW, REPLACED], ids=["row", "replaced"])
@pytest.mark.parametrize("rho", [Fraction(1, 5000), Fraction(8)], ids=["hardly any budget", "ample"])
def test_models_of_the_same_answers_are_the_same(name: str, unit: PrivacyUnit, rho: Fraction) -> None:
    if name in SHORT and unit is REPLACED:
        with pytest.raises(MechanismError, match="adding or removing"):
            found(generators.get(name, {}), unit, rho)
        return
    assert found(generators.get(name, {}), unit, rho) == []


class Looks(Pairs):
    """Remembers how many records there are, and lets one part of its model tell."""

    name: ClassVar[str] = "looks"
    records: ClassVar[int] = 0

    def __init__(self, part: str) -> None:
        self.part = part

    def measure(self, curator: Curator) -> None:
        Looks.records = curator._data.open().rows
        super().measure(curator)

    def estimate(self, domain: Domain, transcript: Transcript) -> AbstractDistribution:
        model = super().estimate(domain, transcript)
        assert isinstance(model, GraphicalDistribution)
        off = Looks.records if self.part == "restored" else 0
        return Told.of(model.model, self.part, Looks.records - off)

    def restore(self, domain: Domain, transcript: Transcript, arrays: Any) -> AbstractDistribution:
        model = graphical.restore(domain, transcript, arrays).model
        return Told.of(model, "total", Looks.records if self.part == "restored" else 0)


@dataclass
class Told(AbstractDistribution):
    """A model one part of which holds a number."""

    domain: Domain
    model: MarkovRandomField
    part: str
    number: int

    @classmethod
    def of(cls, model: MarkovRandomField, part: str, number: int) -> Told:
        return cls(domain=model.domain, model=model, part=part, number=number)

    @property
    def total(self) -> float:
        return self.model.total + 1e-9 * self.number * (self.part == "total")

    def project(self, clique: Any) -> npt.NDArray[np.float64]:
        return self.model.project(clique) + 1e-9 * self.number * (self.part == "tables")

    def expected_l1(self, clique: Any) -> float | None:
        return float(self.number) if self.part == "errors" else None

    def draw(self, n: int, rng: np.random.Generator, given: Any = None) -> Any:
        if self.part == ("conditional" if given else "records"):
            rng = np.random.default_rng(self.number)
        return self.model.draw(n, rng, given)

    def arrays(self) -> dict[str, npt.NDArray[np.float64]]:
        rest = {"note": np.array([float(self.number)])} if self.part == "arrays" else {}
        return {**GraphicalDistribution(self.model).arrays(), **rest}


@pytest.mark.parametrize(
    ("part", "named"),
    [
        ("total", "the number of records of the model"),
        ("arrays", "the arrays of the model"),
        ("tables", "the tables of the model"),
        ("errors", "the tables of the model"),
        ("records", "records drawn from the model"),
        ("conditional", "records drawn from the model under a condition"),
        ("restored", "the number of records of the stored model"),
    ],
)
def test_a_number_hidden_in_one_part_is_seen_there(part: str, named: str) -> None:
    assert found(Looks(part)) == [f"one more: with the same answers and random numbers, {named} differ"]
