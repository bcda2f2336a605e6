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
# # Who comes back? Hospital readmission, without the patients
#
# A hospital has 101,766 stays of 71,518 patients with diabetes, and wants to know who is back within thirty days. The
# table may not leave the building. We fit a model to it under a privacy budget, and see what the model can be asked,
# how far each answer is to be trusted, and what it cannot tell.
#
# Open this file as a notebook with `jupytext --to ipynb hospital_readmission.py`. It needs privsynth's extras
# `pandas` and `evaluate`.
#
# Two kinds of numbers appear below. **Public** ones follow from noisy answers that were paid for, and cost nothing
# more. **Internal** ones are computed on real records without noise: they are for those who may see the records, and
# stay with them.

# %%
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

import privsynth as ps
from privsynth.imagining.effects import scenario_effects

ROWS = None  # all stays; a number takes so many, to be quick
STAYS = next(folder for folder in map(Path, ("examples/hospital_stays", "../hospital_stays")) if folder.exists())
rng = np.random.default_rng(30)  # draws records; the noise that protects people has no seed

# %% [markdown]
# ## What is declared
#
# The schema is public: what a column may hold, who is protected (the patient, of whom one stay is used), what the
# table is for. Nothing in it was looked up in the data. The budget is shared by all columns, so that we keep those
# that the question needs.

# %%
COLUMNS = ["patient_nbr", "race", "gender", "age", "time_in_hospital", "num_medications", "number_inpatient", "insulin"]
COLUMNS += ["diabetesMed", "readmitted"]
whole = ps.Schema.load(STAYS / "schema.toml").to_json()
kept = [column for column in whole["columns"] if column["name"] in COLUMNS]
table = {name: value for name, value in whole["table"].items() if name != "key"}
schema = ps.Schema.from_json({**whole, "table": table, "columns": kept, "rules": []})
print("predicted:", schema.use.target, schema.use.outcome, "| protected:", schema.use.protected, "| unit:", schema.unit)

# %% [markdown]
# ## Fit
#
# `ps.fit` is for exploring on your own data: what it makes is uncertified, charges no ledger and cannot be signed. A
# release is made by `privsynth release`, which charges the population's ledger and attacks the result before it
# leaves; `privsynth quote` says beforehand what that would cost (`docs/guides/data-scientist.md`).

# %%
real = pd.read_csv(STAYS / "encounters.csv.gz", dtype=str, keep_default_na=False)[COLUMNS]
real = real if ROWS is None else real.sample(ROWS, random_state=1)
model = ps.fit(real, schema, epsilon=1, delta=1e-6, out_of_domain="other")
print(model)

# %% [markdown]
# ## Synthetic stays
#
# As many as you like, also with conditions, which hold in every row. No row stands for a patient.

# %%
synthetic = model.sample(min(len(real), 20_000), rng=rng)
print(synthetic[["age", "time_in_hospital", "number_inpatient", "readmitted"]].head())
elderly = model.sample(200, rng=rng, given={"age": ["[70-80)", "[80-90)"], "readmitted": "<30"})
assert set(elderly["readmitted"]) == {"<30"}
print(elderly["age"].value_counts().to_dict())

# %% [markdown]
# ## How far is it to be trusted?  *(public)*
#
# The noise is known, and so is the error to expect. `l1` is twice the share of rows that would have to move to make
# the table true. An answer comes with a 90 % interval for the real table, and says what it rests on: a measured
# table, or the model's assumptions.

# %%
for clique in (("readmitted",), ("number_inpatient", "readmitted"), ("age", "readmitted")):
    error = model.error(clique)
    print(
        " x ".join(clique),
        "- rows that would have to move:",
        "not known" if error.l1 is None else f"{error.l1 / 2:.1%}",
    )

for query in (
    "share where readmitted == '<30'",
    "share where readmitted == '<30' given number_inpatient >= 2",
    "mean time_in_hospital",
):
    print("\n".join(model.answer(query).lines()))

# %% [markdown]
# ## Who comes back? A regression whose intervals know the noise  *(public)*
#
# One synthetic table, taken for real, gives intervals that are far too narrow. `copies` makes several tables, each
# from its own draw of the truth that the noisy answers leave open; the spread between them is the part that the noise
# adds. A line with a warning is not to be quoted.

# %%
copies = model.copies(5, rng=rng)  # 20 or more for what is to be published
found = copies.regress("readmitted", ["time_in_hospital", "number_inpatient", "gender"], outcome=["<30"])
print("\n".join(found.lines()))

# %% [markdown]
# ## Rare outcomes: as many of each  *(public)*
#
# One stay in ten leads back within thirty days. For training, draw as many of each outcome; all else follows from the
# model, given the outcome. This makes rows, not knowledge: what is rare in the data is as little known as before.

# %%
balanced = model.sample(3_000, rng=rng, rebalance="readmitted")
print(balanced["readmitted"].value_counts().to_dict())

# %% [markdown]
# ## What if one in five came back?  *(public, and imagined)*
#
# A what-if is the model nearest to ours in which the declared shares hold. It is a scenario and no finding: it has no
# error bars.

# %%
scenario = model.shifted({"readmitted": {"<30": 0.2}})
print("\n".join(scenario_effects(model, scenario).lines()[:4]))

# %% [markdown]
# ## Is it good enough? Compare with the real table  *(INTERNAL)*
#
# `evaluate` counts on real records without noise. The folder that it writes may be entered by its owner alone, and
# must never be released. The line to look at first is the first; then how a model that was trained on synthetic rows
# predicts real readmissions, against one that was trained on real rows. The model was fitted to one stay of each
# patient, drawn at random, and one stay of each is what it is compared with: `release=model` says so. Patients with many
# stays come back more often than others, so that beside all stays a model that is right about patients would look wrong.

# %%
with tempfile.TemporaryDirectory() as folder:
    internal = ps.evaluate(synthetic, real=real, schema=schema, release=model, out=Path(folder) / "internal", rng=rng)
    print("\n".join(internal.lines()))

# %% [markdown]
# ## What this does not say
#
# - Nothing about one patient: that is the guarantee, and it holds whatever else somebody knows.
# - Nothing reliable about three columns at once, unless a table of the three was measured.
# - Nothing about groups that are smaller than the noise. Their absence here is what protects the few who are in them.
