"""Write the summary of a group of runs as one HTML page: curves of all runs, a dot a run, and a table of every metric."""

from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from cnnkit.config.yaml_writer import write_yaml
from cnnkit.evaluation.repeated_runs import MeanEstimate
from cnnkit.experiments.repeat_summary import RepeatedRun, RepeatSummary
from cnnkit.io.atomic import write_text
from cnnkit.metrics import Metric, MetricValue, find
from cnnkit.plots.repeats import curve_names, draw_curves, draw_dots
from cnnkit.plots.style import new_figure
from cnnkit.report.page import render_template
from cnnkit.report.plots import WIDTH, as_svg

PAGE = "summary.html"


@dataclass(frozen=True)
class PageRow:
    """A row of the table of metrics.

    Attributes:
        metric: The metric.
        estimate: Its mean, standard deviation and interval.
        values: Its value in each run.
        pooled: Its value on the pooled predictions of all folds; None where there is none.
    """

    metric: Metric
    estimate: MeanEstimate
    values: tuple[MetricValue, ...]
    pooled: MetricValue | None


def write_summary_page(summary: RepeatSummary, output: Path | None = None) -> Path:
    """Write the page of a group.

    Args:
        summary: Its summary.
        output: The file; `summary.html` in the group's folder where None.

    Returns:
        The file.

    Raises:
        CnnkitError: It cannot be written.
    """
    target = output if output is not None else summary.folder / PAGE
    write_text(target, render_template("repeats.html.j2", summary=summary, rows=_rows(summary), **_plots(summary), config=_config(summary)))
    return target


def _rows(summary: RepeatSummary) -> list[PageRow]:
    pooled = {each.metric.name: each for each in summary.pooled}
    return [
        PageRow(metric, estimate, tuple(MetricValue(metric, run.value(metric)) for run in summary.runs), pooled.get(metric.name))
        for metric, estimate in summary.metrics.items()
    ]


def _plots(summary: RepeatSummary) -> dict[str, list[Markup]]:
    histories = {run.name: run.history for run in summary.runs}
    curves, dots = [], []
    for index, name in enumerate(curve_names(histories)):
        figure = new_figure(WIDTH, 2.7)
        draw_curves(figure.add_subplot(), histories, find(name, summary.custom_metrics))
        curves.append(as_svg(figure, f"curve-{index}", f"{name} by epoch, all runs"))
    for index, (metric, estimate) in enumerate(summary.metrics.items()):
        figure = new_figure(WIDTH, 1.1)
        draw_dots(figure.add_subplot(), metric, _values(summary.runs, metric), estimate)
        dots.append(as_svg(figure, f"dots-{index}", f"{metric.label} of each run"))
    return {"curves": curves, "dots": dots}


def _values(runs: tuple[RepeatedRun, ...], metric: Metric) -> list[float]:
    return [run.value(metric) for run in runs]


def _config(summary: RepeatSummary) -> str:
    return write_yaml(summary.plan.config)
