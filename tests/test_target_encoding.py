"""Targets, losses and metrics fit each other: what is accepted gives one true number, what would not is refused before training.

Over 300 lines: one table of every loss and metric of Keras against every kind of targets.
"""

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from cnnkit.config.callback_check import log_columns
from cnnkit.config.data_check import warnings
from cnnkit.config.keras_targets import canonical, loss_or_metric
from cnnkit.config.schema import Config
from cnnkit.config.target_encoding import TargetEncoding, decide, encoding_of_compiled
from cnnkit.config.target_faults import never_fits
from cnnkit.config.task import Task
from cnnkit.data.augmentation import BatchPreparation
from cnnkit.data.binding import load
from cnnkit.data.encode import encode
from cnnkit.data.source import Request
from cnnkit.errors import ConfigError, Fault
from cnnkit.keras_api.building import build
from cnnkit.keras_api.checking import parse_entry
from cnnkit.keras_api.compat import fresh_names
from cnnkit.keras_api.signatures import signature_table
from cnnkit.prediction.evaluate import compiled_metrics
from cnnkit.training.prepare import prepare
from cnnkit.training.run import train

THREE = Task("classification", ("a", "b", "c"))
TWO = Task("classification", ("no", "yes"))
LABELS = Task("multilabel", ("x", "y", "z"))
NUMBER, NUMBERS = Task("regression", ("cm",)), Task("regression", ("cm", "kg", "s"))

RANDOM = np.random.default_rng(0)
INDEX, BINARY = RANDOM.integers(0, 3, 40).astype(np.int32), RANDOM.integers(0, 2, 40).astype(np.int32)
MULTI = RANDOM.integers(0, 2, (40, 3)).astype(np.float32)
MULTI[:, 0] = 1 - MULTI[:, 1]  # no example is without labels or has all of them
VALUES = RANDOM.normal(size=(40, 3)).astype(np.float32)

# task -> outputs, targets as the data has them, outputs of a network that makes no mistake
CASES: dict[str, tuple[Task, int, np.ndarray, np.ndarray]] = {
    "three classes": (THREE, 3, INDEX, np.eye(3, dtype=np.float32)[INDEX]),
    "two classes": (TWO, 2, BINARY, np.eye(2, dtype=np.float32)[BINARY]),
    "one output for two classes": (TWO, 1, BINARY, BINARY[:, None].astype(np.float32)),
    "labels": (LABELS, 3, MULTI, MULTI),
    "one number": (NUMBER, 1, VALUES[:, :1], VALUES[:, :1]),
    "numbers": (NUMBERS, 3, VALUES, VALUES),
}

ARGUMENTS: dict[str, dict[str, Any]] = {
    "F1Score": {"average": "macro", "threshold": 0.5},
    "FBetaScore": {"average": "micro", "threshold": 0.5},
    "PrecisionAtRecall": {"recall": 0.5},
    "RecallAtPrecision": {"precision": 0.5},
    "SensitivityAtSpecificity": {"specificity": 0.5},
    "SpecificityAtSensitivity": {"sensitivity": 0.5},
    "IoU": {"num_classes": 3, "target_class_ids": [0, 1], "sparse_y_pred": False},
    "MeanIoU": {"num_classes": 3, "sparse_y_pred": False},
    "OneHotIoU": {"num_classes": 3, "target_class_ids": [0, 1]},
    "OneHotMeanIoU": {"num_classes": 3},
    "TopKCategoricalAccuracy": {"k": 1},
    "SparseTopKCategoricalAccuracy": {"k": 1},
}

# what a network without mistakes gets; the others have no such value that holds for all targets
ZERO = ("Error", "Crossentropy", "CrossEntropy", "KLDivergence", "FalsePositives", "FalseNegatives", "Dice", "Tversky", "Huber", "LogCosh")
ONE = ("Accuracy", "AUC", "IoU", "F1Score", "FBetaScore", "R2Score", "CosineSimilarity", "Correlation", "Precision", "Recall")
AT_BEST = ("SensitivityAtSpecificity", "SpecificityAtSensitivity")


def decided(task: Task, loss: Any = None, metrics: Any = None, **options: Any) -> tuple[TargetEncoding, tuple[Fault, ...]]:
    """The encoding of entries as a config has them."""
    entries = [parse_entry(entry) for entry in metrics] if metrics is not None else None
    return decide(task, parse_entry(loss) if loss is not None else None, entries, **options)


def best_of(kind: str, name: str) -> float | None:
    if kind == "losses" and name == "CosineSimilarity":
        return -1.0
    if any(word in name for word in ZERO):
        return 0.0
    return 1.0 if any(word in name for word in (*ONE, *AT_BEST)) else None


@pytest.mark.parametrize("kind", ["losses", "metrics"])
def test_every_loss_and_metric_of_the_installed_keras_is_known(kind: Any) -> None:
    unknown = [name for name in signature_table().names(kind) if loss_or_metric(kind, parse_entry(name), (), 3).forms is None]
    assert not unknown, f"say in config/keras_targets.py which targets these take: {unknown}"


@pytest.mark.parametrize("case", CASES)
def test_what_is_accepted_gives_one_number_and_the_best_one_to_a_network_without_mistakes(case: str) -> None:
    task, outputs, targets, perfect = CASES[case]
    accepted = 0
    for kind in ("losses", "metrics"):
        for name in signature_table().objects[kind]:  # type: ignore[index]
            entry: Any = {name: ARGUMENTS[name]} if name in ARGUMENTS else name
            encoding, faults = decided(task, *((entry, None) if kind == "losses" else (None, [entry])), outputs=outputs)
            if faults:
                assert all(fault.remedy for fault in faults), name
                continue
            accepted += 1
            value = value_of(kind, encoding, targets, perfect)
            assert np.ndim(value) == 0, name
            assert np.isfinite(value), name
            if (best := best_of(kind, name)) is not None:
                assert value == pytest.approx(best, abs=1e-4), name
    assert accepted > 6


def value_of(kind: str, encoding: TargetEncoding, targets: np.ndarray, predictions: np.ndarray) -> np.ndarray:
    """As Keras's evaluate gives it."""
    model = keras.Sequential([keras.Input(predictions.shape[1:]), keras.layers.Identity()])
    metrics = [build("metrics", entry, ()) for entry in encoding.metrics] if kind == "metrics" else None
    model.compile(loss=build("losses", encoding.loss, ()), metrics=metrics, run_eagerly=True)
    found = model.test_on_batch(predictions, np.asarray(encode(targets, encoding)), return_dict=True)
    return np.asarray(found["loss"] if kind == "losses" else found[next(name for name in found if name != "loss")])


@pytest.mark.parametrize("case", CASES)
def test_the_columns_of_the_logs_are_known_before_training(case: str) -> None:
    task, outputs, targets, perfect = CASES[case]
    entries: list[Any] = []
    for name in signature_table().names("metrics"):
        entry: Any = {name: ARGUMENTS[name]} if name in ARGUMENTS else name
        if not decided(task, None, [*entries, entry], outputs=outputs)[1]:
            entries.append(entry)
    named = [{entry.name: {**entry.arguments, "name": "own"}} for entry in map(parse_entry, entries[:2])]
    encoding = decided(task, None, [*entries, *entries, *named], outputs=outputs)[0]
    model = keras.Sequential([keras.Input(perfect.shape[1:]), keras.layers.Identity()])
    with fresh_names():
        model.compile(loss=build("losses", encoding.loss, ()), metrics=[build("metrics", entry, ()) for entry in encoding.metrics])
    logged = model.test_on_batch(perfect, np.asarray(encode(targets, encoding)), return_dict=True)
    assert len(logged) > 10
    assert sorted(log_columns(encoding.metrics)) == sorted(logged)


def test_the_warning_about_soft_labels_names_a_metric_once() -> None:
    config = Config.model_validate({
        "data": {"dataset": "digits", "augment": ["MixUp"]}, "model": {"layers": ["Flatten"]}, "train": {"metrics": ["AUC", {"AUC": {"curve": "PR"}}]}
    })  # fmt: skip
    (warning,) = warnings(config)
    assert warning == (
        "AUC of training examples ignores the soft labels that MixUp and CutMix make: read its `val_` column, whose examples are not mixed."
    )


@pytest.mark.parametrize("metric", ["Hinge", "SquaredHinge", "squared_hinge", "BinaryAccuracy", "BinaryIoU", "AUC", "Precision"])
def test_metrics_that_want_hard_labels_are_warned_of(metric: str) -> None:
    config = Config.model_validate(
        {"data": {"dataset": "digits", "augment": ["CutMix"]}, "model": {"layers": ["Flatten"]}, "train": {"metrics": [metric]}}
    )
    assert [warning.split(" of ")[0] for warning in warnings(config)] == [metric]


def test_the_reason_why_a_metric_does_not_fit_is_its_own() -> None:
    _, faults = decided(THREE, "SparseCategoricalCrossentropy", ["CosineSimilarity"])
    (fault,) = faults
    assert "one output" not in fault.message
    _, (alone,) = decided(NUMBER, None, ["CosineSimilarity"])
    assert alone.message == "CosineSimilarity compares the outputs of an example with each other, but there is one output"


def form(task: Task, loss: Any = None, metrics: list[Any] | None = None, **options: Any) -> str:
    encoding, faults = decided(task, loss, metrics, **options)
    assert not faults
    return encoding.form


def test_class_indices_become_one_hot_where_a_loss_or_metric_wants_it_and_none_wants_indices() -> None:
    assert form(THREE) == "class index"
    assert form(THREE, None, ["accuracy"]) == "class index"
    assert form(THREE, {"CategoricalCrossentropy": {"label_smoothing": 0.1}}) == "one-hot"
    assert form(THREE, None, ["CategoricalAccuracy", "AUC"]) == "one-hot"
    assert decided(THREE, None, ["AUC"])[0].loss.name == "categorical_crossentropy"
    assert form(THREE, mixes=True) == "one-hot"
    assert form(TWO, None, ["Precision"], outputs=1) == "one column"
    assert form(LABELS) == "multi-hot"
    assert form(NUMBERS, "mse", ["mae", "R2Score"]) == "numbers"


@pytest.mark.parametrize(
    ("task", "outputs", "mixes", "loss", "metrics", "message", "remedy"),
    [
        (THREE, 3, False, "sparse_categorical_crossentropy", ["AUC"], "AUC wants one-hot labels, but sparse_categorical_crossentropy wants class indices", "Write `loss: categorical_crossentropy`."),
        (THREE, 3, False, None, ["SparseCategoricalAccuracy", "AUC"], "SparseCategoricalAccuracy wants class indices, but others of the loss and the metrics want one-hot labels", "Write `CategoricalAccuracy`."),
        (THREE, 3, False, "binary_crossentropy", None, "binary_crossentropy is for two classes, but the data has 3", "Write `loss: sparse_categorical_crossentropy`."),
        (THREE, 3, False, "Circle", None, "Circle compares the examples of a batch with each other, so that no output is the probability of a class", "Leave `loss` out."),
        (THREE, 3, False, None, ["F1Score"], "F1Score without an average is one number a class, but a metric is one number", "Write `average: macro`."),
        (THREE, 3, False, None, [{"MeanIoU": {"num_classes": 3}}], "MeanIoU takes outputs for class indices, but they are probabilities", "Write `sparse_y_pred: false`."),
        (THREE, 3, False, None, ["mean_io_u"], "mean_io_u needs num_classes", "Write it by its class, with its arguments."),
        (THREE, 3, False, None, [{"Precision": {"class_id": 3}}], "is 3, but the network has 3 outputs", "Write a smaller one."),
        (THREE, 3, False, None, [{"Recall": {"thresholds": [0.2, 0.5]}}], "Recall is one number a threshold, but a metric is one number", "Write one threshold."),
        (THREE, 3, True, "sparse_categorical_crossentropy", None, "sparse_categorical_crossentropy wants class indices, but MixUp and CutMix make soft labels", "Write `loss: categorical_crossentropy`."),
        (TWO, 1, True, None, None, "MixUp and CutMix want an output for each class, but there is one for both", "Write `units: 2` and `activation: softmax`."),
        (TWO, 1, False, None, [{"F1Score": {"average": "micro"}}], "F1Score without a threshold calls every example positive", "Write `threshold: 0.5`."),
        (TWO, 1, False, "categorical_crossentropy", None, "categorical_crossentropy wants two outputs, but the last layer gives one", "Write `loss: binary_crossentropy`."),
        (TWO, 2, False, "binary_crossentropy", None, "binary_crossentropy wants one output, but the last layer gives two", "Write `loss: sparse_categorical_crossentropy`, or `units: 1` with sigmoid."),
        (LABELS, 3, False, None, ["accuracy"], "accuracy wants one class for each example, but the data has several labels", "Write `binary_accuracy`."),
        (NUMBER, 1, False, None, ["PearsonCorrelation"], "PearsonCorrelation compares the outputs of an example with each other, but there is one output", "Write `R2Score`, or `PearsonCorrelation: {axis: 0}`."),
        (NUMBER, 1, False, "poisson", None, "poisson is for values above 0, but numbers are learned in standard deviations from their mean", "Write `loss: mean_squared_error`."),
        (NUMBER, 1, False, None, ["AUC"], "AUC counts classes, but cm is a number", "Write `mae`."),
        (NUMBER, 1, False, None, ["mean"], "mean takes one value an example, not targets and outputs", "Leave it out."),
    ],
)  # fmt: skip
def test_what_would_crash_or_give_a_wrong_number_is_refused_with_the_remedy(
    task: Task, outputs: int, mixes: bool, loss: Any, metrics: Any, message: str, remedy: str
) -> None:
    faults = decided(task, loss, metrics, mixes=mixes, outputs=outputs)[1]
    assert [(fault.message, fault.remedy) for fault in faults] == [(message, remedy)]


CONFIG = """
name: digits
data: {{dataset: digits, limit: 200, validation: 0.2{data}}}
model: {{preprocess: [{{Rescaling: {{scale: 1/16}}}}], layers: [Flatten, {{Dense: {{units: 10, activation: softmax}}}}]}}
train: {{epochs: 1, {train}}}
"""


def run_of(folder: Path, train_section: str, data: str = "") -> tuple[dict[str, Any], keras.Model, Any]:
    """The metrics that a run wrote, its model, and its test examples."""
    (folder / "c.yaml").write_text(CONFIG.format(train=train_section, data=data))
    train(prepare(load([folder / "c.yaml"]), folder / "run"), Quiet())
    test = load([folder / "c.yaml"]).source.load(Request(42, folder, ())).test
    assert test is not None
    return json.loads((folder / "run" / "metrics.json").read_text()), keras.saving.load_model(folder / "run" / "model.keras"), test


class Quiet:
    def __getattr__(self, name: str) -> Any:
        return lambda *arguments: None


def test_label_smoothing_on_class_indices_is_that_of_plain_keras_on_one_hot(tmp_path: Path) -> None:
    told, model, test = run_of(tmp_path, "loss: {CategoricalCrossentropy: {label_smoothing: 0.1}}, metrics: [CategoricalAccuracy, AUC]")
    probabilities = model.predict(test.rows.read(test.index), verbose=0)
    one_hot = np.eye(10)[test.targets]
    expected = keras.losses.CategoricalCrossentropy(label_smoothing=0.1)(one_hot, probabilities)
    assert told["loss"] == pytest.approx(float(expected), abs=1e-5)
    assert told["categorical_accuracy"] == pytest.approx(
        sklearn_metrics.accuracy_score(test.targets, probabilities.argmax(axis=1)), abs=1e-6
    )
    area = next(value for name, value in told.items() if name.startswith("auc"))
    plain = keras.metrics.AUC()
    plain.update_state(one_hot, probabilities)
    assert area == pytest.approx(float(plain.result()), abs=1e-5)


@pytest.mark.parametrize("loss", ["KLDivergence", "Dice"])
def test_mixed_examples_go_with_losses_of_distributions_to_the_end(loss: str, tmp_path: Path) -> None:
    told, model, test = run_of(tmp_path, f"loss: {loss}", ", augment: [MixUp]")
    expected = getattr(keras.losses, loss)()(np.eye(10)[test.targets], model.predict(test.rows.read(test.index), verbose=0))
    assert told["loss"] == pytest.approx(float(expected), abs=1e-4 if loss == "KLDivergence" else 5e-3)


def test_class_weights_are_refused_with_a_loss_of_one_number_a_batch(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(CONFIG.format(train="loss: Dice, class_weight: balanced", data=""))
    with pytest.raises(ConfigError, match=r"Dice is one number a batch, so that no class can be weighted\n    Write `Dice: \{axis: -1\}`"):
        load([tmp_path / "c.yaml"])


def test_weights_and_targets_of_a_batch_follow_the_encoding() -> None:
    weights = np.array([1.0, 2.0, 4.0])
    encoding = decided(THREE, "categorical_crossentropy")[0]
    _, targets, given = BatchPreparation([], 0, THREE, weights, encoding)(np.zeros((2, 4, 4, 1), np.float32), np.array([2, 1]))
    assert np.array_equal(targets, [[0, 0, 1], [0, 1, 0]])
    assert np.array_equal(given, [4, 2])
    encoding = decided(TWO, outputs=1)[0]
    _, targets, given = BatchPreparation([], 0, TWO, weights[:2], encoding)(np.zeros((2, 4, 4, 1), np.float32), np.array([1, 0]))
    assert np.array_equal(targets, [[1], [0]])
    assert np.array_equal(given, [2, 1])


@pytest.mark.parametrize(
    ("loss", "metrics", "expected"),
    [
        ("categorical_crossentropy", ["accuracy"], "one-hot"),
        (keras.losses.CategoricalCrossentropy(label_smoothing=0.1), [keras.metrics.AUC()], "one-hot"),
        (keras.losses.sparse_categorical_crossentropy, ["accuracy", keras.metrics.CategoricalAccuracy()], "class index"),
        (keras.losses.KLDivergence(), None, "one-hot"),
        ("sparse_categorical_crossentropy", None, "class index"),
        (keras.losses.Circle(), None, "class index"),
    ],
)
def test_the_encoding_of_a_saved_model_follows_from_what_it_was_compiled_with(loss: Any, metrics: Any, expected: str) -> None:
    predictions = np.eye(3, dtype=np.float32)[INDEX] * 0.8 + 0.05
    model = keras.Sequential([keras.Input((3,)), keras.layers.Identity()])
    model.compile("sgd", loss, metrics=metrics)
    encoding, _ = encoding_of_compiled(model.get_compile_config(), THREE, 3)
    assert encoding.form == expected
    told = compiled_metrics(model, predictions, INDEX, THREE)
    targets = np.eye(3)[INDEX] if expected == "one-hot" else INDEX
    plain = model.evaluate(predictions, targets, batch_size=40, verbose=0, return_dict=True)
    assert told["loss"] == pytest.approx(plain["loss"], abs=1e-5)
    assert "categorical_accuracy" not in told  # of a model made before, on class indices: it is no true number


def test_the_word_accuracy_is_what_keras_makes_of_it_for_each_encoding() -> None:
    wrong = np.array([[0.2, 0.7, 0.1], [0.6, 0.3, 0.1]], np.float32)
    for word in ("accuracy", "acc", "Accuracy"):
        for loss in (None, "categorical_crossentropy"):
            assert value_of("metrics", decided(THREE, loss, [word])[0], np.array([1, 2]), wrong) == 0.5
        assert value_of("metrics", decided(TWO, None, [word], outputs=1)[0], np.array([1, 1]), np.array([[0.9], [0.2]])) == 0.5


def test_names_of_the_same_loss_are_one() -> None:
    assert canonical("kld") == canonical("KLDivergence") == canonical("kl_divergence")
    assert never_fits(loss_or_metric("losses", parse_entry("ctc"), (), 3)) is not None
