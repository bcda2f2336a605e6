"""Figures of other libraries on the same table, and how they were run; for reference beside what is measured here."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """Mean total variation of all pairs and of all triples, and CPU seconds of fitting; one run each, delta 1e-9."""

    library: str
    epsilon: str
    pairs: float
    triples: float
    cpu_seconds: float


COMMANDS = {
    "mbi MST": "mbi 2.0.0 with mechanisms/mst.py of github.com/ryan112358/mbi at 361705d: python mst.py, defaults",
    "dpmm MST": "dpmm 0.1.9: MSTPipeline(epsilon, delta=1e-9, disable_processing=True), n_iters 5000",
    "dpmm AIM-lite": "dpmm 0.1.9: AIMPipeline(rounds=28, n_iters=200, max_model_size=5, disable_processing=True)",
    "mbi MST, side by side": "make bench ONLY=path: mbi.estimation.MirrorDescent().estimate(...) and synthetic_data, this run",
    "opendp": "make bench ONLY=path: opendp make_gaussian on vectors of i32, this run",
}

MST = (
    Peer(library="mbi MST", epsilon="0.1", pairs=0.1708, triples=0.2790, cpu_seconds=67.3),
    Peer(library="dpmm MST", epsilon="0.1", pairs=0.1983, triples=0.3397, cpu_seconds=118.4),
    Peer(library="mbi MST", epsilon="1", pairs=0.0612, triples=0.1296, cpu_seconds=103.0),
    Peer(library="dpmm MST", epsilon="1", pairs=0.0630, triples=0.1345, cpu_seconds=137.3),
    Peer(library="mbi MST", epsilon="10", pairs=0.0478, triples=0.1130, cpu_seconds=131.4),
    Peer(library="dpmm MST", epsilon="10", pairs=0.0423, triples=0.1031, cpu_seconds=130.3),
)

AIM = (
    Peer(library="dpmm AIM-lite", epsilon="0.1", pairs=0.1580, triples=0.2468, cpu_seconds=28.0),
    Peer(library="dpmm AIM-lite", epsilon="1", pairs=0.0501, triples=0.1077, cpu_seconds=59.0),
    Peer(library="dpmm AIM-lite", epsilon="10", pairs=0.0496, triples=0.1064, cpu_seconds=82.5),
)
"""mbi's and dpmm's AIM with their own defaults did not finish 14 columns in 600 CPU seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeepPeer:
    """A deep generator of another library: mean total variation of all pairs, areas under the ROC curve of models trained on
    its records, CPU seconds of training; one run each on one thread, delta 1e-5, every column categorical, levels public.

    `part` is how much of the library's own schedule was run. Only a run that is `whole`, or nearly, is a figure to beat: one
    that was cut short says little about the library.
    """

    library: str
    table: str
    epsilon: str
    part: str
    pairs: float
    boosting: float
    regression: float
    cpu_seconds: float
    whole: bool = False


DEEP_COMMANDS = {
    "smartnoise": 'smartnoise-synth 1.0.8: Synthesizer.create("dpctgan" or "patectgan", epsilon=10.0, delta=1e-5), else '
    "defaults (batch 500), LabelTransformer and OneHotEncoder fitted to all levels; a run at epsilon 1 is the beginning of it",
    "nhssynth DPVAE": "nhssynth 0.11.0 (its declared pins give way to torch 2.13.0, opacus 1.6.0): "
    "DPVAE(frame, layout, batch_size=32, target_epsilon=EPSILON, target_delta=1e-5).train(num_epochs=1)",
    "mostlyai-engine": "mostlyai-engine 2.7.3, tabular model: train(differential_privacy=DifferentialPrivacyConfig("
    "max_epsilon=1, delta=1e-5), max_training_time=MINUTES), value_protection off, else defaults",
    "diffprivlib": "make bench ONLY=deep: LogisticRegression and RandomForestClassifier on the real records, this run",
    "opacus": "make bench ONLY=deep: GradSampleModule, and GradSampleModuleFastGradientClipping, this run",
}

DEEP = (
    DeepPeer(
        library="smartnoise PATECTGAN", table="adult", epsilon="1", part="4 of 5 iterations", whole=True,
        pairs=0.7435, boosting=0.4534, regression=0.5561, cpu_seconds=87.4,
    ),
    DeepPeer(
        library="smartnoise DPCTGAN", table="adult", epsilon="1", part="cut: 2 of 58 epochs, epsilon 0.17 spent",
        pairs=0.5430, boosting=0.4664, regression=0.3585, cpu_seconds=127.2,
    ),
    DeepPeer(
        library="nhssynth DPVAE", table="adult", epsilon="1", part="cut: 1 of 100 epochs, all of epsilon spent",
        pairs=0.1963, boosting=0.6405, regression=0.5724, cpu_seconds=52.7,
    ),
    DeepPeer(
        library="nhssynth DPVAE", table="adult", epsilon="10", part="cut: 1 of 100 epochs, all of epsilon spent",
        pairs=0.1956, boosting=0.6924, regression=0.6466, cpu_seconds=59.1,
    ),
    DeepPeer(
        library="mostlyai-engine", table="adult", epsilon="1", part="cut: 4 of 12 epochs, epsilon 0.60 spent",
        pairs=0.2058, boosting=0.8221, regression=0.8174, cpu_seconds=78.7,
    ),
    DeepPeer(
        library="mostlyai-engine", table="hospital_stays", epsilon="1",
        part="cut: 0.43 of about 13 epochs, epsilon 0.40 spent",
        pairs=0.3334, boosting=0.5421, regression=0.5271, cpu_seconds=58.2,
    ),
)  # fmt: skip
