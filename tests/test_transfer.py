"""From one task to another: what is frozen stays to the byte, any network is a base, augmented passes, and scratch beside it.

Over 300 lines: all on the same few small bases.
"""

import json
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import cnnkit
from cnnkit import cli
from cnnkit.commands import transfer
from cnnkit.config.schema import Phase
from cnnkit.data.binding import BoundConfig, load
from cnnkit.data.examples import Examples
from cnnkit.data.rows import ArrayRows
from cnnkit.data.source import Request
from cnnkit.errors import CnnkitError
from cnnkit.experiments import compare_scratch
from cnnkit.experiments.compare_scratch import SideResult, _sides, parse_fractions
from cnnkit.metrics import ACCURACY
from cnnkit.training.features import PassSource
from cnnkit.training.phases import base_of, set_trainable
from cnnkit.training.prepare import prepare
from cnnkit.training.run import TrainingResult, train
from cnnkit.training.transfer_config import FINE_TUNE_EPOCHS

HEAD = "[GlobalAveragePooling2D, {Dropout: {rate: 0.3}}, {Dense: {units: outputs, activation: softmax}}]"
CONFIG = """
name: small
data: {dataset: digits, limit: 60, validation: 0.2, batch_size: 16}
model: {base: BASE, image_size: 32, head: HEAD}
train: {epochs: 1}
"""
SMALL_BASE = "{MobileNetV2: {alpha: 0.35, weights: none}}"
OWN = """
name: own
seed: 3
data: {dataset: shapes, limit: 40, validation: 0.2}
model:
  input_shape: [32, 32, 3]
  preprocess: [{Rescaling: {scale: 1/255}}]
  layers:
    - Conv2D: {filters: 8, kernel_size: 3, name: conv_a}
    - BatchNormalization: {name: norm_a}
    - MaxPooling2D
    - Conv2D: {filters: 8, kernel_size: 3, activation: relu, name: conv_b}
    - Flatten: {name: flatten}
    - Dense: {units: 16, activation: relu, name: dense_a}
    - Dense: {units: outputs, activation: softmax, name: answer}
train: {epochs: 1}
"""


class Snapshots:
    """A listener that keeps all weights as they are before each phase."""

    def __init__(self, model: keras.Model) -> None:
        self._model = model
        self.taken: list[dict[str, bytes]] = []

    def take(self) -> None:
        self.taken.append({weight.path: weight.numpy().tobytes() for weight in self._model.weights})

    def on_phase(self, *arguments: Any) -> None:
        self.take()

    def __getattr__(self, name: str) -> Any:
        return lambda *arguments: None


def run(text: str, folder: Path, name: str = "run", *overrides: str) -> tuple[keras.Model, TrainingResult, Snapshots]:
    (folder / f"{name}.yaml").write_text(text)
    prepared = prepare(load([folder / f"{name}.yaml"], overrides), folder / name)
    listener = Snapshots(prepared.network.model)
    finished = train(prepared, listener)
    listener.take()
    return prepared.network.model, finished, listener


def command(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["cnnkit", *arguments])
    with pytest.raises(SystemExit) as exit_status:
        cli.main()
    return int(exit_status.value.code or 0)


@pytest.fixture(scope="module", autouse=True)
def few_shapes() -> Any:
    """A small stand-in for the whole module."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cnnkit.data.sources.shapes.TRAIN_EXAMPLES", 60)
        patch.setattr("cnnkit.data.sources.shapes.TEST_EXAMPLES", 20)
        yield


@pytest.fixture(scope="module")
def own_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a small network on 32x32 images of ten classes, as one would have of CIFAR-10."""
    folder = tmp_path_factory.mktemp("own")
    run(OWN, folder)
    return folder / "run"


@pytest.mark.parametrize(
    ("base", "size", "opened"),
    [
        ("own", 32, "conv_b"),
        (SMALL_BASE, 32, "Conv_1"),
        pytest.param("{ResNet50: {weights: none}}", 32, "conv5_block3_3_conv", marks=pytest.mark.slow),
        pytest.param("{EfficientNetB0: {weights: none}}", 32, "top_conv", marks=pytest.mark.slow),
    ],
)
def test_after_every_phase_frozen_weights_and_statistics_are_the_same_bytes(
    base: str, size: int, opened: str, own_run: Path, tmp_path: Path
) -> None:
    text = CONFIG.replace("BASE", f"{{run: {own_run}}}" if base == "own" else base).replace("image_size: 32", f"image_size: {size}")
    text = text.replace("HEAD", HEAD.replace("GlobalAveragePooling2D, ", "") if base == "own" else HEAD)
    phases = f"{{phases: [{{train: head}}, {{train: from {opened}}}, {{train: {opened}}}], epochs: 1}}"
    model, finished, snapshots = run(text.replace("{epochs: 1}", phases), tmp_path)
    assert len(finished.history.rows) == 3
    network = base_of(model)
    assert network is not None
    layers = [layer for layer in network._flatten_layers(include_self=False) if not hasattr(layer, "layers")]
    names = [layer.name for layer in network.layers]
    after_opened = set(names[names.index(opened) :])
    for phase, may_change in enumerate((set(), after_opened, {opened})):
        before, after = snapshots.taken[phase], snapshots.taken[phase + 1]
        for layer in layers:
            norm = isinstance(layer, keras.layers.BatchNormalization)
            for weight in layer.weights:
                changed = before[weight.path] != after[weight.path]
                if norm or layer.name not in may_change:
                    assert not changed, (phase, weight.path)
                elif layer.name == opened:
                    assert changed, (phase, weight.path)
        head = list(model.layers[-1].weights)
        assert any(before[weight.path] != after[weight.path] for weight in head)


def test_batch_normalization_trains_where_that_is_asked_for(own_run: Path, tmp_path: Path) -> None:
    text = CONFIG.replace(", head: HEAD", "").replace("image_size: 32", "image_size: null").replace("BASE", f"{{run: {own_run}}}")
    _, _, snapshots = run(text.replace("{epochs: 1}", "{phases: [{train: all, epochs: 1, batch_norm: train}]}"), tmp_path)
    changed = {path for path, value in snapshots.taken[0].items() if value != snapshots.taken[1][path]}
    assert {path.split("norm_a/")[1] for path in changed if "norm_a" in path} == {"gamma", "beta", "moving_mean", "moving_variance"}


def test_a_run_on_a_base_is_a_base_and_its_inner_layers_obey(own_run: Path, tmp_path: Path) -> None:
    head = "[{Dense: {units: outputs, activation: softmax}}]"
    text = CONFIG.replace("image_size: 32", "image_size: null")
    run(text.replace("BASE", f"{{run: {own_run}, until: flatten}}").replace("HEAD", head), tmp_path, "first")
    second = text.replace("BASE", f"{{run: {tmp_path / 'first'}}}").replace("HEAD", head)
    phases = "{phases: [{train: head}, {train: conv_b}, {train: all}], epochs: 1, keep: last}"
    model, _, snapshots = run(second.replace("{epochs: 1}", phases), tmp_path, "second")

    def changed(phase: int) -> set[str]:
        before, after = snapshots.taken[phase], snapshots.taken[phase + 1]
        return {path.rsplit("/")[-2] for path, value in before.items() if after[path] != value and "seed" not in path}

    answer = model.layers[-1].name
    assert changed(0) == {answer}
    assert changed(1) == {answer, "conv_b"}
    assert changed(2) == {answer, "conv_a", "conv_b"}  # and not norm_a
    set_trainable(model, Phase(train="all", batch_norm="train"), ())
    assert {weight.path.rsplit("/")[-2] for weight in model.trainable_weights} == {answer, "conv_a", "conv_b", "norm_a"}


@pytest.mark.parametrize(
    ("until", "features"),
    [(None, (None, 16)), ("flatten", (None, 13 * 13 * 8)), ("conv_a", (None, 30, 30, 8))],
)
def test_a_network_of_ones_own_is_cut_where_the_user_says_and_gives_its_own_features(
    until: str | None, features: tuple[int | None, ...], own_run: Path, tmp_path: Path
) -> None:
    entry = f"{{run: {own_run}, until: {until}}}" if until else f"{{run: {own_run}}}"
    config = CONFIG.replace("BASE", entry).replace(", head: HEAD", "").replace("image_size: 32", "image_size: null")
    (tmp_path / "c.yaml").write_text(config)
    prepared = prepare(load([tmp_path / "c.yaml"]), tmp_path / "run")
    base = base_of(prepared.network.model)
    assert base is not None
    assert base.output_shape == features
    assert prepared.network.model.output_shape == (None, 10)
    assert prepared.dataset.train.input_shape == (8, 8, 1)  # grey digits become 32x32 in three colours by themselves
    trained = keras.saving.load_model(own_run / "model.keras")
    images = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3)).astype(np.float32)
    expected = keras.Model(trained.input, trained.get_layer(until or "dense_a").output)(images)
    assert np.allclose(base(images), expected, atol=1e-5)


def test_a_classifier_is_the_base_of_a_regression_and_of_other_class_counts(own_run: Path, tmp_path: Path) -> None:
    entry = f"{{run: {own_run}}}"
    regression = (
        f"name: r\ndata: {{dataset: shapes, target: size, limit: 40, validation: 0.2}}\nmodel: {{base: {entry}}}\ntrain: {{epochs: 2}}\n"
    )
    _, finished, _ = run(regression, tmp_path, "regression")
    assert finished.evaluation is not None
    assert finished.evaluation.metadata.task.kind == "regression"
    saved = keras.saving.load_model(tmp_path / "regression" / "model.keras")
    assert saved.output_shape == (None, 1)
    random = np.random.default_rng(0)
    np.savez(tmp_path / "three.npz", x=random.integers(0, 256, (30, 32, 32, 3), np.uint8), y=np.arange(30) % 3)
    three = f"name: t\ndata: {{npz: three.npz, validation: 0.2, test: 0.2}}\nmodel: {{base: {entry}}}\ntrain: {{epochs: 1}}\n"
    model, _, _ = run(three, tmp_path, "three")
    assert model.output_shape == (None, 3)
    back = "name: b\ndata: {npz: three.npz, validation: 0.2, test: 0.2}\nmodel: {base: {run: regression}}\ntrain: {epochs: 1}\n"
    model, _, _ = run(back, tmp_path, "back")  # and the regression is a base of a classifier again, by a relative path
    assert model.output_shape == (None, 3)


def test_retraining_everything_and_starting_from_scratch_are_a_word_each(own_run: Path, tmp_path: Path) -> None:
    text = CONFIG.replace(", head: HEAD", "").replace("image_size: 32", "image_size: null").replace("BASE", f"{{run: {own_run}}}")
    _, _, snapshots = run(text.replace("{epochs: 1}", "{phases: [{train: all, epochs: 1}]}"), tmp_path, "all")
    before, after = snapshots.taken
    assert all((before[path] != after[path]) == ("norm_a" not in path) for path in before if "seed" not in path)
    (tmp_path / "none.yaml").write_text(text.replace(f"{{run: {own_run}}}", f"{{run: {own_run}, weights: none}}"))
    fresh = base_of(prepare(load([tmp_path / "none.yaml"]), tmp_path / "none").network.model)
    kept = keras.saving.load_model(own_run / "model.keras")
    assert fresh is not None
    assert fresh.get_layer("conv_a").kernel.shape == kept.get_layer("conv_a").kernel.shape
    assert not np.allclose(fresh.get_layer("conv_a").kernel, kept.get_layer("conv_a").kernel)


def test_a_layer_before_a_frozen_base_is_trained_with_the_head(own_run: Path, tmp_path: Path) -> None:
    text = CONFIG.replace("BASE", f"{{run: {own_run}, until: conv_b}}").replace("HEAD", HEAD)
    text = text.replace("model: {", "model: {preprocess: [{Conv2D: {filters: 3, kernel_size: 1, name: colors}}], ")
    model, _, snapshots = run(text.replace("{epochs: 1}", "{phases: [{train: head, epochs: 1}]}"), tmp_path)
    before, after = snapshots.taken
    base = base_of(model)
    assert base is not None
    assert before["colors/kernel"] != after["colors/kernel"]
    assert all(before[weight.path] == after[weight.path] for weight in base.weights)


def watch_features(monkeypatch: pytest.MonkeyPatch) -> list[Examples]:
    """The features of all passes and splits that are computed from now on."""
    computed: list[Examples] = []
    from cnnkit.training import phase_batches

    def watched(*arguments: Any) -> Examples:
        computed.append(original(*arguments))
        return computed[-1]

    original = phase_batches.compute_features
    monkeypatch.setattr(phase_batches, "compute_features", watched)
    return computed


def test_augmented_passes_are_computed_once_differ_and_are_taken_in_turn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    computed = watch_features(monkeypatch)
    text = CONFIG.replace("BASE", SMALL_BASE).replace("HEAD", HEAD).replace("batch_size: 16", "batch_size: 16, augment: AUGMENT")
    text = text.replace("AUGMENT", "[{RandomFlip: {mode: horizontal}}, {RandomRotation: {factor: 0.1}}], augment_passes: 2")
    model, finished, snapshots = run(text.replace("{epochs: 1}", "{epochs: 3}"), tmp_path)
    assert len(finished.history.rows) == 3
    first, second, validation = (each.rows.read(each.index) for each in computed)
    assert first.shape == second.shape == (48, 1280)
    assert validation.shape == (12, 1280)
    assert not np.allclose(first, second, rtol=0.01, atol=0)  # random weights give features of 1e-11
    base = base_of(model)
    assert base is not None
    assert all(snapshots.taken[0][weight.path] == snapshots.taken[1][weight.path] for weight in base.weights)
    saved = keras.saving.load_model(tmp_path / "run" / "model.keras")
    assert saved.input_shape == (None, 8, 8, 1)
    assert not any("Random" in type(layer).__name__ for layer in saved.layers)


def test_features_that_do_not_fit_into_memory_are_read_from_a_file_pass_by_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    computed = watch_features(monkeypatch)
    text = CONFIG.replace("BASE", SMALL_BASE).replace("HEAD", HEAD).replace("{epochs: 1}", "{epochs: 2}")
    text = text.replace("batch_size: 16", "batch_size: 16, augment: [{RandomRotation: {factor: 0.1}}], augment_passes: 2")
    in_memory, _, _ = run(text, tmp_path, "memory")
    monkeypatch.setattr("cnnkit.training.features.available_memory", lambda: 8)
    in_file, _, _ = run(text, tmp_path, "file")
    assert [type(each.rows).__name__ for each in computed] == ["ArrayRows"] * 3 + ["DiskRows"] * 3
    features = [each.rows.read(each.index) for each in computed]
    assert all(np.array_equal(memory, file) for memory, file in zip(features[:3], features[3:], strict=True))
    assert not np.allclose(features[3], features[4], rtol=0.01, atol=0)
    assert all(np.array_equal(memory, file) for memory, file in zip(in_memory.get_weights(), in_file.get_weights(), strict=True))
    assert not list((tmp_path / "file").rglob("*.cache"))


def test_one_pass_an_epoch_in_turn() -> None:
    passes = [Examples(ArrayRows(np.full((6, 1), value, np.float32)), np.arange(6), np.arange(6)) for value in (0, 1, 2)]
    source = PassSource(passes, 4, balanced=False)
    for epoch in range(5):
        batches = list(source.shuffled(7, epoch))
        assert {float(value) for inputs, _ in batches for value in inputs.numpy().ravel()} == {float(epoch % 3)}
        assert sorted(int(target) for _, targets in batches for target in targets) == [0, 1, 2, 3, 4, 5]


@pytest.mark.slow
def test_transfer_and_scratch_are_compared_on_shares_of_the_data(
    own_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    text = CONFIG.replace(", head: HEAD", "").replace("image_size: 32", "image_size: null").replace("epochs: 1", "epochs: 2")
    (tmp_path / "c.yaml").write_text(text.replace("BASE", f"{{run: {own_run}, until: flatten}}"))
    assert command(monkeypatch, "transfer", "c.yaml", "--fractions", "0.5,1", "--run-dir", "compared") == 0
    told = json.loads((tmp_path / "compared/comparison.json").read_text())
    assert [(pair["fraction"], pair["examples"]) for pair in told["pairs"]] == [(0.5, 24), (1.0, 48)]  # of 30 and 60, a fifth is validation
    head = 13 * 13 * 8 * 10 + 10
    everything = (3 * 3 * 3 * 8 + 8) + 2 * 8 + (3 * 3 * 8 * 8 + 8) + head
    for pair in told["pairs"]:
        assert pair["transfer"]["trained_parameters"] == head
        assert pair["scratch"]["trained_parameters"] == everything
        goal = min(pair["transfer"]["best"], pair["scratch"]["best"])
        for side in ("transfer", "scratch"):
            accuracies = [row["val_accuracy"] for row in pair[side]["history"]]
            assert pair[side]["best"] == max(accuracies)
            assert pair[side]["epochs_to_reach"] == next(i for i, value in enumerate(accuracies, 1) if value >= goal)
            assert pair[side]["seconds_to_reach"] > 0
            assert json.loads((Path(pair[side]["folder"]) / "metrics.json").read_text())["accuracy"] == pytest.approx(pair[side]["test"])
    assert (tmp_path / "compared/comparison.png").read_bytes().startswith(b"\x89PNG")
    out = capsys.readouterr().out
    assert "24 training examples" in out
    assert f"{everything:,}" in out


def test_the_goal_is_the_smaller_best_and_what_never_got_there_says_so() -> None:
    def result(accuracies: list[float], features: float) -> SideResult:
        rows = [{"epoch": i, "loss": 1.0, "accuracy": 0.0, "val_accuracy": a, "seconds": 2.0} for i, a in enumerate(accuracies, 1)]
        return SideResult(
            folder="x", examples=9, trained_parameters=7, feature_seconds=features, measured={"accuracy": 0.5}, note="", history=rows
        )

    transfer, scratch = _sides(result([0.6, 0.9, 0.8], 5.0), result([0.1, 0.2, 0.7], 0.0), ACCURACY)
    assert (transfer.epochs_to_reach, transfer.seconds_to_reach, transfer.best) == (2, 9.0, 0.9)  # features count: 5 + 2 * 2
    assert (scratch.epochs_to_reach, scratch.seconds_to_reach, scratch.best) == (3, 6.0, 0.7)


@pytest.mark.parametrize("split", ["own", "drawn", "built-in"])
def test_a_share_of_the_training_data_is_that_share_of_what_is_trained_on(
    split: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    arrays = {"x": np.zeros((80, 4, 4, 1), np.uint8), "y": np.arange(80) % 2, "part": np.repeat(["train", "val"], 40)}
    np.savez("d.npz", **arrays)
    data = {"own": "{npz: d.npz, split: part}", "drawn": "{npz: d.npz, validation: 0.25, test: 0.5}", "built-in": "{dataset: digits}"}[
        split
    ]
    (tmp_path / "c.yaml").write_text(f"data: {data}\nmodel: {{layers: [Flatten, {{Dense: {{units: outputs, activation: softmax}}}}]}}\n")
    loaded = load([tmp_path / "c.yaml"])
    whole = len(loaded.source.load(Request(loaded.config.data_seed, tmp_path, ())).train)
    trained_on = []

    def run(limited: BoundConfig, folder: Path, title: str, listener: object) -> SideResult:
        examples = len(limited.source.load(Request(limited.config.data_seed, tmp_path, ())).train)
        trained_on.append(examples)
        rows: list[dict[str, int | float]] = [{"epoch": 1, "loss": 1.0, "accuracy": 0.5, "val_accuracy": 0.5, "seconds": 1.0}]
        return SideResult(
            folder="x", examples=examples, trained_parameters=1, feature_seconds=0.0, measured={"accuracy": 0.5}, note="", history=rows
        )

    monkeypatch.setattr(compare_scratch, "_run", run)
    monkeypatch.setattr(compare_scratch, "_from_scratch", lambda config: config)
    told = compare_scratch.compare_with_scratch(loaded, [0.5, 1], tmp_path / "compared", None)  # type: ignore[arg-type]
    assert trained_on == [pytest.approx(whole / 2, abs=1)] * 2 + [whole] * 2
    assert [pair.examples for pair in told.pairs] == trained_on[::2]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0.1,x", "--fractions: '0.1,x' is not a list of numbers\n    Write it as in 0.1,0.25,1."),
        ("0.1,2", "--fractions: '0.1,2' has a share that is not above 0 and up to 1"),
        ("nan", "--fractions: 'nan' has a share that is not above 0 and up to 1"),
    ],
)
def test_shares_that_are_none_are_told(text: str, message: str) -> None:
    assert parse_fractions("1,0.1,0.1") == [0.1, 1.0]
    with pytest.raises(CnnkitError) as caught:
        parse_fractions(text)
    assert str(caught.value) == message


def test_options_that_would_have_no_effect_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "c.yaml").write_text(CONFIG.replace("BASE", SMALL_BASE).replace("HEAD", HEAD))
    assert command(monkeypatch, "transfer", "c.yaml", "--fine-tune-epochs", "10") == 2
    assert "Invalid value for --fine-tune-epochs: goes with --fine-tune LAYERS" in capsys.readouterr().err
    assert command(monkeypatch, "train", "--resume", "runs/a", "--run-dir", "runs/b") == 2
    assert "Invalid value for --run-dir: goes with a config and not with --resume" in capsys.readouterr().err
    with pytest.raises(CnnkitError, match=r"^fine_tune_epochs: goes with fine_tune\n    Give the number of layers: `fine_tune=30`\.$"):
        cnnkit.transfer(tmp_path / "c.yaml", fine_tune_epochs=10)
    assert not (tmp_path / "runs").exists()
    help_text = " ".join(transfer.transfer.__annotations__["fine_tune_epochs"].__metadata__[0].help.split())
    assert f"(default: {FINE_TUNE_EPOCHS})" in help_text


def test_an_unknown_layer_in_a_phase_is_told_with_its_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    text = CONFIG.replace("BASE", SMALL_BASE).replace("HEAD", HEAD)
    (tmp_path / "c.yaml").write_text(text.replace("{epochs: 1}", "{phases: [{train: head}, {train: from Conv_9}]}"))
    assert command(monkeypatch, "train", "c.yaml") == 1
    assert capsys.readouterr().err == (
        "Error: c.yaml:5:41: train.phases[1].train: no layer is called 'Conv_9'. Did you mean 'Conv_1'?\n"
        "    The layers go from input_layer to out_relu.\n"
    )
    assert not list((tmp_path / "runs").glob("*/model.keras"))
