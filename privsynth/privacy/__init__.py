"""The trusted core: budgets, ledger, queries, mechanisms, noise, and the curator that holds them together."""
