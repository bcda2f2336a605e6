"""A guarantee as JSON, for the files of a saved model.

Must never read a guarantee that does not say how its parts add up.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any, get_args

from privsynth.errors import FitError
from privsynth.privacy.accounting import Composition
from privsynth.privacy.guarantee import Guarantee
from privsynth.privacy.sampled_gaussian import SampledGaussian
from privsynth.privacy.unit import NeighboringRelation, PrivacyUnit


def guarantee_to_json(guarantee: Guarantee) -> dict[str, object]:
    """A JSON object that `guarantee_from_json` reads."""
    unit, training = guarantee.unit, guarantee.training
    steps = {} if training is None else {"training": training.to_json()}
    return {
        **steps,
        "rho": str(guarantee.rho),
        "delta": str(guarantee.delta),
        "purchaseDelta": str(guarantee.purchase_delta),
        "composition": guarantee.composition,
        "unit": {
            "name": unit.name,
            "column": unit.column,
            "maxRows": unit.max_rows,
            "relation": unit.relation.value,
        },
    }


def guarantee_from_json(value: Mapping[str, Any]) -> Guarantee:
    """Read what `guarantee_to_json` wrote. Raises: FitError, KeyError or ValueError when it is damaged."""
    unit = value["unit"]
    composition: Composition = value.get("composition", "zcdp")  # files of 0.1 say nothing
    if composition not in get_args(Composition) or ("training" in value) != (composition in {"pld", "rdp"}):
        raise FitError("the guarantee does not say how its parts add up")
    return Guarantee(
        training=SampledGaussian.from_json(value["training"]) if "training" in value else None,
        rho=Fraction(value["rho"]),
        delta=Fraction(value["delta"]),
        purchase_delta=Fraction(value["purchaseDelta"]),
        composition=composition,
        unit=PrivacyUnit(
            name=unit["name"],
            column=unit["column"],
            max_rows=unit["maxRows"],
            relation=NeighboringRelation(unit["relation"]),
        ),
    )
