"""The pages of a release: a report from public numbers alone, and a refusal without data."""

from privsynth.report.database_page import render as render_database
from privsynth.report.page import SECTIONS, gather, render, render_refusal

__all__ = ["SECTIONS", "gather", "render", "render_database", "render_refusal"]
