"""Graphical-model algebra in numpy: factors, junction trees, marginals, estimation, sampling.

Must never see records or draw privacy noise: it works on noisy tables, which are public.
"""
