"""What the tests of answers share: models of the made-up clinic, and its records."""

import numpy as np
import pytest

import privsynth as ps
from privsynth.schema import Schema
from tests import clinic


@pytest.fixture(scope="package")
def schema():
    return Schema.loads(clinic.SCHEMA)


@pytest.fixture(scope="package")
def frame():
    import pandas as pd

    table = pd.DataFrame(clinic.rows(patients=4000), columns=clinic.HEADER)
    return table.drop_duplicates("patient")  # one visit each: what is measured is then the table itself


@pytest.fixture(scope="package")
def model(frame, schema):
    return ps.fit(frame, schema, generator="latent_class", settings={"components": 60}, epsilon=2, delta=1e-6)


@pytest.fixture
def rng():
    return np.random.default_rng(0)
