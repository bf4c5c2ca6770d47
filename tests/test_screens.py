"""What each command prints, as a person sees it: at 80 and 120 columns, in a terminal and in a pipe.

The screens stand in `tests/screens/`, one file a screen; colours are left out, and the warnings of standard error stand among the
lines of standard output. After a change that is meant, write them anew with `CNNKIT_WRITE_SCREENS=1 pytest tests/test_screens.py`
and look at the difference.

Over 300 lines: the made-up results that fill the screens stand beside them.
"""

import io
import os
import re
import sys
from collections.abc import Callable
from contextlib import nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import typer

from cnnkit import cli
from cnnkit.artifacts.formats import LITERT, ONNX, OPENVINO, TF_SAVED_MODEL, Format
from cnnkit.artifacts.metadata import ArtifactMetadata
from cnnkit.artifacts.model_metadata import ModelMetadata, SavedEpoch
from cnnkit.artifacts.opening import OpenModel
from cnnkit.config.data_spec import DataSpec
from cnnkit.config.task import Task
from cnnkit.console.data import print_data_report
from cnnkit.console.evaluation import print_evaluation
from cnnkit.console.launch import LaunchDisplay
from cnnkit.console.predictions import Tally, print_lines, print_tables
from cnnkit.console.progress import TerminalProgress, progress_listener
from cnnkit.console.serve import print_exporting, print_serving, print_stopped
from cnnkit.console.summary import render_summary
from cnnkit.console.sweep import (
    TerminalSweep,
    live_view,
    print_best,
    print_interrupted,
    print_results,
    print_winner,
    retraining_display,
    sweep_display,
)
from cnnkit.console.text import output, print_error, print_line, print_notice
from cnnkit.console.training import print_comparison, schedule_lines, stand_in_text
from cnnkit.data.images.reader import ImageReader
from cnnkit.data.quality.check import BadFile, DataReport, Duplicates
from cnnkit.errors import CnnkitError, ConfigError, Mark, Problem
from cnnkit.evaluation.metrics import compute_metrics
from cnnkit.evaluation.paired_tests import PairedTest
from cnnkit.evaluation.repeated_runs import mean_estimate, paired_difference
from cnnkit.experiments.check_config import CheckedConfig
from cnnkit.experiments.compare_groups import GroupComparison, GroupVersus
from cnnkit.experiments.compare_runs import ComparedRun, RunComparison, Versus
from cnnkit.experiments.compare_scratch import Comparison, Pair, Side
from cnnkit.experiments.repeat_summary import RepeatedRun, RepeatSummary
from cnnkit.experiments.starter.data_summary import DataSummary
from cnnkit.experiments.starter.held_out import choose_held_out, precision_text
from cnnkit.experiments.starter.linear_head import OutOfFold
from cnnkit.experiments.starter.measure import Measurements, SizeScore, SplitCounts
from cnnkit.experiments.starter.time_budget import ExpectedTime, expected_time_lines
from cnnkit.experiments.starter.transfer_lines import measured_lines
from cnnkit.experiments.starter.write import Starter
from cnnkit.experiments.sweep.results import SweepResults
from cnnkit.experiments.sweep.status import SweepStatus, TrialRow
from cnnkit.experiments.sweep.winner import Best, Winner
from cnnkit.experiments.worker import EpochDone, RunBegan, RunEnded, RunNotice, RunTask, StepsDone
from cnnkit.experiments.worker_pool import RunAssigned, WorkerDied
from cnnkit.export.benchmark_results import Benchmark, BenchmarkRow, LeftOut
from cnnkit.export.destination import Destination
from cnnkit.export.export import Export, Exported
from cnnkit.export.image_bytes import BytesDifference
from cnnkit.export.parity import compare_outputs
from cnnkit.launch.shares import Share
from cnnkit.metrics import ACCURACY, LOSS, MAE, TASK_METRICS, MetricValue, find
from cnnkit.model.bases import Base, ListedBase
from cnnkit.model.optimizer import StepArgument
from cnnkit.model.summary.summarize import Row, Summary
from cnnkit.prediction.calibrate import Calibration, CalibrationMetrics
from cnnkit.prediction.description import Description, GoldenCheck
from cnnkit.prediction.evaluate import Evaluation
from cnnkit.prediction.predict import Prediction
from cnnkit.robustness.results import Curve, Probe
from cnnkit.runs.group import GroupPlan
from cnnkit.runs.listing import ListedRun
from cnnkit.training.phase_schedules import PhaseSchedule
from cnnkit.training.phases import LayerState

SCREENS = Path(__file__).parent / "screens"
WRITE = bool(os.environ.get("CNNKIT_WRITE_SCREENS"))
COLOURS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
VARIANTS = [(place, columns) for place in ("terminal", "pipe") for columns in (80, 120)]

CLASSES = ("airplane", "automobile", "bird", "cat", "deer")


class Stream(io.StringIO):
    """Standard output and standard error in one, as a terminal or a pipe."""

    def __init__(self, *, terminal: bool) -> None:
        super().__init__()
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal


def evaluation_of(kind: Any, names: tuple[str, ...], **metadata: Any) -> Evaluation:
    """60 examples with answers of which most are right."""
    random = np.random.default_rng(0)
    if kind == "regression":
        targets = random.normal(30, 12, (60, len(names)))
        predictions = targets + random.normal(0, 3, targets.shape)
        measured = {"loss": 9.1234, "mae": 2.3456}
    elif kind == "multilabel":
        targets = random.integers(0, 2, (60, len(names)))
        predictions = np.clip(0.7 * targets + 0.15 + random.normal(0, 0.25, targets.shape), 0, 1)
        measured = {"loss": 0.4123, "binary_accuracy": 0.8611}
    else:
        targets = random.integers(0, len(names), 60)
        predictions = random.random((60, len(names))) + 1.2 * np.eye(len(names))[targets] * (random.random((60, 1)) < 0.7)
        predictions /= predictions.sum(axis=1, keepdims=True)
        measured = {"loss": 1.2345, "accuracy": 0.7667}
    task = Task(kind, names)
    return Evaluation(
        "test", measured, compute_metrics(targets, predictions, task), targets, predictions, ModelMetadata("photos", task, **metadata)
    )


def row(epoch: int, loss: float, accuracy: float) -> dict[str, float]:
    metrics = {"loss": loss, "accuracy": accuracy, "val_loss": loss + 0.2, "val_accuracy": accuracy - 0.05}
    return {"epoch": epoch, **metrics, "learning_rate": 0.001, "seconds": 7.62, "images_per_second": 6543.2}


def train() -> None:
    metadata = ModelMetadata("shapes", Task("classification", CLASSES), stand_in_for="cifar10")
    print_notice(stand_in_text(metadata, "/home/user/.keras/datasets"), title="A stand-in for the data")
    warmup = StepArgument("CosineDecay", "warmup_steps", "10 %", 211), StepArgument("CosineDecay", "decay_steps", "90 %", 1901)
    for line in schedule_lines([PhaseSchedule(3, 704, warmup)]):
        print_line(line)
    listener = progress_listener(3, 704)
    layers = [LayerState("conv2d", "Conv2D", 896, 896), LayerState("dense_1", "Dense", 650, 650)]
    listener.on_phase(1, 1, "all", layers)
    for epoch, loss, accuracy in ((1, 1.5432, 0.4321), (2, 1.1234, 0.6012), (3, 0.9871, 0.6543)):
        listener.on_epoch(row(epoch, loss, accuracy))
    if isinstance(listener, TerminalProgress):
        output().print(listener._live.renderable)
    epoch = SavedEpoch(2, 3, "val_accuracy")
    print_evaluation(evaluation_of("classification", CLASSES, stand_in_for="cifar10", epoch=epoch))
    print_line("Run: runs/cifar")


def train_epoch(patch: pytest.MonkeyPatch) -> None:
    clock = iter((0.0, 190.0, 190.0))
    patch.setattr("cnnkit.console.progress.time", SimpleNamespace(perf_counter=lambda: next(clock)))
    listener = progress_listener(50, 1563)
    for epoch in range(1, 26):
        listener.on_epoch(row(epoch, 1.5, 0.43))
    listener.on_steps(26, 1400, {"loss": 0.6052, "accuracy": 0.788}, 7266.4)
    if isinstance(listener, TerminalProgress):
        output().print(listener._live.renderable)


def transfer() -> None:
    listener = progress_listener(2, 24)
    listener.on_phase(
        1, 2, "head", [LayerState("mobilenetv2_0.35_224", "Functional", 410_208, 0), LayerState("dense", "Dense", 12_810, 12_810)]
    )
    listener.on_resume([row(1, 0.5, 0.9)], 12)
    listener.on_frozen(410_208, "0123456789abcdef" * 4)
    history = [row(1, 0.5, 0.9)]
    sides = [Side(f"runs/{name}", 12_810, 0.91, 0.9, epochs, 8.2, history) for name, epochs in (("a", 1), ("b", None))]
    print_comparison(Comparison("accuracy", [Pair(0.1, 200, *sides), Pair(1.0, 2000, *sides)], Path("runs/transfer-comparison"), ""))


def summary_of() -> Summary:
    rows = (
        Row("conv2d", "Conv2D", (None, 30, 30, 32), 896, 896, True, (), "(32 − 3)/1 + 1 = 30; (32 − 3)/1 + 1 = 30", "(3·3·3 + 1)·32 = 896", (3, 3), 777_600, 115_200),
        Row("batch_normalization", "BatchNormalization", (None, 30, 30, 32), 128, 64, True, (), "same as the input", "4·32 = 128; 64 of them moving", (3, 3), None, 115_200),
        Row("max_pooling2d", "MaxPooling2D", (None, 15, 15, 32), 0, 0, True, (), "(30 − 2)/2 + 1 = 15; (30 − 2)/2 + 1 = 15", "", (4, 4), 0, 28_800),
        Row("add", "Add", (None, 15, 15, 32), 0, 0, True, ("max_pooling2d", "conv2d_1"), "", "", (8, 8), 0, 28_800),
        Row("flatten", "Flatten", (None, 7200), 0, 0, True, (), "15·15·32 = 7200", "", "all", 0, 28_800),
        Row("dense", "Dense", (None, 10), 72_010, 72_010, True, (), "10 units", "(7200 + 1)·10 = 72010", "all", 72_000, 40),
    )  # fmt: skip
    return Summary("cifar", (None, 32, 32, 3), ("Rescaling",), rows, 73_034, 72_970, 292_136, 291_880)


def bases(patch: pytest.MonkeyPatch) -> None:
    small = ListedBase(Base("MobileNetV2", 2_257_984, 9_400_000, 32, 224, "to −1..1", "w.h5"), 71.3, Path("w.h5"), Path("p.h5"))
    large = ListedBase(Base("ConvNeXtXLarge", 348_147_968, 1_392_000_000, 32, 224, "by a layer of its own", "x.h5"), None, None, None)
    patch.setattr("cnnkit.model.bases.list_bases", lambda on_progress: [small, large])
    patch.setattr("cnnkit.keras_api.downloads.keras_home", lambda: Path("/home/user/.keras"))
    command("bases")


def compare(patch: pytest.MonkeyPatch) -> None:
    kind = TASK_METRICS["classification"]
    evaluation = evaluation_of("classification", CLASSES)
    measured = {each.metric.label: each for each in kind.measured(evaluation.metrics.as_dict())}
    worse = {**measured, "accuracy": MetricValue(ACCURACY, 0.5), "loss": MetricValue(LOSS, 2.5)}
    better = {**measured, "loss": MetricValue(LOSS, 1.2345)}
    runs = [
        ComparedRun(name, f"runs/{name}", "test set of photos", 60, metrics, epochs, seconds, parameters, "")
        for name, metrics, epochs, seconds, parameters in (("cifar", better, 20, 154.2, 122_570), ("cifar-wide", worse, 20, 301.7, 480_010))
    ]
    test = PairedTest("McNemar's test, exact binomial", 18, 2, 0.0004)
    differences = {"model.layers[0].Conv2D.filters": (32, 64), "train.optimizer": ("adam", {"SGD": {"learning_rate": 0.1}})}
    comparison = RunComparison(tuple(runs), differences, (Versus("cifar-wide", test, 0.0004, ""),), Path("runs/cifar/comparison.png"))
    patch.setattr("cnnkit.experiments.compare_runs.compare_runs", lambda runs, picture: comparison)
    command("compare", "runs/cifar", "runs/cifar-wide")


def predict() -> None:
    task = Task("classification", CLASSES)
    predictions = [
        Prediction("photos/cat-on-a-mat.jpg", ("cat", "deer", "bird"), (0.9312, 0.0411, 0.0201)),
        Prediction("photos/[red]\x1b[31m.png", ("airplane", "bird", "deer"), (0.5123, 0.3321, 0.1002)),
        Prediction("photos/broken.jpg", error="the file is damaged: broken data stream when reading image file"),
    ]
    tally = Tally(predictions, task)
    print_lines(tally, task)
    print_tables(tally, task, None)
    print_error("1 of 3 inputs could not be read: the reason is in their rows.")


def runs(patch: pytest.MonkeyPatch) -> None:
    listed = [
        ListedRun("cifar", "cifar10", "", ACCURACY, 0.7053, 20, 154.2, "2026-11-20T10:00:00+0000", "finished", ()),
        ListedRun("flowers-transfer/transfer-0.1", "flowers", "", find("val_auc_3"), 0.91, 3, 4021.0, "2026-11-21T11:30:00+0000", "interrupted", ()),
        ListedRun("waves", "shapes", "mnist", TASK_METRICS["regression"].overall[0], 12.5, 8, 60000.0, "", "failed", ("metrics.json is damaged",)),
        ListedRun("cifar-seeds", "cifar10", "", ACCURACY, 0.7071, 100, 771.0, "2026-11-21T09:00:00+0000", "finished", (), runs=5, deviation=0.0042),
        ListedRun("new", "digits", "", None, None, 0, 2.0, "2026-11-22T08:05:00+0000", "running", ()),
    ]  # fmt: skip
    patch.setattr("cnnkit.runs.listing.list_runs", lambda folder, sort: listed)
    command("runs")


def group_of(kind: Any, name: str, shift: float = 0.0, numbers: tuple[int, ...] = (42, 43, 44)) -> RepeatSummary:
    """Runs of which each metric rises a little from one to the next."""
    metrics = (*TASK_METRICS["classification"].overall, LOSS)
    histories = [[row(epoch, 1.2 - epoch / 10, 0.6 + epoch / 20) for epoch in (1, 2)] for _ in numbers]
    runs = tuple(
        RepeatedRun(
            f"{kind[:-1]}-{number}", number, "test set of cifar10", 10_000,
            tuple(MetricValue(metric, 0.7 + shift + 0.0071 * place + 0.01 * index) for index, metric in enumerate(metrics)), history,
        )
        for place, (number, history) in enumerate(zip(numbers, histories, strict=True))
    )  # fmt: skip
    plan = GroupPlan(kind=kind, config={"name": name, "seed": 42}, folds=len(numbers) if kind == "folds" else 0)
    estimates = {metric: mean_estimate([run.value(metric) for run in runs], folds=kind == "folds") for metric in metrics}
    pooled = tuple(MetricValue(metric, 0.7123, (0.7001, 0.7245)) for metric in metrics[:-1]) if kind == "folds" else ()
    return RepeatSummary(Path(f"runs/{name}-{kind}"), plan, runs, estimates, pooled, (), {})


def repeats(patch: pytest.MonkeyPatch) -> None:
    """Three runs, of which one is resumed after a kill; then the summary of seeds, and that of folds."""
    tasks = [RunTask(f"seed-{seed}", None, Path()) for seed in (42, 43, 44)]  # type: ignore[arg-type]

    def run(planned: Any, workers: int, on_event: Any) -> RepeatSummary:
        for task in tasks[:2]:
            on_event(task, RunAssigned())
            on_event(task, RunBegan(2, 100, ()))
        on_event(tasks[0], RunNotice("The data's own 10,000 test examples are not used."))
        on_event(tasks[0], EpochDone(row(1, 1.1, 0.65)))
        on_event(tasks[1], StepsDone(1, 50))
        on_event(tasks[1], WorkerDied("signal 9"))
        on_event(tasks[0], EpochDone(row(2, 1.0, 0.7)))
        on_event(tasks[0], RunEnded(is_finished=True))
        return group_of("seeds" if planned.plan else "folds", "cifar")

    patch.setattr("cnnkit.experiments.repeats.run_repeats", run)
    patch.setattr("cnnkit.console.repeats.REFRESHES_PER_SECOND", 0.001)  # the first and the last table, however slow the machine
    for kind in ("seeds", "folds"):
        planned = SimpleNamespace(tasks=tasks, folder=Path(f"runs/cifar-{kind}"), plan=kind == "seeds")
        patch.setattr(f"cnnkit.experiments.repeats.plan_{kind}", lambda *arguments, planned=planned: planned)
        patch.setattr("cnnkit.report.repeats.write_summary_page", lambda summary: summary.folder / "summary.html")
        with suppress(typer.Exit):
            command("train", "cifar.yaml", f"--{kind}", "3", "--workers", "2")


def compare_groups(patch: pytest.MonkeyPatch) -> None:
    groups = {
        "cifar-seeds": group_of("seeds", "cifar"),
        "wide-seeds": group_of("seeds", "wide", 0.013, (42, 43, 44)),
        "other-folds": group_of("folds", "other"),
    }
    first, second = ([run.value(ACCURACY) for run in group.runs] for group in (groups["cifar-seeds"], groups["wide-seeds"]))
    second[1] += 0.004
    found = paired_difference(first, second, folds=False)
    versus = (
        GroupVersus("wide-seeds", {next(iter(groups["cifar-seeds"].metrics)): found}, found.p, ""),
        GroupVersus("other-folds", {}, float("nan"), "one is a group of seeds, the other of folds"),
    )
    changed = {"model.layers[0].Conv2D.filters": (32, 64, 32)}
    comparison = GroupComparison(groups, changed, versus, Path("runs/cifar-seeds/comparison.png"))
    patch.setattr("cnnkit.experiments.compare_groups.are_groups", lambda paths: True)
    patch.setattr("cnnkit.experiments.compare_groups.compare_groups", lambda paths, picture: comparison)
    command("compare", *map(str, groups))


def calibrate(patch: pytest.MonkeyPatch) -> None:
    before, after = CalibrationMetrics(0.0812, 0.9123, 0.7053), CalibrationMetrics(0.0123, 0.8712, 0.7053)
    calibration = Calibration(
        1.4321, "validation set of cifar10", 5000, {"validation": before, "test": before}, {"validation": after, "test": after}, ""
    )
    patch.setattr(
        "cnnkit.runs.directory.find_run", lambda run: SimpleNamespace(path=Path("runs/cifar"), model=Path("runs/cifar/model.keras"))
    )
    patch.setattr("cnnkit.prediction.calibrate.calibrate_run", lambda path: calibration)
    patch.setattr("cnnkit.artifacts.origin.exports_beside", lambda source: [Path("runs/cifar/model.onnx"), Path("runs/cifar/triton/cifar")])
    command("calibrate")


def explain(patch: pytest.MonkeyPatch) -> None:
    results = (
        explanation(SimpleNamespace(matters=matters, area=area, chance=0.0211)) for matters, area in ((True, 0.3123), (False, 0.0301))
    )
    patch.setattr("cnnkit.interpret.explain.explain_run", lambda *arguments, **options: next(results))
    command("explain", "runs/cifar", "--index", "3")
    command("explain", "runs/cifar", "--index", "3")


def explanation(curve: Any) -> Any:
    return SimpleNamespace(
        example="test example 3", predictions=(("cat", 0.9123), ("deer", 0.0512), ("bird", 0.0201)), explained="cat", layer="conv2d_2",
        deletion=curve, folder=Path("runs/cifar/explain/3"), plots=("heat.png", "maps.png", "removal.png"), note="",
    )  # fmt: skip


def probe(patch: pytest.MonkeyPatch) -> None:
    curves = (
        Curve("shift", "pixels", tuple(range(9)), tuple(0.7053 - 0.02 * i for i in range(9)), 0, False, 0.8866),
        Curve("scale", "× size", (0.5, 0.67, 0.8, 1, 1.25, 1.5, 2), (0.31, 0.45, 0.61, 0.7053, 0.66, 0.52, 0.33), 1, True, 0.7512),
    )
    probes = [Probe(name, "test set of cifar10", 10_000, ACCURACY, 0.7053, curves) for name in ("cifar", "cifar-augmented-twice")]
    patch.setattr("cnnkit.robustness.probe.probe_runs", lambda *arguments, **options: (probes, Path("runs/cifar/probe-against-cifar.png")))
    command("probe", "runs/cifar", "--against", "runs/cifar-augmented-twice")


def probe_numbers(patch: pytest.MonkeyPatch) -> None:
    """Errors in the user's unit are longer than shares."""
    curves = (Curve("shift", "pixels", tuple(range(9)), tuple(118_863.4 + 2_000 * i for i in range(9)), 0, False, 1.0673),)
    probes = [Probe("prices", "test set of prices", 400, MAE, 118_863.4, curves)]
    patch.setattr("cnnkit.robustness.probe.probe_runs", lambda *arguments, **options: (probes, Path("runs/prices/probe.png")))
    command("probe", "runs/prices")


def described(
    patch: pytest.MonkeyPatch, path: str, golden: GoldenCheck | None, artifact: ArtifactMetadata | None, unknown: str = ""
) -> None:
    metadata = artifact.model if artifact is not None else ModelMetadata("found", Task("classification", ("0", "1", "2")))
    reader = ImageReader((32, 32), "rgb", "letterbox", 10**8)
    opened = OpenModel(Path(path), ONNX, lambda inputs: inputs, (32, 32, 3), 3, metadata, artifact is not None, artifact, unknown)
    description = Description(
        opened, "ONNX Runtime 1.32.0", 1_234_567, reader, artifact.temperature if artifact is not None else None, golden
    )
    patch.setattr("cnnkit.runs.reopen.model_file", lambda run: Path(path))
    patch.setattr("cnnkit.prediction.description.describe", lambda path: description)
    with suppress(typer.Exit):
        command("show", path)


def show(patch: pytest.MonkeyPatch) -> None:
    """A stand-in, and more classes than fit."""
    task = Task("classification", tuple(f"class {i} of the many" for i in range(100)))
    notices = ("Pretrained weights for MobileNetV2 could not be had: the base began at random.",)
    artifact = ArtifactMetadata(
        ModelMetadata("shapes", task, "cifar100", notices), (32, 32, 3), (0.0, 255.0), 1.4321, "int8",
        {"examples": 512, "split": "train", "seed": 0, "of": 45_000},
        {"examples": 2000, "split": "test", "largest_difference": 0.0612, "agreement": 0.9925, "passed": True, "metric": "accuracy", "keras": 0.7053, "exported": 0.7041},
        source="0123456789abcdef" * 4, cnnkit="1.0.0",
    )  # fmt: skip
    described(patch, "runs/cifar/model-int8.onnx", GoldenCheck(3, 0.0123, 0.0612), artifact)


def show_failed(patch: pytest.MonkeyPatch) -> None:
    parity = {"examples": 2000, "split": "test", "largest_difference": 2.1e-7, "agreement": 1.0, "passed": True}
    artifact = ArtifactMetadata(ModelMetadata("photos", Task("classification", CLASSES)), (32, 32, 3), parity=parity, cnnkit="1.0.0")
    described(patch, "runs/cifar/model.onnx", GoldenCheck(3, 0.3123, 1e-4), artifact)


def show_foreign(patch: pytest.MonkeyPatch) -> None:
    unknown = (
        "found.onnx has no metadata of cnnkit: names, preprocessing and training data are not known. Its 3 outputs are taken for the "
        "probabilities of classes; pictures are given as RGB pixels of 0 to 255, with channels first, as (3, 32, 32)."
    )
    described(patch, "found.onnx", None, None, unknown)


def export(patch: pytest.MonkeyPatch) -> None:
    """int8 of which one file is slower than float32 and one fails, and a SavedModel that reads image files."""
    evaluation = evaluation_of("classification", CLASSES)
    keras, targets = evaluation.predictions, evaluation.targets
    near, far = keras + 1e-7 * np.cos(keras), keras + 0.4 * np.eye(5)[(targets + 1) % 5]
    far /= far.sum(axis=1, keepdims=True)

    def result(target: Format, quantization: str, outputs: Any, **options: Any) -> Exported:
        name = f"model-{quantization}{target.suffix}" if quantization else "model-saved_model"
        parity = compare_outputs(keras, outputs, evaluation.metadata.task, "test", quantized=bool(quantization), targets=targets)
        destination = Destination(target, quantization, Path("runs/cifar") / name)
        return Exported(destination, 2.0, parity, 145_678, parity.passed, **options)

    bytes_difference = BytesDifference(64, "image files of the run's data", 0.0123, 0.984, 2)
    failed = CnnkitError("LiteRT int8 does not answer as the Keras model does: accuracy 0.5167 instead of 0.7333, on 60 test examples", "Allow more with --tolerance, or keep the file all the same with --keep.")  # fmt: skip
    unknown = CnnkitError("OpenVINO cannot express layer 'hashing' (Hashing): unknown operator", "Choose another --format, or another layer in its place.", "runs/cifar/config.yaml:12:7: model.layers[0].Hashing")  # fmt: skip
    results = (
        result(ONNX, "int8", near, speed=0.81),
        result(LITERT, "int8", far, speed=1.93, error=failed),
        Exported(Destination(OPENVINO, "", Path("runs/cifar/model.xml")), 2.0, error=unknown),
        result(TF_SAVED_MODEL, "", near, image_bytes=bytes_difference, version=3),
    )
    notice = "Compared on 60 of 10,000 test examples."
    patch.setattr("cnnkit.export.export.export_model", lambda *arguments, **options: Export(results, (notice,)))
    with pytest.raises(CnnkitError) as error:
        command("export", "runs/cifar", "-f", "onnx,litert,saved_model")
    print_error(str(error.value))


def export_numbers(patch: pytest.MonkeyPatch) -> None:
    """Metrics in the user's unit, each with a long interval, in four formats; and a model without data."""
    evaluation = evaluation_of("regression", ("price in dollars",))
    prices, outputs = 10_000 * evaluation.targets, 10_000 * evaluation.predictions
    parity = compare_outputs(outputs, outputs, evaluation.metadata.task, "test", quantized=False, targets=prices)
    results = [
        Exported(Destination(target, "", Path("runs/prices") / f"model{target.suffix}"), 2.0, parity, 12_345_678, True)
        for target in (ONNX, LITERT, OPENVINO)
    ]
    patch.setattr("cnnkit.export.export.export_model", lambda *arguments, **options: Export(tuple(results)))
    command("export", "runs/prices", "-f", "onnx,litert,openvino")
    parity = compare_outputs(outputs, outputs, evaluation.metadata.task, "random inputs", quantized=False)
    alone = Exported(Destination(ONNX, "", Path("model.onnx")), 2.0, parity, 12_345_678, True)
    patch.setattr("cnnkit.export.export.export_model", lambda *arguments, **options: Export((alone,)))
    command("export", "model.keras", "-f", "onnx")


def benchmark(patch: pytest.MonkeyPatch) -> None:
    sizes = (("keras", "Keras", ""), ("onnx", "ONNX", ""), ("onnx", "ONNX int8", "int8"), ("openvino", "OpenVINO float16", "float16"))
    rows = [
        BenchmarkRow(kind, label, quantization, 1_523_456, 1.98 / (index + 1), 2.51, 5_123.4 * (index + 1), MetricValue(ACCURACY, 0.7053, (0.6852, 0.7254)), 123_456_789, 4.2 / (index + 1))
        for index, (kind, label, quantization) in enumerate(sizes)
    ]  # fmt: skip
    rows[2] = replace(rows[2], median=1.21)
    left_out = (LeftOut("LiteRT", "LiteRT needs ai_edge_litert, which is not installed", 'pip install "cnnkit[litert]"'),)
    result = Benchmark(
        "cifar", tuple(rows), left_out, 2, 64, 3, 2000, "test", ("Compared on 2,000 of 10,000 test examples.",), Path("runs/cifar")
    )
    patch.setattr("cnnkit.export.benchmark.benchmark_run", lambda *arguments, **options: result)
    command("benchmark", "runs/cifar")


def init(patch: pytest.MonkeyPatch) -> None:
    spec, none = DataSpec("photos", (64, 64, 3), Task("classification", CLASSES)), np.zeros(0)
    summary = DataSummary("folder", {}, spec, True, 500, 1200, 1.0, {"validation": 153}, "", False)
    sizes = tuple(
        SizeScore(side, OutOfFold(np.full(300, loss), np.full(300, right), none, 0.1), seconds)
        for side, loss, right, seconds in ((160, 0.31, 0.9, 0.0153), (224, 0.22, 0.94, 0.0304), (288, 0.24, 0.937, 0.0498))
    )
    measured = Measurements(300, sizes, sizes[1], {"horizontal": (0.937, True), "vertical": (0.71, False)}, SplitCounts(1047, 153, 0, 0))
    lines = (
        *measured_lines(measured, summary, 224),
        *expected_time_lines(
            ExpectedTime({"starting": 15, "features": 36, "head": 9, "fine-tuning": 660, "final metrics": 5}), "2 cores of AMD EPYC"
        ),
    )
    starter = Starter(Path("photos.yaml"), summary, (224, 224, 3), lines, (precision_text(choose_held_out(summary), 0.94, "photos.yaml"),))
    patch.setattr("cnnkit.experiments.starter.write.write_starter", lambda *arguments, **options: starter)
    command("init", "photos", "--transfer")


def data_check() -> None:
    bad = (BadFile("train/cat/7.jpg", "broken data stream when reading image file"),)
    twins = (Duplicates(True, ("train/cat/1.png", "test/cat/9.png"), ("train", "test"), ("cat", "cat")),)
    sizes = ((32, 32), (640, 480), (4000, 3000))
    report = DataReport(120, bad, (BadFile("train/dog/2.jpg", "is a PNG by its content"),), twins, {"cat": 100, "dog": 20}, {"train": 100, "test": 20}, {"JPEG": 118, "PNG": 2}, {"RGB": 120}, sizes)  # fmt: skip
    print_data_report(report, "photos")


def data_show(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("cnnkit.commands.data_show.load_config", lambda configs, overrides: None)
    patch.setattr("cnnkit.plots.contact_sheet.draw_contact_sheet", lambda *arguments: None)
    command("data", "show", "photos.yaml")


def report(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("cnnkit.report.write.write_report", lambda *arguments: Path("runs/cifar/report.html"))
    command("report", "runs/cifar")


def serve() -> None:
    metadata = ModelMetadata("shapes", Task("classification", CLASSES), stand_in_for="cifar10")
    opened = SimpleNamespace(format=ONNX)
    note = "The model was trained on shapes, a stand-in: cifar10 could not be had. It predicts the classes of shapes."
    predictor = SimpleNamespace(metadata=metadata, input_shape=(32, 32, 3), opened=opened, note=note)
    service: Any = SimpleNamespace(predictor=predictor, served=SimpleNamespace(name="cifar", heatmaps=object()))
    print_exporting()
    chosen: Any = SimpleNamespace(origin="exported from runs/cifar/model.keras", notices=())
    print_serving(service, chosen, ("0.0.0.0", 8000), has_token=False)
    print_stopped(12_345, 12_345)


def sweep_of(parameters: tuple[str, ...], ended: bool = True) -> SweepStatus:
    states: tuple[Any, ...] = ("finished", "pruned", "finished", "failed", "finished", "pruned", "finished")
    states = states if ended else (*states[:5], "interrupted", "running")
    learned = (0.9123, 0.4312, 0.9781, float("nan"), 0.9634, 0.7712, 0.9702)
    error = "the loss became nan in epoch 1, step 12, with a learning rate of 0.0912\n    Try a learning rate of 0.00912."
    rows = [
        TrialRow(number, state, learned[number], dict(zip(parameters, (0.00123 * (number + 1), 2**number, number % 2 == 0, "relu", None), strict=False)),
                 20 if state == "finished" else number, 61.4 * number, error if state == "failed" else "")
        for number, state in enumerate(states)
    ]  # fmt: skip
    return SweepStatus("digits", find("val_accuracy"), 7 if ended else 40, tuple(rows), parameters)


FEW = ("train.optimizer.Adam.learning_rate", "data.batch_size")
MANY = (*FEW, "train.optimizer.Adam.amsgrad", "model.layers[0].Conv2D.activation", "model.layers[2].Dense.activation")


def sweep() -> None:
    display = sweep_display()
    display.on_status(sweep_of(FEW, ended=False))
    display.on_notice("digits, worker 1 ended (signal 9); its trial is resumed.")
    display.on_status(sweep_of(FEW))
    if isinstance(display, TerminalSweep):
        output().print(live_view(sweep_of(FEW, ended=False), output()))
        output().print(live_view(sweep_of(MANY, ended=False), output()))


def sweep_results() -> None:
    written = (Path("sweeps/digits/progress.png"), Path("sweeps/digits/report.html"))
    print_results(SweepResults(sweep_of(FEW), dict(zip(FEW, (0.81, 0.19), strict=True)), written))
    print_results(SweepResults(sweep_of(MANY), dict(zip(MANY, (0.5, 0.25, 0.15, 0.1, 0.0), strict=True)), written))
    print_interrupted(sweep_of(FEW, ended=False))


def sweep_winner() -> None:
    status = sweep_of(MANY)
    assert status.best is not None
    config: Any = None
    print_best(Best(status.best, config, Path("sweeps/digits/best.yaml")), status.objective)
    with retraining_display() as on_event:
        task: Any = SimpleNamespace(name="seed 43", folder=Path("sweeps/digits/winner/trial-0002-seed-43"))
        on_event(task, RunEnded(is_finished=True))
    measured = ((0.9612, 0.9701, 0.9655), (0.9589, 0.9643, 0.9611))
    print_winner(Winner(status.objective, 2, 0.9781, 4, (43, 44, 45), *measured))


def check(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("cnnkit.config.sweep_space.load_config_with_sweep", lambda configs, overrides: None)
    patch.setattr("cnnkit.data.binding.bind", lambda loaded: None)
    patch.setattr("cnnkit.commands.check.print_schedules", lambda loaded: None)
    patch.setattr("cnnkit.experiments.check_config.check_config", lambda loaded: CheckedConfig(6, summary_of().total_parameters, ()))
    command("check", "photos.yaml")


def launched() -> None:
    display = LaunchDisplay(2, "cnnkit launch --workers 2 -- train --resume runs/cifar")
    parts = [Share((0, 1), ()), Share((2, 3), ())]
    display.on_start(parts, 0, 1)
    display.on_line(1, "stdout", "worker 1 of 2: its log is runs/cifar/worker-1.log")
    display.on_line(0, "stdout", "epoch 1/10  loss 1.5258  accuracy 0.4420  val_loss 1.3089  val_accuracy 0.5203  4,736 images/s  11.1 s")
    display.on_line(0, "stderr", "Error: worker 1 (127.0.0.1:40213) was lost")
    for restart in (1, 2):
        display.on_death(1, "signal SIGKILL")
        if restart == 1:
            display.on_start(parts, restart, 1)
            display.on_line(0, "stdout", "resuming from step 391 of epoch 2")
    display.on_give_up(1, 1)


def schema(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(
        "cnnkit.config.json_schema.json_schema", lambda: {"title": "cnnkit config", "type": "object", "required": ["data", "model"]}
    )
    command("schema")


def config_error() -> None:
    problems = (
        Problem("unknown layer 'Conv2d'. Did you mean 'Conv2D'?", "See the layers at https://keras.io/api/layers/.", "model.layers[0].Conv2d", Mark("photos.yaml", 5, 7)),
        Problem("'three' is not an integer", "Write a whole number of 1 or more.", "train.epochs", Mark("photos.yaml", 9, 11)),
    )  # fmt: skip
    print_error(str(ConfigError(problems)))


def command(*arguments: str) -> None:
    cli.app(list(arguments), prog_name="cnnkit", standalone_mode=False)


SHOWN: dict[str, Callable[[pytest.MonkeyPatch], None]] = {
    "train": lambda patch: train(),
    "train-epoch": train_epoch,
    "transfer": lambda patch: transfer(),
    "check": check,
    "summary": lambda patch: render_summary(summary_of(), output()),
    "summary-explain": lambda patch: render_summary(summary_of(), output(), explain=True),
    "bases": bases,
    "evaluate-classes": lambda patch: print_evaluation(evaluation_of("classification", CLASSES)),
    "evaluate-two-classes": lambda patch: print_evaluation(evaluation_of("classification", ("no", "yes"))),
    "evaluate-views": lambda patch: print_evaluation(replace(evaluation_of("classification", ("no", "yes")), tta="shift")),
    "evaluate-many-classes": lambda patch: print_evaluation(evaluation_of("classification", tuple(f"class {i}" for i in range(30)))),
    "evaluate-labels": lambda patch: print_evaluation(evaluation_of("multilabel", ("sunny", "indoors", "people"))),
    "evaluate-numbers": lambda patch: print_evaluation(evaluation_of("regression", ("age in years", "height in cm"))),
    "compare": compare,
    "predict": lambda patch: predict(),
    "runs": runs,
    "repeats": repeats,
    "compare-groups": compare_groups,
    "calibrate": calibrate,
    "explain": explain,
    "probe": probe,
    "probe-numbers": probe_numbers,
    "show": show,
    "show-failed": show_failed,
    "show-foreign": show_foreign,
    "export": export,
    "export-numbers": export_numbers,
    "benchmark": benchmark,
    "report": report,
    "serve": lambda patch: serve(),
    "sweep": lambda patch: sweep(),
    "sweep-results": lambda patch: sweep_results(),
    "sweep-winner": lambda patch: sweep_winner(),
    "launch": lambda patch: launched(),
    "init": init,
    "data-check": lambda patch: data_check(),
    "data-show": data_show,
    "configs": lambda patch: command("configs"),
    "schema": schema,
    "config-error": lambda patch: config_error(),
    "help": lambda patch: command("--help"),
    "help-data": lambda patch: command("data", "--help"),
    "help-export": lambda patch: command("export", "--help"),
    "help-sweep": lambda patch: command("sweep", "--help"),
    "help-launch": lambda patch: command("launch", "--help"),
    "help-serve": lambda patch: command("serve", "--help"),
    "help-train": lambda patch: command("train", "--help"),
}


def seen(name: str, place: str, columns: int, patch: pytest.MonkeyPatch) -> str:
    """What a screen shows, without colours and trailing spaces."""
    stream = Stream(terminal=place == "terminal")
    for variable in ("NO_COLOR", "FORCE_COLOR", "TERMINAL_WIDTH", "PY_COLORS"):
        patch.delenv(variable, raising=False)
    patch.setenv("COLUMNS", str(columns))
    patch.setenv("LINES", "24")
    patch.setenv("TERM", "xterm-256color")
    with patch.context() as inner:
        inner.setattr(sys, "stdout", stream)
        inner.setattr(sys, "stderr", stream)
        inner.setattr("cnnkit.console.progress.counting", lambda *words: nullcontext(lambda done, total: None))  # it leaves nothing
        SHOWN[name](inner)
    return "\n".join(line.rstrip() for line in COLOURS.sub("", stream.getvalue()).strip("\n").split("\n"))


@pytest.mark.parametrize("name", SHOWN)
def test_a_screen_is_as_it_was_seen_last(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = [f"━━━ {place}, {columns} columns\n{seen(name, place, columns, monkeypatch)}\n" for place, columns in VARIANTS]
    shown, path = "\n".join(parts), SCREENS / f"{name}.txt"
    if WRITE:
        SCREENS.mkdir(exist_ok=True)
        path.write_text(shown, encoding="utf-8")
    assert shown == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", SHOWN)
def test_nothing_in_a_terminal_of_80_columns_is_wider_than_it_or_cut(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    text = seen(name, "terminal", 80, monkeypatch)
    wide = [line for line in text.split("\n") if len(line) > 80]
    if name not in (
        "config-error",
        "check",
        "init",
        "calibrate",
        "explain",
        "report",
        "predict",
        "export",
        "sweep-results",
        "sweep-winner",
        "launch",
    ):  # lines that a terminal wraps itself
        assert wide == []
    assert r"\n" not in text
    if name.startswith("help"):
        assert not re.search(r"[a-z]\.\.\.$", text, re.MULTILINE)  # a help text that was cut


def test_the_progress_bar_stays_on_the_screen_however_many_epochs_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = seen("train-epoch", "terminal", 80, monkeypatch).split("\n")
    assert len(lines) <= 24
    assert re.fullmatch(r"epoch 26/50 ━.{6,}━ step 1400/1563 loss 0\.6052  accuracy 0\.7880 .* left", lines[-1])


def test_the_live_table_of_a_sweep_stays_on_the_screen_however_many_trials_and_parameters_there_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    status = sweep_of(MANY, ended=False)
    rows = tuple(replace(row, number=number * 7 + row.number) for number in range(9) for row in status.rows)
    monkeypatch.setattr(sys, "stdout", stream := Stream(terminal=True))
    for size, value in (("COLUMNS", "80"), ("LINES", "24"), ("TERM", "xterm-256color")):
        monkeypatch.setenv(size, value)
    output().print(live_view(replace(status, rows=rows), output()))
    shown = COLOURS.sub("", stream.getvalue()).strip("\n").split("\n")
    assert len(shown) <= 23
    assert any("2 best" in line for line in shown)
    assert shown[-1].startswith("digits: 27 finished")


def test_the_live_table_of_a_sweep_waits_for_its_first_trial(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", stream := Stream(terminal=True))
    output().print(live_view(replace(sweep_of(MANY, ended=False), rows=()), output()))
    shown = COLOURS.sub("", stream.getvalue()).strip("\n").split("\n")
    assert shown[0] == "starting the workers …"
    assert shown[1].startswith("digits: none begun, of ")
    assert len(shown) == 2


@pytest.mark.parametrize("columns", [68, 72, 76, 80])
def test_the_names_of_metrics_are_whole_where_a_launched_worker_has_less_room(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    names = tuple(f"a class with the long name {number}" for number in range(5))
    monkeypatch.setattr(sys, "stdout", stream := Stream(terminal=True))
    monkeypatch.setenv("COLUMNS", str(columns))
    print_evaluation(evaluation_of("classification", names))
    lines = COLOURS.sub("", stream.getvalue()).split("\n")
    header = next(line for line in lines if line.split()[:1] == ["class"])
    assert header.split() == ["class", "precision", "recall", "F1", "ROC-AUC", "AP", "examples"]
    assert max(map(len, lines)) <= columns


def test_every_command_has_its_screen() -> None:
    commands = {each.callback.__name__ for each in cli.app.registered_commands if each.callback is not None}
    shown = {name.split("-")[0] for name in SHOWN}
    assert commands - shown == set()
