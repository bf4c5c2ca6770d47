"""Plot of a model's formats: the headline metric against the time for one example."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cnnkit.metrics import Metric
from cnnkit.plots.style import COLORS, INK, SOFT, finish, new_figure, style_axes

MARKERS = {"": "o", "int8": "s", "float16": "D"}


@dataclass(frozen=True)
class LatencyPoint:
    """One format and quantization.

    Attributes:
        label: Its name.
        format: Its format, which decides the color.
        quantization: `int8`, `float16` or empty, which decides the marker.
        milliseconds: Median time for one example.
        value: The metric.
        interval: The metric's 95 % interval (low, high); None where there is none.
    """

    label: str
    format: str
    quantization: str
    milliseconds: float
    value: float
    interval: tuple[float, float] | None


def plot_benchmark(points: Sequence[LatencyPoint], metric: Metric, path: Path, title: str, note: str = "") -> None:
    """Plot a point per format and quantization, with the interval of its metric; names and values in the legend.

    Args:
        points: The points.
        metric: What their values are.
        path: The PNG to write.
        title: Title of the figure.
        note: A warning about the results; in a red box where not empty.
    """
    from matplotlib.ticker import LogLocator, NullLocator

    figure = new_figure(9.6, max(4.2, 0.24 * len(points) + 2))
    axes = figure.add_subplot()
    colors = {name: COLORS[index % len(COLORS)] for index, name in enumerate(dict.fromkeys(each.format for each in points))}
    for each in points:
        low, high = each.interval if each.interval is not None else (each.value, each.value)
        errors = [[max(each.value - low, 0)], [max(high - each.value, 0)]]
        label = f"{each.label}: {each.milliseconds:.3g} ms, {metric.text(each.value)}"
        marker, color = MARKERS.get(each.quantization, "^"), colors[each.format]
        axes.errorbar(
            [each.milliseconds], [each.value], yerr=errors, fmt=marker, color=color, markersize=7, elinewidth=1, capsize=2, label=label
        )
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("time for one example, milliseconds (median)", color=SOFT, fontsize=9)
    axes.set_ylabel(f"{metric.label}, with its 95 % interval", color=SOFT, fontsize=9)
    if not metric.higher_is_better:
        axes.invert_yaxis()  # better is up
    style_axes(axes)
    figure.legend(loc="outside right center", frameon=False, fontsize=9, labelcolor=INK)
    finish(figure, path, title, note)
