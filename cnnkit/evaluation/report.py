"""`cnnkit report`: all that is known of a run, gathered for one page; what is missing is said, not passed over."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup

from cnnkit.data.examples import Examples
from cnnkit.data.task import Task
from cnnkit.errors import CnnkitError
from cnnkit.evaluation.calibration import ReliabilityBin
from cnnkit.evaluation.disturb import disturbances_of
from cnnkit.evaluation.evaluate import Evaluation, evaluate_model
from cnnkit.evaluation.gradcam import GradCam
from cnnkit.evaluation.metrics import ClassificationFigures, RegressionFigures
from cnnkit.evaluation.probe import Probe, drawn, probe, read_probe
from cnnkit.evaluation.report_examples import Choice, Group, telling_examples
from cnnkit.evaluation.report_figures import Figures, figures_for_page
from cnnkit.evaluation.report_page import render
from cnnkit.evaluation.report_pictures import Picture, Signal, shown_example
from cnnkit.evaluation.report_plots import curve_plots, prediction_plots, probe_plots, reliability_plot
from cnnkit.evaluation.rerun import Reopened, reopened
from cnnkit.files import write_text
from cnnkit.json_file import read_json
from cnnkit.model.load import load_model
from cnnkit.model.summary import Summary, summarize
from cnnkit.run_directory import RunDirectory, find_run, read_meaning
from cnnkit.run_list import ListedRun, read_run

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


@dataclass(frozen=True)
class Shown:
    """An example with what was said of it."""

    choice: Choice
    example: Picture | Signal


@dataclass(frozen=True)
class ShownGroup:
    """Examples that have something in common, as the page shows them."""

    group: Group
    examples: tuple[Shown, ...]


@dataclass
class Report:
    """All that stands in the page.

    Attributes:
        run: What the run tells of itself.
        task: What it predicts; None where that is not known.
        notices: What a reader must know of the figures.
        missing: Section -> why there is nothing in it.
        config: The resolved config's text.
        phases: Of a run in phases, a row each: what trained, and for how many epochs.
        environment: Names and values.
        network: The network, row by row.
        curves: Plots of the history.
        figures: The figures.
        quality: Plots of predictions: reliability, or predicted against true.
        groups: Examples.
        heat_layer: The layer that heat maps were made of; empty where there are none.
        probe: What the run withstands.
        probe_plots: The same as plots.
    """

    run: ListedRun
    task: Task | None = None
    notices: list[str] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)
    config: str = ""
    phases: list[tuple[str, int]] = field(default_factory=list)
    environment: list[tuple[str, str]] = field(default_factory=list)
    network: Summary | None = None
    curves: list[Markup] = field(default_factory=list)
    figures: Figures | None = None
    quality: list[Markup] = field(default_factory=list)
    groups: list[ShownGroup] = field(default_factory=list)
    heat_layer: str = ""
    probe: Probe | None = None
    probe_plots: list[Markup] = field(default_factory=list)


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
    """Figures, examples and robustness, which need the run's data."""
    train = run.loaded.config.train
    report.phases = [(phase.train, phase.epochs or train.epochs) for phase in train.phases or ()]
    report.task = run.meaning.task
    split, examples = run.held_out
    evaluation = evaluate_model(model, run.model, [examples], run.meaning, split)
    _add_notices(report, (run.meaning.note,))
    report.figures = figures_for_page(evaluation.as_dict(), run.meaning.task)
    report.quality = _quality(evaluation)
    report.groups = _shown_groups(report, model, examples, evaluation)
    report.probe = _probe_of(report, model, examples, run)
    report.probe_plots = probe_plots(report.probe) if report.probe is not None and report.probe.curves else []


def _use_stored_figures(report: Report, directory: RunDirectory, reason: str) -> None:
    """Without the data, the figures that the run ended with."""
    report.missing.update(dict.fromkeys(("examples", "robustness"), reason))
    meaning = read_meaning(directory.model)
    if meaning is None or report.figures is not None:
        report.missing["figures"] = reason
        return
    report.task = meaning.task
    _add_notices(report, (meaning.note,))
    try:
        metrics = read_json(directory.path / "metrics.json")
        report.figures = figures_for_page(metrics, meaning.task)
        if meaning.task.is_classification:
            filled = [ReliabilityBin(**row) for row in metrics["reliability"] if row["examples"]]
            report.quality = [reliability_plot(filled)] if filled else []
        _add_notices(report, (f"The run's data could not be read again; the figures are those of metrics.json. {reason}",))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        report.missing["figures"] = reason


def _quality(evaluation: Evaluation) -> list[Markup]:
    figures, names = evaluation.figures, evaluation.meaning.task.names
    if isinstance(figures, RegressionFigures):
        return prediction_plots(evaluation.targets.reshape(evaluation.predictions.shape), evaluation.predictions, names)
    return [reliability_plot(figures.reliability)] if isinstance(figures, ClassificationFigures) else []


def _shown_groups(report: Report, model: "keras.Model", examples: Examples, evaluation: Evaluation) -> list[ShownGroup]:
    task = evaluation.meaning.task
    groups = telling_examples(evaluation.targets, evaluation.predictions, task)
    try:
        cam = GradCam(model, task)
        report.heat_layer = cam.layer
    except CnnkitError as fault:
        cam = None
        report.missing["heat"] = str(fault).partition("\n")[0]
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
    known = disturbances_of(examples.input_shape)
    passes = sum(len(each.variants) * (len(each.strengths) - 1) for each in known)
    costs = sum(row.multiply_adds or 0 for row in report.network.rows) if report.network is not None else 0
    count = min(PROBED, len(examples), int(AFFORDABLE / max(passes * costs, 1)))
    if count < min(LEAST_PROBED, len(examples)):
        report.missing["robustness"] = f"Not measured yet. `cnnkit probe {run.directory.path}` measures it for the next report."
        return None
    seed, meaning = run.loaded.config.seed, run.meaning
    figure, clean, curves = probe(model, drawn(examples, count, seed), meaning.task, known, seed)
    measured_on = f"{run.held_out[0]} set of {meaning.data}"
    return Probe(report.run.name, measured_on, count, figure, clean, figure == "MAE", curves, note=meaning.note)


def _add_notices(report: Report, notes: Iterable[str]) -> None:
    report.notices += [note for note in notes if note and note not in report.notices]


def _flat(values: Mapping[str, Any], above: str = "") -> Iterable[tuple[str, str]]:
    """Nested values as rows: `data.name` and `cifar10`; what is not known is left out."""
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{above}{key}.")
        elif value is not None:
            yield f"{above}{key}", ", ".join(map(str, value)) if isinstance(value, list) else str(value)
