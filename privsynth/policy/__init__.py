"""Release policies as files: what may go out, at what cost, behind which audit."""

from privsynth.policy.check_result import CheckResult
from privsynth.policy.document import Policy, shipped

__all__ = ["CheckResult", "Policy", "shipped"]
