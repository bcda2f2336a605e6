"""The attacks: one file each, named as audit plans and findings name them.

Must never import an attack by a name that is not a file of this folder.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping

from pydantic import ValidationError

from privsynth import validation
from privsynth.attack import AbstractAttack
from privsynth.errors import PolicyError

NAMES: tuple[str, ...] = tuple(sorted(module.name for module in pkgutil.iter_modules(__path__)))
"""Every attack that a plan may name."""


def get(name: str, settings: Mapping[str, object], *, where: str = "audit plan") -> AbstractAttack:
    """Make an attack from its settings; `where` is what messages call the place they were read from.

    Raises: PolicyError when there is no such attack, or a setting is unknown, of the wrong type or out of range.
    """
    if name not in NAMES:
        raise PolicyError(f'{where}: there is no attack "{name}"; there are {", ".join(NAMES)}')
    attack: type[AbstractAttack] = importlib.import_module(f"{__name__}.{name}").ATTACK
    try:
        return attack.model_validate(dict(settings))
    except ValidationError as error:
        problem = validation.describe(error, lambda location: (f'{where}: attack "{name}"', location))
    raise PolicyError(problem)
