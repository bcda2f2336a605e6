"""The path from a private table to a signed folder, or to a refusal."""

from privsynth.releasing.path import Release, release

__all__ = ["Release", "release"]
