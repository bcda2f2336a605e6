"""The generators by name: `get("mst", {})`; each is a file of this folder, and the file's name is the generator's."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from fractions import Fraction
from typing import Final, TypeAlias

from privsynth.errors import PolicyError
from privsynth.generator import AbstractGenerator
from privsynth.generators import rules
from privsynth.generators.aim import AIM
from privsynth.generators.gan import GAN
from privsynth.generators.independent import Independent
from privsynth.generators.latent_class import LatentClass
from privsynth.generators.mst import MST
from privsynth.generators.vae import VAE

_Kind: TypeAlias = type[AIM] | type[GAN] | type[Independent] | type[LatentClass] | type[MST] | type[VAE]

_GENERATORS: Final[Mapping[str, _Kind]] = {kind.name: kind for kind in (Independent, MST, AIM, LatentClass, VAE, GAN)}

NAMES: Final[tuple[str, ...]] = tuple(_GENERATORS)
"""The generators there are, simplest first."""


def get(name: str, settings: Mapping[str, object]) -> AbstractGenerator:
    """The generator of this name with these settings; what is not set has its default.

    Args: fractions are given as integers or as strings ("1/4", "0.25"), so that budgets stay exact.
    Raises: PolicyError when there is no such generator or setting, or a value is out of range.
    """
    if name == rules.NAME:
        raise PolicyError(rules.INSTEAD)
    if name not in _GENERATORS:
        raise PolicyError(f'there is no generator "{name}"; choose one of {", ".join(NAMES)}')
    kind = _GENERATORS[name]
    defaults = {field.name: field.default for field in dataclasses.fields(kind)}
    unknown = sorted(set(settings) - set(defaults))
    if unknown:
        raise PolicyError(f"{name}: no setting {', '.join(unknown)}; it has {', '.join(defaults) or 'none'}")
    chosen = {key: _like(f"{name}: {key}", value, defaults[key]) for key, value in settings.items()}
    return kind(**chosen)  # type: ignore[arg-type]


def settings_of(generator: AbstractGenerator) -> dict[str, int | str]:
    """All settings of a generator, defaults included, as `get` reads them."""
    fields = [field.name for field in dataclasses.fields(generator)]  # type: ignore[arg-type]
    values = [getattr(generator, name) for name in fields]
    return {name: value if isinstance(value, int) else str(value) for name, value in zip(fields, values, strict=True)}


def _like(what: str, value: object, default: object) -> Fraction | int:
    """A setting's value in its default's type."""
    if isinstance(value, bool) or not isinstance(value, int | str | Fraction):
        raise PolicyError(f'{what} must be an integer or a fraction in quotes ("1/4"); found {value!r}')
    try:
        exact = Fraction(value)
    except (ValueError, ZeroDivisionError):
        raise PolicyError(f'{what} must be an integer or a fraction in quotes ("1/4"); found {value!r}') from None
    if isinstance(default, Fraction):
        return exact
    if exact.denominator != 1:
        raise PolicyError(f"{what} must be a whole number; found {value!r}")
    return int(exact)
