"""`cnnkit report`: all that is known of a run, gathered for one page; what is missing is said, not passed over."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup

from cnnkit.data.examples import Examples
from cnnkit.errors import CnnkitError
from cnnkit.evaluation.calibration import ReliabilityBin
from cnnkit.evaluation.metrics import ClassificationMetrics, RegressionMetrics
from cnnkit.interpret.gradcam import GradCam
from cnnkit.io.atomic import write_text
from cnnkit.io.json_file import read_json
from cnnkit.model.loading.load import load_model
from cnnkit.model.summary.summarize import summarize
from cnnkit.prediction.evaluate import Evaluation, evaluate_model
from cnnkit.report.content import Report, Shown, ShownGroup
from cnnkit.report.examples import telling_examples
from cnnkit.report.figures import figures_for_page
from cnnkit.report.page import render
from cnnkit.report.pictures import shown_example
from cnnkit.report.plots import curve_plots, prediction_plots, probe_plots, reliability_plot
from cnnkit.robustness.corruptions import corruptions_for
from cnnkit.robustness.probe import drawn, probe, read_probe
from cnnkit.robustness.results import Probe
from cnnkit.runs.directory import RunDirectory, find_run
from cnnkit.runs.listing import read_run
from cnnkit.runs.metadata import read_metadata
from cnnkit.runs.reopen import Reopened, reopened

if TYPE_CHECKING:
    import keras

PROBED = 500  # examples that are probed for the report of a run that has not been probed
LEAST_PROBED = 100  # fewer would say too little
AFFORDABLE = 4e11  # multiply-adds that such a probe may take: some ten seconds on two cores

_STATES = {
    "interrupted": "This run was interrupted: everything here is of the network as it was then.",
    "running": "This run is still under way: everything here is of the network last saved.",
    "failed": "This run failed before its end: everything here is of the network last saved.",
    "unknown": "Whether this run got to its end is not known.",
}


def write_report(run: Path | None, output: Path | None = None) -> Path:
    """Write the report of a run as one HTML file that needs nothing beside it.

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
    if not target.parent.is_dir():
        raise CnnkitError(f"{target}: there is no folder {target.parent}", "Make it, or name another --output.")
    write_text(target, render(gather(directory)))
    return target


def gather(directory: RunDirectory) -> Report:
    """Everything for the page of a run that has a model; what cannot be had is in `missing`, with the reason.

    Raises:
        CnnkitError: The model cannot be loaded.
    """
    model = load_model(directory.model)
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
            _look_at_data(report, model, run)
    except CnnkitError as fault:
        _use_stored_figures(report, directory, str(fault))
    return report


def _read_files(report: Report, directory: RunDirectory) -> None:
    """What stands in the run's small files: config, environment, history."""
    try:
        report.config = directory.config.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        report.missing["config"] = f"{directory.config.name} cannot be read ({error.strerror})."
    try:
        report.environment = list(_flat(read_json(directory.environment)))
    except (OSError, ValueError, AttributeError):
        report.missing["environment"] = f"{directory.environment.name} cannot be read."
    try:
        report.curves = curve_plots(directory.read_history())
    except (CnnkitError, LookupError) as fault:
        report.missing["curves"] = str(fault) if isinstance(fault, CnnkitError) else "history.csv is damaged."
    if not report.curves:
        report.missing.setdefault("curves", "No epoch has ended yet.")


def _look_at_data(report: Report, model: "keras.Model", run: Reopened) -> None:
    """Metrics, examples and robustness, which need the run's data."""
    train = run.loaded.config.train
    report.phases = [(phase.train, phase.epochs or train.epochs) for phase in train.phases or ()]
    report.task = run.metadata.task
    split, examples = run.held_out
    evaluation = evaluate_model(model, run.model, [examples], run.metadata, split)
    _add_notices(report, (run.metadata.note,))
    report.figures = figures_for_page(evaluation.as_dict(), run.metadata.task)
    report.quality = _quality(evaluation)
    report.groups = _shown_groups(report, model, examples, evaluation)
    report.probe = _probe_of(report, model, examples, run)
    report.probe_plots = probe_plots(report.probe) if report.probe is not None and report.probe.curves else []


def _use_stored_figures(report: Report, directory: RunDirectory, reason: str) -> None:
    """Without the data, the figures that the run ended with."""
    report.missing.update(dict.fromkeys(("examples", "robustness"), reason))
    metadata = read_metadata(directory.model)
    if metadata is None or report.figures is not None:
        report.missing["figures"] = reason
        return
    report.task = metadata.task
    _add_notices(report, (metadata.note,))
    try:
        metrics = read_json(directory.path / "metrics.json")
        report.figures = figures_for_page(metrics, metadata.task)
        if metadata.task.is_classification:
            filled = [ReliabilityBin(**row) for row in metrics["reliability"] if row["examples"]]
            report.quality = [reliability_plot(filled)] if filled else []
        _add_notices(report, (f"The run's data could not be read again; the figures are those of metrics.json. {reason}",))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        report.missing["figures"] = reason


def _quality(evaluation: Evaluation) -> list[Markup]:
    figures, names = evaluation.figures, evaluation.metadata.task.names
    if isinstance(figures, RegressionMetrics):
        return prediction_plots(evaluation.targets.reshape(evaluation.predictions.shape), evaluation.predictions, names)
    return [reliability_plot(figures.reliability)] if isinstance(figures, ClassificationMetrics) else []


def _shown_groups(report: Report, model: "keras.Model", examples: Examples, evaluation: Evaluation) -> list[ShownGroup]:
    task = evaluation.metadata.task
    groups = telling_examples(evaluation.targets, evaluation.predictions, task)
    try:
        cam = GradCam(model, task)
        report.heat_layer = cam.layer
    except CnnkitError as fault:
        cam = None
        report.missing["heat"] = fault.headline
    shown = []
    for group in groups:
        places = np.array([choice.position for choice in group.choices], np.int64)
        inputs = examples.rows.read(examples.index[places]) if len(places) else np.empty(0)
        heat = cam(inputs, [choice.output for choice in group.choices]).maps if cam is not None and len(places) else [None] * len(places)
        pairs = zip(group.choices, inputs, heat, strict=True)
        shown.append(ShownGroup(group, tuple(Shown(choice, shown_example(each, warm)) for choice, each, warm in pairs)))
    return shown


def _probe_of(report: Report, model: "keras.Model", examples: Examples, run: Reopened) -> Probe | None:
    """The run's own probe where it has one, else a small one where the network is small enough."""
    stored = run.directory.path / "probe.json"
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
    figure, clean, curves = probe(model, drawn(examples, count, seed), metadata.task, known, seed)
    measured_on = f"{run.held_out[0]} set of {metadata.data}"
    return Probe(report.run.name, measured_on, count, figure, clean, figure == "MAE", curves, note=metadata.note)


def _add_notices(report: Report, notes: Iterable[str]) -> None:
    report.notices += [note for note in notes if note and note not in report.notices]


def _flat(values: Mapping[str, Any], above: str = "") -> Iterable[tuple[str, str]]:
    """Nested values as rows: `data.name` and `cifar10`; what is not known is left out."""
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{above}{key}.")
        elif value is not None:
            yield f"{above}{key}", ", ".join(map(str, value)) if isinstance(value, list) else str(value)
