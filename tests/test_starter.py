"""`cnnkit init`, as a user runs it: the config that it measures and writes passes the check, and trains to the end without an edit.

Over 300 lines: one command, whose every kind of data is written and trained.
"""

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from cnnkit import cli
from cnnkit.config.task import Task
from cnnkit.data.binding import load
from cnnkit.data.source import Request
from cnnkit.errors import CnnkitError
from cnnkit.experiments.check_config import check_config
from cnnkit.experiments.starter.linear_head import STRENGTHS, OutOfFold, penalty
from cnnkit.experiments.starter.measure import (
    Measurements,
    SizeScore,
    SplitCounts,
    _judge_flips,
    _measured_targets,
    _Progress,
    _sampled,
    load_examples,
    measure,
)
from cnnkit.experiments.starter.write import Options, write_starter
from cnnkit.model.optimizer import build_optimizer
from cnnkit.training.prepare import CHOSEN_BY_FINAL_EXAMPLES, Prepared, prepare

WEIGHTS_ADVICE = "The ImageNet weights of MobileNetV2 are not in"


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["cnnkit", *arguments])
    with pytest.raises(SystemExit) as exit_status:
        cli.main()
    return int(exit_status.value.code or 0)


@pytest.fixture(autouse=True)
def small_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cnnkit.experiments.starter.write.SIDES", (32, 64))


def arrow(rightwards: bool, shift: int, size: tuple[int, int] = (48, 48)) -> Image.Image:
    """A white arrow on black."""
    image = Image.new("RGB", size)
    y = 16 + shift % 5 * 4
    ImageDraw.Draw(image).polygon([(8, y), (28, y), (28, y - 8), (42, y + 4), (28, y + 16), (28, y + 8), (8, y + 8)], fill="white")
    return image if rightwards else image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)


def stripes(vertical: bool, shift: int) -> Image.Image:
    """Coloured stripes, whose mirror image is of the same class."""
    pixels = np.zeros((48, 48, 3), np.uint8)
    pixels[:, shift % 6 :: 6, shift % 3] = 255
    image = Image.fromarray(pixels)
    return image if vertical else image.transpose(Image.Transpose.ROTATE_90)


def folder_of(folder: Path, draw: Any, count: int, splits: tuple[str, ...] = ("",)) -> Path:
    for split in splits:
        for number in range(count):
            for name, is_second in (("a", False), ("b", True)):
                path = folder / split / name / f"{number}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                draw(is_second, number).save(path)
    return folder


@pytest.fixture(scope="module")
def striped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return folder_of(tmp_path_factory.mktemp("data") / "striped", stripes, 20, ("train", "val"))


def test_a_measured_transfer_config_says_what_was_measured_and_trains_to_the_end(
    striped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("cnnkit.experiments.starter.transfer_recipe.HEAD_EPOCHS", (2, 2))
    monkeypatch.setattr("cnnkit.experiments.starter.transfer_recipe.MOST_PASSES", 2)
    (tmp_path / "own").mkdir()
    target = tmp_path / "own" / "s.yaml"
    assert run(monkeypatch, "init", str(striped), "--transfer", "-o", str(target)) == 0
    printed = capsys.readouterr()
    text = target.read_text()
    assert "A linear head on the frozen base, cross-validated on 40 training examples:" in printed.out
    for line in printed.out.splitlines()[1:-1]:
        assert f"# {line}" in text
    assert WEIGHTS_ADVICE in " ".join(printed.err.replace("│", " ").split())
    assert "40 validation examples" in " ".join(printed.err.replace("│", " ").split())
    loaded = load([target])
    config = loaded.config
    assert config.model.base is not None
    assert config.model.base.written == {"MobileNetV2": {"alpha": 0.35}}
    assert loaded.spec.input_shape in ((32, 32, 3), (64, 64, 3))
    assert (config.data.test, config.data.augment_passes) == (0, 2)
    assert run(monkeypatch, "train", str(target), "--run-dir", str(tmp_path / "run")) == 0
    assert json.loads((tmp_path / "run" / "metrics.json").read_text())["measured_on"] == "validation set of striped"


def test_the_measurement_follows_the_seed_and_the_training_examples_alone(striped: Path, tmp_path: Path) -> None:
    starter = write_starter(striped, tmp_path / "s.yaml", Options(transfer=True, measures=False))
    first, second = (measure(starter.path, (32,), "data.image_size", 80, lambda done, total: None) for _ in range(2))
    assert np.array_equal(first.best.judged.losses, second.best.judged.losses)
    assert (first.sampled, first.counts.train, first.counts.validation, first.counts.test) == (40, 40, 40, 0)
    assert first.best.judged.strength in STRENGTHS
    for path in (striped / "val").rglob("*.png"):
        assert path.exists()


@pytest.mark.parametrize("grouped", [True, False])
def test_a_score_over_divided_groups_is_said_to_be_too_high_and_leaves_fine_tuning_on(
    grouped: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cnnkit.experiments.starter.transfer_recipe.FINE_TUNE_LEAST", 10)
    monkeypatch.setattr("cnnkit.experiments.starter.transfer_recipe.NOTHING_TO_GAIN", 0)
    monkeypatch.setattr("cnnkit.experiments.starter.write.seconds_per_step", lambda loaded, dataset: 1.0)
    monkeypatch.setattr("cnnkit.experiments.starter.write.SIDES", (32,))
    pictures = np.stack([np.asarray(stripes(number % 2 == 0, number)) for number in range(40)])
    groups = {"subject": np.arange(40) // 2 % 5} if grouped else {}
    np.savez(tmp_path / "shots.npz", x=pictures, y=np.arange(40) % 2, **groups)
    starter = write_starter(tmp_path / "shots.npz", tmp_path / "s.yaml", Options(transfer=True))
    phases = load([starter.path]).config.train.phases
    assert (phases is not None and len(phases) == 2) is grouped
    assert any("examples of one subject are on both sides here" in line for line in starter.measured) is grouped


@pytest.mark.slow
def test_mirror_images_are_made_where_they_keep_the_class_and_never_of_left_and_right(striped: Path, tmp_path: Path) -> None:
    arrows = folder_of(tmp_path / "arrows", arrow, 30)
    kept = write_starter(striped, tmp_path / "s.yaml", Options(transfer=True))
    lost = write_starter(arrows, tmp_path / "a.yaml", Options(transfer=True))
    augment = [entry.written for entry in load([kept.path]).config.data.augment]
    assert augment[0] == {"RandomFlip": {"mode": "horizontal_and_vertical"}}
    assert "RandomFlip" not in (tmp_path / "a.yaml").read_text()
    assert any("worse, so no such flips" in line for line in lost.measured)


def learning_rates(prepared: Prepared) -> list[tuple[float, float]]:
    """The learning rate of each phase half way and after its last step."""
    found = []
    for phase, schedule in zip(prepared.phases, prepared.schedules, strict=True):
        assert phase.optimizer is not None
        steps = schedule.epochs * prepared.train.steps
        optimizer = build_optimizer(phase.optimizer, (), "float32", steps)
        found.append(tuple(float(optimizer._learning_rate(step)) for step in (steps // 2, steps)))
    return found


def test_phases_and_penalty_fit_the_examples_and_schedules_the_epochs_and_batches_that_are_trained_on(
    striped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cnnkit.experiments.starter.transfer_recipe.FINE_TUNE_LEAST", 10)
    monkeypatch.setattr("cnnkit.experiments.starter.transfer_recipe.NOTHING_TO_GAIN", 2)
    monkeypatch.setattr("cnnkit.experiments.starter.transfer_recipe.FINE_TUNE_EPOCHS", (2, 2))
    monkeypatch.setattr("cnnkit.experiments.starter.transfer_recipe.HEAD_EPOCHS", (1, 1))
    starter = write_starter(striped, tmp_path / "s.yaml", Options(transfer=True))
    loaded = load([starter.path])
    prepared = prepare(loaded, tmp_path / "run")
    head, fine = prepared.phases
    assert (head.train, fine.train) == ("head", "from block_6_expand")
    assert fine.optimizer is not None
    assert head.optimizer is not None
    edits = ["train.phases[0].epochs=3", "train.phases[1].epochs=20", "data.batch_size=3"]
    edited = prepare(load([starter.path], edits), tmp_path / "edited")
    assert edited.train.steps > 2 * prepared.train.steps
    (head_rates, fine_rates), edited_rates = learning_rates(prepared), learning_rates(edited)
    assert max(head_rates[1] / 2e-3, fine_rates[1] / 1e-4) < 0.02
    assert edited_rates[0] == (pytest.approx(1e-3, rel=0.1), pytest.approx(0, abs=1e-5))  # half a cosine from 2e-3
    assert edited_rates[1] == (pytest.approx(1e-4 * (1 + np.cos(np.pi * 4 / 9)) / 2, rel=0.02), pytest.approx(0, abs=1e-6))  # with a warmup
    assert loaded.config.model.head is not None
    (l2,) = [each["L2"]["l2"] for each in [loaded.config.model.head[-1].arguments["kernel_regularizer"]]]
    assert any(l2 == pytest.approx(penalty(strength, len(prepared.dataset.train), loaded.spec.task), rel=0.05) for strength in STRENGTHS)
    assert any(line.startswith("Training takes about") for line in starter.measured)  # parts of less than a second have no line


@pytest.mark.slow
def test_files_that_cannot_be_read_are_left_out_by_the_config(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "photos", stripes, 20)
    (folder / "a" / "0.png").write_bytes(b"oh")
    starter = write_starter(folder, tmp_path / "s.yaml", Options(transfer=True))
    assert "  on_bad_file: skip               # 1 cannot be read: `cnnkit data check` names them\n" in starter.path.read_text()
    assert len(load_examples(load([starter.path])).train) > 0


def test_arrays_of_small_images_are_resized_inside_the_model(tmp_path: Path) -> None:
    images = np.stack([np.asarray(stripes(bool(number % 2), number)) for number in range(40)])
    np.savez(tmp_path / "i.npz", x=images, y=np.arange(40) % 2)
    starter = write_starter(tmp_path / "i.npz", tmp_path / "i.yaml", Options(transfer=True))
    loaded = load([starter.path])
    assert loaded.config.model.image_size in (32, 64)
    assert loaded.spec.input_shape == (48, 48, 3)


def test_only_sizes_whose_weights_are_here_are_candidates(
    striped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("KERAS_HOME", str(home))
    (home / "models").mkdir()
    (home / "models" / "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_96_no_top.h5").write_bytes(b"")
    monkeypatch.setattr("cnnkit.experiments.starter.write.SIDES", (64, 96))
    monkeypatch.setattr("cnnkit.experiments.starter.write.load_base", lambda entry, shape: (None, ()))  # as if they were downloaded
    tried = []

    def measured(draft: Path, sides: tuple[int, ...], *rest: Any) -> Any:
        tried.append((sides, load([draft]).config.model.base.written))  # type: ignore[union-attr]
        raise CnnkitError("enough")

    monkeypatch.setattr("cnnkit.experiments.starter.write.measure", measured)
    for downloads in (False, True):
        with pytest.raises(CnnkitError, match="enough"):
            write_starter(striped, tmp_path / "s.yaml", Options(transfer=True, downloads=downloads))
    assert tried == [((96,), "MobileNetV2"), ((64, 96), "MobileNetV2")]


@pytest.fixture
def signals(tmp_path: Path) -> Path:
    random = np.random.default_rng(0)
    x = random.normal([0, 101325.3], [1, 0.5], (80, 32, 2)).astype(np.float32)  # the second as a barometer's, in pascal
    np.savez(tmp_path / "signals.npz", x=x, y=np.arange(80) % 2, subject=np.arange(80) % 8)
    return tmp_path / "signals.npz"


def test_each_channel_of_signals_is_standardized_by_the_training_subjects(signals: Path, tmp_path: Path) -> None:
    starter = write_starter(signals, tmp_path / "s.yaml", Options())
    assert starter.summary.found_group == "subject"
    loaded = load([starter.path])
    train = load_examples(loaded).train
    values = np.load(signals)["x"][train.index].astype(np.float64)
    (entry,) = loaded.config.model.preprocess
    assert entry.name == "Normalization"
    assert entry.arguments["mean"] == pytest.approx(values.mean(axis=(0, 1)), rel=1e-8, abs=1e-3)
    assert entry.arguments["variance"] == pytest.approx(values.var(axis=(0, 1)), rel=1e-3)
    manifest = {row[0]: row[2] for row in load_examples(loaded).manifest}
    by_subject = [{split for number, split in manifest.items() if int(number) % 8 == subject} for subject in range(8)]
    assert all(len(splits) == 1 for splits in by_subject)
    prepared = prepare(loaded, tmp_path / "run")
    standardized = prepared.network.model.get_layer("normalization")(values).numpy()
    assert standardized.mean(axis=(0, 1)) == pytest.approx([0, 0], abs=1e-2)
    assert standardized.std(axis=(0, 1)) == pytest.approx([1, 1], abs=1e-2)


def test_a_time_limits_the_epochs_of_a_network_from_scratch(signals: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cnnkit.experiments.starter.write.seconds_per_step", lambda loaded, dataset: 2.0)
    starter = write_starter(signals, tmp_path / "s.yaml", Options(budget=120))
    loaded = load([starter.path])
    dataset = load_examples(loaded)
    assert dataset.validation is not None
    assert dataset.test is not None
    example = 2.0 / loaded.config.data.batch_size  # seconds; a third of it without the backward pass
    epoch, final = 0.3 + example * (len(dataset.train) + len(dataset.validation) / 3), example * len(dataset.test) / 3
    assert loaded.config.train.epochs == int((120 - 15 - final) / epoch)
    with pytest.raises(CnnkitError, match="--time: 30 seconds is too short: 3 epochs take about"):
        write_starter(signals, tmp_path / "t.yaml", Options(budget=30))
    assert not (tmp_path / "t.yaml").exists()


def test_the_time_of_a_step_is_that_of_the_config_on_this_machine(signals: Path, tmp_path: Path) -> None:
    starter = write_starter(signals, tmp_path / "s.yaml", Options(budget=3600))
    assert starter.measured[0].startswith("Training takes about ")
    assert load([starter.path]).config.train.epochs == 60


def test_not_to_measure_does_not_go_with_a_time(signals: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, "init", str(signals), "--no-measure", "--time", "10m") == 2
    assert "does not go with --time" in capsys.readouterr().err
    assert run(monkeypatch, "init", str(signals), "--download") == 2
    assert "goes with --transfer" in capsys.readouterr().err


def test_a_network_from_scratch_leaves_out_files_that_cannot_be_read_and_says_how_precise_its_metrics_are(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "photos", stripes, 20)
    (folder / "a" / "0.png").write_bytes(b"oh")
    starter = write_starter(folder, tmp_path / "s.yaml", Options())
    assert "  on_bad_file: skip               # 1 cannot be read: `cnnkit data check` names them\n" in starter.path.read_text()
    dataset = load([starter.path]).source.load(Request(42, tmp_path / "cache", ()))  # as `train` reads it
    assert sum(map(len, dataset.splits.values())) == 39
    assert dataset.test is not None
    held = len(dataset.test)
    left_out, advice = starter.advice
    assert left_out == f"1 of 40 files cannot be used, and the config leaves them out: `cnnkit data check {starter.path}` names them."
    assert advice.startswith(f"The final metrics are of {held} test examples: an accuracy of 0.90 on so few has a 95 % interval of ")
    assert advice.endswith(f"`cnnkit train {starter.path} --folds 5` measures on 39 examples.")


@pytest.mark.parametrize(
    ("low", "high", "scaled", "bright"),
    [
        (0, 255, "scale: 1/127.5, offset: -1", "factor: 0.15"),
        (0, 200, "scale: 1/127.5, offset: -1", "factor: 0.15"),
        (0, 1, "scale: 2, offset: -1", "factor: 0.15, value_range: [0, 1]"),
        (0.25, 0.75, "scale: 2, offset: -1", "factor: 0.15, value_range: [0, 1]"),
        (0, 16, "scale: 0.125, offset: -1", "factor: 0.15, value_range: [0, 16]"),
        (2, 10, "scale: 0.2, offset: -1", "factor: 0.15, value_range: [0, 10]"),
        (-3, 5, "scale: 0.25, offset: -0.25", "factor: 0.15, value_range: [-3, 5]"),
    ],
)
def test_images_in_arrays_are_scaled_by_their_own_range(tmp_path: Path, low: float, high: float, scaled: str, bright: str) -> None:
    images = np.linspace(low, high, 40 * 8 * 8, dtype=np.float32).reshape(8, 8, 40).transpose(2, 0, 1)[..., np.newaxis]
    np.savez(tmp_path / "a.npz", x=images, y=np.array(["a", "b"] * 20))
    lines = [line.strip() for line in write_starter(tmp_path / "a.npz", tmp_path / "a.yaml", Options()).path.read_text().splitlines()]
    assert f"- Rescaling: {{{scaled}}}" in lines
    assert f"- RandomBrightness: {{{bright}}}" in lines


def test_a_base_gets_pixels_from_0_to_255_whatever_an_array_holds(tmp_path: Path) -> None:
    images = np.stack([np.asarray(stripes(bool(number % 2), number)) for number in range(40)])
    for name, values in (("bytes", images), ("floats", images.astype(np.float32) / 255)):
        np.savez(tmp_path / f"{name}.npz", x=values, y=np.array(["a", "b"] * 20))
        write_starter(tmp_path / f"{name}.npz", tmp_path / f"{name}.yaml", Options(transfer=True, measures=False))
    assert not load([tmp_path / "bytes.yaml"]).config.model.preprocess
    (entry,) = load([tmp_path / "floats.yaml"]).config.model.preprocess
    assert (entry.name, entry.arguments) == ("Rescaling", {"scale": 255, "offset": 0})


@pytest.mark.parametrize("name", ["2024", "true", "null", "1e5", "0x10", "虫　写真", "a: b #c"])
def test_any_name_of_a_folder_can_be_written(name: str, tmp_path: Path) -> None:
    folder = folder_of(tmp_path / name, stripes, 8)
    (tmp_path / "here").mkdir()
    for transfer in (False, True):
        target = tmp_path / "here" / f"{transfer}.yaml"
        config = load([write_starter(folder, target, Options(transfer=transfer, measures=False)).path]).config
        assert config.data.folder is not None
        assert Path(config.data.folder).resolve() == folder


def test_a_head_alone_keeps_its_last_epoch_so_that_nothing_is_chosen_by_the_examples_that_measure(striped: Path, tmp_path: Path) -> None:
    starter = write_starter(striped, tmp_path / "s.yaml", Options(transfer=True, measures=False))
    assert "the final metrics are of the validation examples, by which nothing is chosen" in starter.path.read_text()
    assert CHOSEN_BY_FINAL_EXAMPLES not in prepare(load([starter.path]), tmp_path / "run").metadata.notices
    best = prepare(load([starter.path], ["train.keep=best"]), tmp_path / "best")
    assert CHOSEN_BY_FINAL_EXAMPLES in best.metadata.notices


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("options", [Options(measures=False), Options(), Options(transfer=True, measures=False), Options(transfer=True)])
def test_too_few_examples_are_refused_before_a_config_is_written(count: int, options: Options, tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "photos", stripes, count)
    with pytest.raises(CnnkitError, match=f"{2 * count} examples are too few: they would be "):
        write_starter(folder, tmp_path / "s.yaml", options)
    assert not (tmp_path / "s.yaml").exists()


def test_a_folder_that_is_not_there_is_told_before_anything_is_measured(striped: Path, tmp_path: Path) -> None:
    with pytest.raises(CnnkitError, match="there is no folder"):
        write_starter(striped, tmp_path / "nowhere" / "s.yaml", Options(transfer=True))


def test_the_time_told_is_that_of_the_size_that_a_budget_leaves(striped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = "cnnkit.experiments.starter.transfer_recipe"
    for name, value in {"FINE_TUNE_LEAST": 10, "NOTHING_TO_GAIN": 2, "SMALLEST_TUNED": 32}.items():
        monkeypatch.setattr(f"{module}.{name}", value)
    losses, none = np.full(40, 0.2), np.zeros(0)
    sizes = tuple(SizeScore(side, OutOfFold(losses * loss, losses, none, 0.1), at) for side, loss, at in ((32, 2, 0.1), (64, 1, 0.4)))
    measured = Measurements(40, sizes, sizes[1], {}, SplitCounts(40, 40, 0, 0))
    monkeypatch.setattr("cnnkit.experiments.starter.write.measure", lambda *arguments: measured)
    monkeypatch.setattr("cnnkit.experiments.starter.write.seconds_per_step", lambda loaded, dataset: 40.0)
    starter = write_starter(striped, tmp_path / "s.yaml", Options(transfer=True, budget=200))
    assert "32 px" in starter.measured[1]
    assert starter.measured[1].endswith("<- used")
    tuning = next(line for line in starter.measured if line.strip().startswith("fine-tuning"))
    assert tuning.endswith("2 minutes")  # steps of 10 seconds


@pytest.mark.parametrize(("shape", "pool"), [((1, 128, 9), [1, 2]), ((1, 1, 9), None), ((4, 4, 1), 2)])
def test_an_axis_of_one_is_not_pooled(shape: tuple[int, ...], pool: Any, tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.random.default_rng(0).random((40, *shape)), y=np.arange(40) % 2)
    loaded = load([write_starter(tmp_path / "a.npz", tmp_path / "a.yaml", Options()).path])
    sizes = [entry.arguments["pool_size"] for entry in loaded.config.model.layers or () if entry.name == "MaxPooling2D"]
    assert sizes[:1] == ([] if pool is None else [pool])
    assert check_config(loaded).layers > 5


def test_a_number_may_depend_on_the_level_of_a_signal_of_one_channel(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(5, 2, (60, 32, 1))
    np.savez(tmp_path / "level.npz", x=x, y=x.mean(axis=(1, 2)) - 7)
    np.savez(tmp_path / "form.npz", x=x, y=np.arange(60) % 2)
    level, form = (load([write_starter(tmp_path / f"{n}.npz", tmp_path / f"{n}.yaml", Options()).path]) for n in ("level", "form"))
    assert [entry.name for entry in form.config.model.preprocess] == ["LayerNormalization"]
    (entry,) = level.config.model.preprocess
    train = load_examples(level).train
    assert entry.name == "Normalization"
    assert entry.arguments["mean"] == pytest.approx([x[train.index].mean()], rel=1e-5)


def test_weights_that_cannot_be_downloaded_are_not_those_of_the_config(
    striped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cnnkit.experiments.starter.write.load_base", lambda entry, shape: (None, ("the packaged ones are used",)))
    monkeypatch.setattr("cnnkit.experiments.starter.write.SIDES", (32,))
    starter = write_starter(striped, tmp_path / "s.yaml", Options(transfer=True, downloads=True))
    base = load([starter.path]).config.model.base
    assert base is not None
    assert base.written == {"MobileNetV2": {"alpha": 0.35}}
    assert any("could not be downloaded" in text for text in starter.advice)


def test_top_and_bottom_are_mirrored_only_with_evidence_and_left_and_right_unless_there_is_some_against_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    right, mirrored = np.array([1.0] * 95 + [0.0] * 5), np.array([1.0] * 94 + [0.0] * 6)  # one less: chance
    judged = OutOfFold(np.zeros(100), right, mirrored, 0.1)
    monkeypatch.setattr("cnnkit.experiments.starter.measure._run", lambda network, pixels, progress: None)
    monkeypatch.setattr("cnnkit.experiments.starter.measure.cross_validate", lambda *arguments: judged)
    sampled: Any = SimpleNamespace(network=None, pixels=np.zeros((100, 2, 2, 1)), features=None, targets=np.arange(100) % 2)
    flips = _judge_flips(sampled, Task("classification", ("a", "b")), 42, _Progress(lambda done, total: None, 2))
    assert flips == {"horizontal": (pytest.approx(0.94), True), "vertical": (pytest.approx(0.94), False)}


def test_of_many_classes_a_hundred_are_measured(tmp_path: Path) -> None:
    images, classes = np.zeros((2400, 8, 8, 3), np.uint8), np.arange(2400) % 120
    np.savez(tmp_path / "many.npz", x=images, y=classes)
    draft = write_starter(tmp_path / "many.npz", tmp_path / "many.yaml", Options(transfer=True, measures=False))
    dataset = load_examples(load([draft.path]))
    sample = _sampled(dataset, 42)
    assert (len(sample), len(np.unique(sample.targets))) == (1000, 100)
    targets, task = _measured_targets(sample.targets, dataset.task)
    assert [task.names[each] for each in targets[:50]] == [dataset.task.names[each] for each in sample.targets[:50]]
    assert task.outputs == 100


@pytest.mark.parametrize(("shape", "of"), [((16, 16, 2), " of 1 or 3 channels"), ((16, 3), "")])
def test_a_base_is_refused_for_what_it_cannot_take(tmp_path: Path, shape: tuple[int, ...], of: str) -> None:
    np.savez(tmp_path / "a.npz", x=np.zeros((8, *shape), np.uint8), y=np.array(["a", "b"] * 4))
    with pytest.raises(CnnkitError) as refused:
        write_starter(tmp_path / "a.npz", tmp_path / "a.yaml", Options(transfer=True, measures=False))
    assert refused.value.message == f"{tmp_path / 'a.npz'}: a pretrained base wants images{of}, but an example is {shape}"


def test_skewed_prices_are_learned_on_their_logarithm(tmp_path: Path) -> None:
    prices = np.random.default_rng(0).lognormal(12, 1, 60)
    np.savez(tmp_path / "p.npz", x=np.zeros((60, 8, 8, 3), np.uint8), y=prices)
    loaded = load([write_starter(tmp_path / "p.npz", tmp_path / "p.yaml", Options()).path])
    assert loaded.config.train.target_scale == "log"
    prepared = prepare(loaded, tmp_path / "run")
    logarithms = np.log(prices[prepared.dataset.train.index])
    assert prepared.dataset.train.targets[:, 0] == pytest.approx((logarithms - logarithms.mean()) / logarithms.std(), abs=1e-3)
