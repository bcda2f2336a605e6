"""Conformance: does a generator keep its claim? Checked on made-up tables, whose exact answers are known."""
