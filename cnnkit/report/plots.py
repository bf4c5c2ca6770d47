"""Plots as SVG inside a page, in the page's own colors and letters, so that they fit a light and a dark one."""

import io
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from markupsafe import Markup

from cnnkit.evaluation.calibration import ReliabilityBin
from cnnkit.metrics import find, training_columns
from cnnkit.plots.confusion import GAMMA
from cnnkit.plots.curves import draw_curve
from cnnkit.plots.predicted import MOST_PANELS, draw_predictions
from cnnkit.plots.reliability import draw_reliability
from cnnkit.plots.style import FAINT, INK, SOFT, TRAINING, VALIDATION, WRONG, literal_text, new_figure
from cnnkit.plots.sweep import draw_parallel, draw_progress
from cnnkit.report.pictures import data_uri
from cnnkit.robustness.plot import draw_curve as draw_probe_curve
from cnnkit.robustness.plot import label_axes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from cnnkit.experiments.sweep.status import SweepStatus
    from cnnkit.robustness.results import Probe

Array = npt.NDArray[Any]

VARIABLES = {INK: "ink", SOFT: "soft", FAINT: "faint", TRAINING: "training", VALIDATION: "accent", WRONG[2]: "wrong", "#ffffff": "card"}
WIDTH = 4.0  # inches; about the width of a phone, so that text in plots is as large as in the page


def curve_plots(history: Sequence[Mapping[str, float]], custom: Mapping[str, str]) -> list[Markup]:
    """Plots of the loss and each metric over the epochs; for `custom` see `metrics.find`."""
    plots: list[Markup] = []
    for name in training_columns(history):
        figure = new_figure(WIDTH, 2.7)
        draw_curve(figure.add_subplot(), history, find(name, custom))
        plots.append(as_svg(figure, f"curve-{len(plots)}", f"{name} by epoch"))
    return plots


def reliability_plot(curve: Sequence[ReliabilityBin]) -> Markup:
    """The reliability diagram."""
    figure = new_figure(WIDTH, 3.4)
    draw_reliability(figure, curve)
    return as_svg(figure, "reliability", "Share that was right by the probability given")


def prediction_plots(targets: Array, predictions: Array, names: Sequence[str]) -> list[Markup]:
    """Plots of predicted against true values `(n, outputs)`, one for each of the first `MOST_PANELS` targets."""
    plots = []
    for index, name in enumerate(names[:MOST_PANELS]):
        figure = new_figure(WIDTH, WIDTH)
        draw_predictions(figure.add_subplot(), targets[:, index], predictions[:, index], name)
        plots.append(as_svg(figure, f"prediction-{index}", f"Predicted against true: {name}"))
    return plots


def probe_plots(probe: "Probe") -> list[Markup]:
    """A plot for each corruption, all with the same y axis."""
    top = 1.08 * max(max(curve.values) for curve in probe.curves) if not probe.metric.higher_is_better else 1.0
    plots = []
    for index, curve in enumerate(probe.curves):
        figure = new_figure(3.1, 2.4)
        axes = figure.add_subplot()
        draw_probe_curve(axes, curve, VALIDATION, marked=True)
        axes.set_ylim(0, top)
        label_axes(axes, curve, probe.metric.label)
        plots.append(as_svg(figure, f"probe-{index}", f"{probe.metric.label} by {curve.name}"))
    return plots


def confusion_picture(shares: Array) -> str:
    """A large confusion matrix as an image, a pixel per cell: correct in blue, wrong in orange, transparent where zero.

    Args:
        shares: Confusion matrix `(classes, classes)` normalized by row; NaN in rows without examples.

    Returns:
        A data URI.
    """
    strength = np.nan_to_num(shares) ** GAMMA
    right = np.eye(len(shares), dtype=bool)
    colors = [[int(color[i : i + 2], 16) for i in (1, 3, 5)] for color in (WRONG[2], VALIDATION)]
    pixels = np.dstack([np.where(right[..., None], colors[1], colors[0]), np.rint(255 * strength)])
    return data_uri(pixels.astype(np.uint8), lossless=True)


def sweep_plots(status: "SweepStatus", names: Mapping[str, str]) -> tuple[Markup, Markup]:
    """The best value so far, and each finished trial as a line through its parameters.

    Args:
        status: Where the sweep stands, with at least one finished trial.
        names: Parameter -> its label.
    """
    figure = new_figure(WIDTH, 2.9)
    draw_progress(figure.add_subplot(), [(row.number, row.value) for row in status.finished], status.objective)
    progress = as_svg(figure, "progress", f"{status.objective.name} of each trial, and the best so far")
    figure = new_figure(max(WIDTH, 1.7 * (len(names) + 1)), 3.6)
    trials = [(row.values, row.value) for row in status.finished]
    draw_parallel(figure.add_subplot(), trials, names, status.objective, status.log_scaled)
    return progress, as_svg(figure, "parallel", f"Parameters and {status.objective.name} of each trial")


def as_svg(figure: "Figure", salt: str, label: str) -> Markup:
    """A figure as an SVG element for a page, whose colors are the page's CSS variables.

    Args:
        figure: Drawn in the colors of `VARIABLES`.
        salt: Makes the ids of SVG elements unique within the page.
        label: Description for screen readers.
    """
    import matplotlib as mpl

    buffer = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": salt, "savefig.dpi": 150}), literal_text(figure):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    box = re.search(r'viewBox="[\d. ]+"', text)
    assert box is not None
    inside = text[text.index("</metadata>") + len("</metadata>") : text.rindex("</svg>")]
    inside = re.sub(r"<style.*?</style>", "", inside, flags=re.DOTALL)  # it would apply to the whole page
    inside = re.sub(r' id="[a-z0-9.]+_\d+"', "", inside)  # duplicated in every plot, and never referenced
    inside = re.sub(r"font-family: [^;\"]*;?", "", inside)
    for color, variable in VARIABLES.items():
        inside = inside.replace(color, f"var(--{variable})")
    return Markup('<svg {} role="img" aria-label="{}">{}</svg>').format(Markup(box[0]), label, Markup(inside))  # noqa: S704 - matplotlib's
