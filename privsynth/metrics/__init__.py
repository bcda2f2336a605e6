"""Metrics: how far two tables, or two sets of tables, are apart; one file a kind."""
