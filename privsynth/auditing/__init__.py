"""The audit: a plan, and a generator or tables, in; findings and a verdict out."""

from privsynth.auditing.halves import AuditPlan, conformance, run

__all__ = ["AuditPlan", "conformance", "run"]
