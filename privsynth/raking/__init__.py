"""What-if scenarios: a model's distribution moved to declared tables, and as little else as can be."""

from privsynth.raking.shifting import shift
from privsynth.raking.targets import Targets, columns_of, from_json, require_none, to_json

__all__ = ["Targets", "columns_of", "from_json", "require_none", "shift", "to_json"]
