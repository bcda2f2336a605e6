"""DataSynthesizer behind the contract of `privsynth audit`: a frame and a number of rows in, a frame out.

Needs `pip install DataSynthesizer`; as a program (`generate.py TRAINING ROWS SYNTHETIC`) in any environment that has it.
"""

import secrets
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd

EPSILON = 1.0
LABELS = ("SEX", "EDUCATION", "MARRIAGE", "default.payment.next.month")
UNIT = "ID"


def generate(training, rows, seed=0):
    """Fit and release as the library's own example does: `seed` 0 is its default, too."""
    from DataSynthesizer.DataDescriber import DataDescriber
    from DataSynthesizer.DataGenerator import DataGenerator

    with TemporaryDirectory() as folder:
        table, description = Path(folder) / "training.csv", Path(folder) / "description.json"
        training.drop(columns=UNIT).to_csv(table, index=False)
        describer, generator = DataDescriber(), DataGenerator()
        describer.describe_dataset_in_correlated_attribute_mode(
            str(table), k=1, epsilon=EPSILON, attribute_to_is_categorical=dict.fromkeys(LABELS, True), seed=seed
        )
        describer.save_dataset_description_to_file(str(description))
        generator.generate_dataset_in_correlated_attribute_mode(rows, str(description), seed=seed)
        return generator.synthetic_dataset


def generate_fresh(training, rows):
    """The same with a seed of the system's own for each fit."""
    return generate(training, rows, seed=secrets.randbits(32))


if __name__ == "__main__":
    training_file, wanted, synthetic_file, *how = sys.argv[1:]
    chosen = generate_fresh if how == ["fresh"] else generate
    chosen(pd.read_csv(training_file), int(wanted)).to_csv(synthetic_file, index=False)
