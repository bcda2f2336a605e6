"""The whole list. The library must never know it."""

from collections.abc import Mapping

from tests.kill_matrix import (
    accounting,
    black_boxes,
    contributions,
    data_dependence,
    histories,
    models,
    noise,
    output,
    purchases,
    selection,
    sensitivity,
    training,
    training_noise,
)
from tests.kill_matrix.defect import Defect

FAMILIES: Mapping[str, tuple[Defect, ...]] = {
    "Sensitivity": sensitivity.DEFECTS,
    "Accounts": accounting.DEFECTS,
    "Noise": noise.DEFECTS,
    "Choices": selection.DEFECTS,
    "Gradient steps": training.DEFECTS,
    "Training": training_noise.DEFECTS,
    "Decided by the data": data_dependence.DEFECTS,
    "What is bought": purchases.DEFECTS,
    "Models that remember": models.DEFECTS,
    "What one person contributes": contributions.DEFECTS,
    "Histories and several tables": histories.DEFECTS,
    "Releases that carry people": output.DEFECTS,
    "Other people's generators": black_boxes.DEFECTS,
}

DEFECTS: tuple[Defect, ...] = tuple(defect for defects in FAMILIES.values() for defect in defects)
