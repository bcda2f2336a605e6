"""Growth: learning curves, and where more rows stop helping.

Must never be released: everything here is computed on real records.
"""

from privsynth.growth.curve import Curve
from privsynth.growth.learning import Growth
from privsynth.growth.running import scale

__all__ = ["Curve", "Growth", "scale"]
