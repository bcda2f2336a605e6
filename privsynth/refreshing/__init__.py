"""Refreshing: the next release of a population, from new data, spending only where a charged drift test says that it moved."""

from privsynth.refreshing.making import Refresh, refresh

__all__ = ["Refresh", "refresh"]
