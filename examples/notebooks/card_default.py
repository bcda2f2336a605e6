# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Who will not pay? A partner receives card clients that do not exist
#
# A bank has 30,000 card clients and knows who did not pay next month. A partner builds scores, and may not see a
# client. We make synthetic clients, look at how two groups fare, break a dependence that should not be there and see
# what that costs, and ask how many rows are worth drawing.
#
# Open this file as a notebook with `jupytext --to ipynb card_default.py`. It needs privsynth's extras `pandas` and
# `evaluate`.
#
# **Public** numbers follow from noisy answers that were paid for. **Internal** ones are computed on real records
# without noise, and stay with those who may see the records.

# %%
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

import privsynth as ps

ROWS = None  # all clients; a number takes so many, to be quick
CARDS = next(folder for folder in map(Path, ("examples/credit_default", "../credit_default")) if folder.exists())
TARGET = "default.payment.next.month"
rng = np.random.default_rng(5)  # draws records; the noise that protects people has no seed

# %% [markdown]
# ## Real clients, some of them held back
#
# What is held back is never shown to the model: a third of the clients, to judge by.

# %%
COLUMNS = ["ID", "LIMIT_BAL", "SEX", "EDUCATION", "AGE", "PAY_0", "PAY_AMT1", TARGET]
whole = ps.Schema.load(CARDS / "schema.toml").to_json()
kept = [column for column in whole["columns"] if column["name"] in COLUMNS]
table = {name: value for name, value in whole["table"].items() if name != "key"}
use = {"target": TARGET, "outcome": ["1"], "protected": ["SEX"], "legitimate": ["PAY_0"]}
schema = ps.Schema.from_json({**whole, "table": table, "columns": kept, "rules": [], "use": use})

clients = pd.read_csv(CARDS / "clients.csv.gz", dtype=str, keep_default_na=False)[COLUMNS]
clients = (clients if ROWS is None else clients.head(ROWS)).sample(frac=1, random_state=1)
real, holdout = clients.iloc[len(clients) // 3 :], clients.iloc[: len(clients) // 3]

# %% [markdown]
# ## Fit, draw, ask  *(public)*

# %%
model = ps.fit(real, schema, epsilon=1, delta=1e-6, out_of_domain="other")
print(model)
synthetic = model.sample(len(real), rng=rng)
for query in (f"share where `{TARGET}` == '1'", f"share where `{TARGET}` == '1' given SEX == '1'"):
    print("\n".join(model.answer(query).lines()))

# %% [markdown]
# ## Who is treated how?  *(public)*
#
# Sex is declared as protected; how late a client has paid (`PAY_0`) is declared as what may explain a difference. A
# debiased sample keeps both, and makes default independent of sex among clients who paid equally late. What is given
# up is said in numbers, from the model alone.

# %%
print("\n".join(model.debiasing_cost(rng=rng).lines()))
fair = model.sample(len(real), rng=rng, debias=True)
for name, rows in (("as it is", synthetic), ("debiased", fair)):
    rates = rows.assign(defaults=rows[TARGET].astype(str) == "1").groupby("SEX")["defaults"].mean()
    print(name, {str(group): f"{rate:.1%}" for group, rate in rates.items()})

# %% [markdown]
# A debiased sample describes no bank that there is. It is for training, and whoever gets it must be told.
#
# ## Groups on real and on synthetic rows  *(INTERNAL)*
#
# Rates, error rates and calibration by group, of models that were trained on either. Groups of fewer than 11 real
# clients are shown only together with others.

# %%
groups = ps.compare_groups(schema, real, synthetic, rng=rng, holdout=holdout)
print("\n".join(groups.lines()))

# %% [markdown]
# ## What if the lines of credit were cut?  *(public, and imagined)*
#
# Clients as they would be if nobody had more than 150,000: a condition, which holds in every row. It is no forecast:
# the model knows who had such a limit, not what a cut would do to the others.

# %%
cut = model.sample(2_000, rng=rng, given={"LIMIT_BAL": (10_000, 149_999)})
print("default, as it is:", f"{(synthetic[TARGET].astype(str) == '1').mean():.1%}", end=", ")
print("with low limits:", f"{(cut[TARGET].astype(str) == '1').mean():.1%}")

# %% [markdown]
# ## How many rows are worth drawing?  *(public)*
#
# Drawing adds sampling to the noise, and their squares add. From some number of rows on, more of them say no more:
# the noise is what remains. The release report draws this curve from public numbers alone.

# %%
expected = model.error((TARGET, "SEX")).l1 or 0.0
shares = model.project((TARGET, "SEX")) / model.project((TARGET, "SEX")).sum()
for rows in (300, 3_000, 30_000, 300_000):
    sampling = np.sqrt(2 / np.pi * shares * (1 - shares) / rows).sum()
    print(f"{rows:>7,} rows: {np.hypot(expected, sampling) / 2:.2%} of rows would have to move")

# %% [markdown]
# ## Do synthetic defaulters help those who train?  *(INTERNAL)*
#
# Few clients default. `augment` joins synthetic ones to a real training table, and says by cross-validation on real
# rows whether it helped. It is honest only where the model never saw the rows that it is judged by: here, those that
# were held back. An improvement that cannot be told from none is said to be none.

# %%
augmented = ps.augment(holdout, model, schema=schema, fitted_on="others", folds=3, rng=rng)
print("\n".join(augmented.lines()))

# %% [markdown]
# And a learner's own curve, against the number of synthetic rows that it is given.

# %%
growth = ps.scale(holdout, schema=schema, synthetic=model, sizes=(250, 500, 1_000, 2_000), seeds=2, rng=rng)
print("\n".join(growth.lines()))

# %% [markdown]
# ## Is it good enough?  *(INTERNAL)*
#
# Judged by the clients that were held back. The folder may be entered by its owner alone, and must never be released.

# %%
with tempfile.TemporaryDirectory() as folder:
    internal = ps.evaluate(
        synthetic, real=real, holdout=holdout, schema=schema, release=model, out=Path(folder) / "internal", rng=rng
    )
    print("\n".join(internal.lines()))

# %% [markdown]
# ## What goes to the partner
#
# None of the above: a model from `ps.fit` is uncertified. The partner gets the folder that `privsynth release` signs,
# with its report (`docs/guides/data-scientist.md`), checks it (`docs/guides/researcher.md`), and asks it as we asked
# the model: `ps.Model.from_release("release")`.
