"""`cnnkit report`: collect the content of a run's report; missing parts are listed with the reason."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup

from cnnkit.artifacts.model_metadata import read_metadata
from cnnkit.artifacts.opening import OpenModel, open_model
from cnnkit.config.task import Task
from cnnkit.data.examples import Examples
from cnnkit.errors import CnnkitError
from cnnkit.evaluation.calibration import ReliabilityBin
from cnnkit.evaluation.metrics import ClassificationMetrics, RegressionMetrics
from cnnkit.interpret.gradcam import GradCam
from cnnkit.io.atomic import write_text
from cnnkit.io.json_file import read_json
from cnnkit.model.summary.summarize import summarize
from cnnkit.prediction.evaluate import Evaluation, evaluate_model
from cnnkit.report.content import DrawnExample, ExampleGroup, Report
from cnnkit.report.examples import informative_examples
from cnnkit.report.metrics import metrics_for_page
from cnnkit.report.page import render
from cnnkit.report.pictures import render_example
from cnnkit.report.plots import curve_plots, prediction_plots, probe_plots, reliability_plot
from cnnkit.robustness.corruptions import corruptions_for
from cnnkit.robustness.probe import probe, read_probe, subsample
from cnnkit.robustness.results import Probe
from cnnkit.runs.directory import RunDirectory, find_run
from cnnkit.runs.listing import custom_metric_names, read_run
from cnnkit.runs.reopen import Reopened, reopened

if TYPE_CHECKING:
    import keras

PROBED = 500  # examples for a small probe, for a run without probe.json
LEAST_PROBED = 100  # fewer examples would be too imprecise
AFFORDABLE = 4e11  # multiply-adds of such a probe at most: about ten seconds on two cores

_STATES = {
    "interrupted": "This run was interrupted: everything here is of the network at that time.",
    "pruned": "A sweep ended this run early: everything here is of the network at that time.",
    "running": "This run is still under way: everything here is of the network last saved.",
    "failed": "This run failed before its end: everything here is of the network last saved.",
    "unknown": "Whether this run finished is unknown.",
}


def write_run_report(run: Path | None, output: Path | None = None) -> Path:
    """Write the report of a run as one self-contained HTML file.

    Args:
        run: The run's folder or name; None for the newest.
        output: The file; `report.html` in the run's folder where None.

    Returns:
        The file.

    Raises:
        CnnkitError: There is no such run, it has no model, or the file cannot be written.
    """
    directory = find_run(run)
    target = output if output is not None else directory.path / "report.html"
    write_text(target, render(gather(directory)))
    return target


def gather(directory: RunDirectory) -> Report:
    """Collect the report of a run that has a model; parts that are not available are in `missing`, with the reason.

    Raises:
        CnnkitError: The model cannot be loaded.
    """
    opened = open_model(directory.model, compiled=True)
    model = opened.require_keras("a report")
    report = Report(read_run(directory.path, directory.path))
    if report.run.state in _STATES:
        report.notices.append(_STATES[report.run.state])
    report.notices += [f"{fault[0].upper()}{fault[1:]}." for fault in report.run.faults]
    _read_files(report, directory)
    try:
        report.network = summarize(model)
    except CnnkitError as fault:
        report.missing["network"] = str(fault)
    try:
        with reopened(directory.path) as run:
            _measure(report, opened, run)
    except CnnkitError as fault:
        _use_stored_metrics(report, directory, str(fault))
    return report


def _read_files(report: Report, directory: RunDirectory) -> None:
    """Add config, environment and curves from the run's small files."""
    try:
        report.config = directory.config.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        report.missing["config"] = f"{directory.config.name} cannot be read ({error.strerror})."
    try:
        report.environment = list(_flat(read_json(directory.environment)))
    except (OSError, ValueError, AttributeError):
        report.missing["environment"] = f"{directory.environment.name} cannot be read."
    try:
        report.curves = curve_plots(directory.read_history(), custom_metric_names(directory.path))
    except (CnnkitError, LookupError) as fault:
        report.missing["curves"] = str(fault) if isinstance(fault, CnnkitError) else "history.csv is damaged."
    if not report.curves:
        report.missing.setdefault("curves", "No epoch has ended yet.")


def _measure(report: Report, opened: OpenModel, run: Reopened) -> None:
    """Add metrics, examples and robustness, which need the run's data."""
    train = run.loaded.config.train
    report.phases = [(phase.train, train.epochs_of(phase)) for phase in train.phases or ()]
    report.task, report.epoch = run.metadata.task, run.metadata.epoch
    split, examples = run.held_out
    evaluation = evaluate_model(opened, [examples], run.metadata, split)
    _add_notices(report, (run.metadata.note,))
    report.metrics = metrics_for_page(evaluation.as_dict(), run.metadata.task)
    _add_tta_metrics(report, run.directory, run.metadata.task)
    report.quality = _quality(evaluation)
    report.groups = _example_groups(report, opened.require_keras("a report"), examples, evaluation)
    report.probe = _probe_of(report, opened, examples, run)
    report.probe_plots = probe_plots(report.probe) if report.probe is not None and report.probe.curves else []


def _use_stored_metrics(report: Report, directory: RunDirectory, reason: str) -> None:
    """Add the metrics of `metrics.json`, where the run's data can no longer be read."""
    report.missing.update(dict.fromkeys(("examples", "robustness"), reason))
    metadata = read_metadata(directory.model)
    if metadata is None or report.metrics is not None:
        report.missing["metrics"] = reason
        return
    report.task, report.epoch = metadata.task, metadata.epoch
    _add_notices(report, (metadata.note,))
    try:
        results = read_json(directory.path / "metrics.json")
        report.metrics = metrics_for_page(results, metadata.task)
        if metadata.task.is_classification:
            filled = [ReliabilityBin(**row) for row in results["reliability"] if row["examples"]]
            report.quality = [reliability_plot(filled)] if filled else []
        _add_tta_metrics(report, directory, metadata.task)
        _add_notices(report, (f"The run's data could not be read again; the metrics are those of metrics.json. {reason}",))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        report.missing["metrics"] = reason


def _add_tta_metrics(report: Report, directory: RunDirectory, task: Task) -> None:
    """Add the stored metrics with test-time augmentation; damaged ones are named."""
    for path in directory.all_tta_metrics:
        try:
            report.tta_metrics.append(metrics_for_page(read_json(path), task))
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            _add_notices(report, (f"{path.name} is damaged: evaluate again with --tta.",))


def _quality(evaluation: Evaluation) -> list[Markup]:
    metrics, names = evaluation.metrics, evaluation.metadata.task.names
    if isinstance(metrics, RegressionMetrics):
        return prediction_plots(evaluation.targets.reshape(evaluation.predictions.shape), evaluation.predictions, names)
    return [reliability_plot(metrics.reliability)] if isinstance(metrics, ClassificationMetrics) else []


def _example_groups(report: Report, model: "keras.Model", examples: Examples, evaluation: Evaluation) -> list[ExampleGroup]:
    task = evaluation.metadata.task
    groups = informative_examples(evaluation.targets, evaluation.predictions, task)
    try:
        cam = GradCam(model, task)
        report.heatmap_layer = cam.layer
    except CnnkitError as fault:
        cam = None
        report.missing["heatmaps"] = fault.headline
    drawn_groups = []
    for group in groups:
        positions = np.array([choice.position for choice in group.choices], np.int64)
        inputs = examples.rows.read(examples.index[positions]) if len(positions) else np.empty(0)
        outputs = [choice.output for choice in group.choices]
        maps = cam(inputs, outputs).maps if cam is not None and len(positions) else [None] * len(positions)
        pairs = zip(group.choices, inputs, maps, strict=True)
        drawn_groups.append(
            ExampleGroup(group, tuple(DrawnExample(choice, render_example(each, heatmap)) for choice, each, heatmap in pairs))
        )
    return drawn_groups


def _probe_of(report: Report, opened: OpenModel, examples: Examples, run: Reopened) -> Probe | None:
    """The run's stored probe; or else a new small one, if the network is small enough."""
    stored = run.directory.probe
    if stored.exists():
        try:
            return read_probe(stored)
        except CnnkitError as fault:
            report.missing["robustness"] = str(fault)
            return None
    known = corruptions_for(examples.input_shape)
    passes = sum(len(each.variants) * (len(each.strengths) - 1) for each in known)
    costs = sum(row.multiply_adds or 0 for row in report.network.rows) if report.network is not None else 0
    count = min(PROBED, len(examples), int(AFFORDABLE / max(passes * costs, 1)))
    if count < min(LEAST_PROBED, len(examples)):
        report.missing["robustness"] = f"Not measured yet. `cnnkit probe {run.directory.path}` measures it for the next report."
        return None
    seed, metadata = run.loaded.config.seed, run.metadata
    metric, clean, curves = probe(opened.run, subsample(examples, count, seed), metadata.task, known, seed)
    measured_on = f"{run.held_out[0]} set of {metadata.data}"
    return Probe(report.run.name, measured_on, count, metric, clean, curves, note=metadata.note)


def _add_notices(report: Report, notes: Iterable[str]) -> None:
    report.notices += [note for note in notes if note and note not in report.notices]


def _flat(values: Mapping[str, Any], above: str = "") -> Iterable[tuple[str, str]]:
    """Nested values as rows such as `data.name` and `cifar10`, without values that are None."""
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{above}{key}.")
        elif value is not None:
            yield f"{above}{key}", ", ".join(map(str, value)) if isinstance(value, list) else str(value)
