"""Pictures of a run: curves over the epochs, the confusion matrix, predictions against targets."""

import contextlib
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from cnnkit.files import write_atomically

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, SOFT, FAINT = "#24292f", "#57606a", "#d8dee4"  # words, lesser words, lines and grids
TRAINING, VALIDATION = "#8c959f", "#1f6feb"
RIGHT, WRONG = ("#f6f8fa", "#79b0f7", "#1f6feb", "#0a3069"), ("#ffffff", "#ffc680", "#e16f24", "#8a2b06")  # from none to all
NOTICE, NOTICE_GROUND = "#a40e26", "#ffebe9"

MOST_COUNTED_CLASSES = 20  # up to which the cells of a confusion matrix have room for their counts
CELL = 0.52  # inches a cell with a count takes
MOST_PANELS = 9  # numbers to predict that are drawn
MOST_DRAWN_DOTS = 1000  # examples that a drawing of lines (SVG) holds one by one
GAMMA = 0.6  # exponent that lifts small shares
DOTS_PER_INCH = 150

NOT_METRICS = ("epoch", "seconds", "images_per_second", "learning_rate")  # columns of a history
_LOWER_IS_BETTER = re.compile(r"loss|error|entropy|hinge|divergence|log_?cosh|poisson|^false_|^(mae|mse|mape|msle|rmse|kld|bce)(?![a-z])")


def plot_curves(history: Sequence[Mapping[str, float]], path: Path, title: str, note: str = "") -> None:
    """Draw loss and metrics over the epochs, each beside its validation twin, with the best validation epoch marked.

    Args:
        history: A row an epoch with `epoch`, names, and the same names with `val_`; NaN and missing values leave a gap.
        path: The PNG to write.
        title: The run's name.
        note: What the reader must know of the figures; set apart in red where not empty.
    """
    names = watched(history)
    columns = 2 if len(names) == 4 else min(len(names), 3)
    rows = -(-len(names) // columns)
    figure = new_figure(5.2 * columns + 0.4, 3.4 * rows + 0.7)
    for index, name in enumerate(names):
        draw_curve(figure.add_subplot(rows, columns, index + 1), history, name)
    finish(figure, path, title, note)


def watched(history: Sequence[Mapping[str, float]]) -> list[str]:
    """The loss and the metrics of a history, in their order, without their validation twins."""
    found = dict.fromkeys(name for row in history for name in row)
    return [name for name in found if name not in NOT_METRICS and not name.startswith("val_")]


def draw_curve(axes: "Axes", history: Sequence[Mapping[str, float]], name: str) -> None:
    """Draw one metric over the epochs of a history; what `plot_curves` has in each panel."""
    from matplotlib.ticker import MaxNLocator

    axes.margins(y=0.12)
    epochs = np.array([row["epoch"] for row in history])
    room = 0.02 * (epochs[-1] - epochs[0]) or 0.5
    training, validation = (np.array([row.get(key, np.nan) for row in history], float) for key in (name, f"val_{name}"))
    curves = [(training, "training", TRAINING), (validation, "validation", VALIDATION)]
    shown = [(values, label, colour) for values, label, colour in curves if np.isfinite(values).any()]
    for values, _, colour in shown:
        axes.plot(epochs, _gaps(values), color=colour, linewidth=1.8, marker="o" if len(epochs) <= 30 else "", markersize=3.5)
    axes.set_title(name, loc="left", fontsize=11, color=INK)
    axes.set_xlabel("epoch", color=SOFT, fontsize=9)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.set_xlim(epochs[0] - room, epochs[-1] + room)
    axes.set_ylim(*axes.get_ylim())
    calm(axes)
    _label_ends(axes, epochs, shown)
    if np.isfinite(validation).any():
        _mark_best(axes, epochs, _gaps(validation), lower_is_better=bool(_LOWER_IS_BETTER.search(name)))


def plot_confusion(confusion: npt.NDArray[Any], class_names: Sequence[str], path: Path, title: str, note: str = "") -> None:
    """Draw a confusion matrix: what is right in blue, what is wrong in orange, the darker the larger the share of its row.

    Args:
        confusion: Counts `(classes, classes)`, rows true, columns predicted; written into the cells with their share of the row
            where there is room.
        class_names: Names by index.
        path: The PNG to write.
        title: The run's name.
        note: What the reader must know of the figures; set apart in red where not empty.
    """
    from matplotlib.colors import LinearSegmentedColormap, PowerNorm

    count = len(class_names)
    counted = count <= MOST_COUNTED_CLASSES
    side = CELL * max(count, 4) if counted else float(np.clip(0.11 * count, CELL * MOST_COUNTED_CLASSES, 22))
    figure = new_figure(side + 2.9, side + 2.1)
    axes = figure.add_subplot()
    shares = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    scale = PowerNorm(GAMMA, 0, 1)  # or a class mistaken once in twenty times would look like none
    diagonal = np.eye(count, dtype=bool)
    for place, (colours, label, hidden) in enumerate(((WRONG, "wrong", diagonal), (RIGHT, "right", ~diagonal))):
        colour_map = LinearSegmentedColormap.from_list(label, colours)
        image = axes.imshow(np.ma.array(shares, mask=hidden), cmap=colour_map, norm=scale)
        bar = figure.colorbar(image, cax=axes.inset_axes((1 + (0.5 - 0.25 * place) / side, 0, 0.16 / side, 1)))
        bar.outline.set_visible(False)
        steps = [0, 0.1, 0.4, 1] if side < 4 else [0, 0.01, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1]
        bar.set_ticks(steps if hidden is diagonal else [])
        bar.ax.yaxis.set_major_formatter(lambda share, _: f"{share:.0%}")
        bar.ax.tick_params(length=0, labelsize=8, labelcolor=SOFT)
        bar.ax.set_xlabel(label, color=colours[2], fontsize=8, rotation=90)
    names, size = [short(name) for name in class_names], float(np.clip(58 * side / count, 2, 9))
    level = count <= 4 and max(map(len, names)) <= 10
    axes.set_xticks(range(count), names, fontsize=size, color=INK, rotation=0 if level else 90)
    axes.set_yticks(range(count), names, fontsize=size, color=INK)
    if counted:
        for row, column in np.argwhere(confusion):
            value, strength = int(confusion[row, column]), shares[row, column] ** GAMMA
            colour, weight = "white" if strength > 0.62 else INK, "bold" if row == column else "normal"
            words, size = f"{value}\n{_percent(shares[row, column])}", 7.5 if value < 1e5 else 6
            axes.text(column, row, words, ha="center", va="center", fontsize=size, color=colour, weight=weight, linespacing=1.15)
    axes.set_xlabel("predicted", color=SOFT)
    axes.set_ylabel("true", color=SOFT)
    axes.tick_params(length=0)
    axes.spines[:].set_color(FAINT)
    finish(figure, path, title, note)


def plot_predictions(
    targets: npt.NDArray[Any], predictions: npt.NDArray[Any], names: Sequence[str], path: Path, title: str, note: str = ""
) -> None:
    """Draw predicted against true numbers, a panel each, with the line on which they are equal.

    Args:
        targets: True values `(n, outputs)`.
        predictions: Predicted values `(n, outputs)`.
        names: What is predicted, with its unit; of many, the first nine are drawn.
        path: The PNG to write.
        title: The run's name.
        note: What the reader must know of the figures; set apart in red where not empty.
    """
    shown = len(names[:MOST_PANELS])
    columns = 2 if shown == 4 else min(shown, 3)
    side = 5.4 if shown == 1 else 4.2
    figure = new_figure(side * columns + 0.4, side * -(-shown // columns) + 0.6)
    for index, name in enumerate(names[:shown]):
        axes = figure.add_subplot(-(-shown // columns), columns, index + 1)
        draw_predictions(axes, targets[:, index], predictions[:, index], name)
    finish(figure, path, title if shown == len(names) else f"{title} · the first {shown} of {len(names)} numbers", note)


def draw_predictions(axes: "Axes", targets: npt.NDArray[Any], predictions: npt.NDArray[Any], name: str) -> None:
    """Draw predicted against true values `(n,)` of one number; what `plot_predictions` has in each panel."""
    both = np.concatenate([targets, predictions])
    low, high = float(both.min()), float(both.max())
    room = 0.05 * (high - low) or 0.05 * abs(high) or 1
    limits = (low - room, high + room)
    opacity = float(np.clip(1200 / len(targets), 0.06, 0.6))  # so that many examples show as density, not as one blot
    size, as_pixels = (14 if len(targets) <= 1000 else 7), len(targets) > MOST_DRAWN_DOTS
    axes.scatter(targets, predictions, s=size, alpha=opacity, color=VALIDATION, linewidths=0, rasterized=as_pixels)
    axes.plot(limits, limits, color=INK, linewidth=1, linestyle=(0, (4, 3)))
    axes.annotate(
        "predicted = true", (1, 1), xytext=(0, 3), xycoords="axes fraction", textcoords="offset points", ha="right", va="bottom",
        fontsize=8, color=INK,
    )  # fmt: skip
    axes.set(xlim=limits, ylim=limits, aspect="equal")
    axes.set_xlabel(_wrapped(f"true {name}", 3.8, lines=2), color=SOFT)
    axes.set_ylabel(_wrapped(f"predicted {name}", 3.8, lines=2), color=SOFT)
    calm(axes)


def new_figure(width: float, height: float) -> "Figure":
    """An empty white figure of some inches, laid out by matplotlib itself, that needs no screen."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    figure = Figure(figsize=(width, height), layout=ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.1), facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def finish(figure: "Figure", path: Path, title: str, note: str) -> None:
    """Add title and note to a figure and write it as PNG, atomically; the same content gives the same bytes."""
    width = figure.get_figwidth()
    figure.suptitle(_wrapped(title, width * 0.65, lines=2), x=0.1 / width, ha="left", fontsize=13, weight="bold", color=INK)
    if note:
        ground = {"facecolor": NOTICE_GROUND, "edgecolor": "none", "boxstyle": "square,pad=0.5"}
        figure.supxlabel(_wrapped(note, width - 0.4, lines=6), x=0.18 / width, ha="left", color=NOTICE, fontsize=9, bbox=ground)
    with literal_text(figure):
        write_atomically(path, lambda temporary: figure.savefig(temporary, dpi=DOTS_PER_INCH, metadata={"Software": None}))


@contextlib.contextmanager
def literal_text(figure: "Figure") -> Iterator[None]:
    """Within: a figure can be written whatever names stand in it, and a dollar sign is a dollar sign."""
    from matplotlib.text import Text

    for text in figure.findobj(Text):
        text.set_parse_math(False)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")  # a name in a script that the font has not
        yield


def short(name: str) -> str:
    """A name cut to what has room beside a picture, in its middle: names in a list often differ at the end."""
    name = _drawable(" ".join(name.split()))
    return name if len(name) <= 18 else f"{name[:10].rstrip()}…{name[-7:].lstrip()}"


def _percent(share: float) -> str:
    return f"{share:.0%}" if share >= 0.0995 else f"{share:.1%}"


def _gaps(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return np.where(np.isfinite(values), values, np.nan)


def _label_ends(axes: "Axes", epochs: npt.NDArray[Any], curves: Sequence[tuple[npt.NDArray[Any], str, str]]) -> None:
    """Write each curve's name beside its last value, moved apart where they would overlap."""
    low, high = axes.get_ylim()
    ends = [int(np.flatnonzero(np.isfinite(values))[-1]) for values, _, _ in curves]
    heights = np.array([(values[end] - low) / (high - low) for (values, _, _), end in zip(curves, ends, strict=True)])
    if len(curves) == 2 and (missing := 0.07 - abs(heights[0] - heights[1])) > 0:
        heights += np.array([1, -1]) * (missing / 2 if heights[0] >= heights[1] else -missing / 2)
    for (_, label, colour), end, height in zip(curves, ends, heights, strict=True):
        place = (epochs[end], low + height * (high - low))
        axes.annotate(label, place, xytext=(7, 0), textcoords="offset points", va="center", fontsize=9, color=colour, annotation_clip=False)


def _mark_best(axes: "Axes", epochs: npt.NDArray[Any], values: npt.NDArray[Any], lower_is_better: bool) -> None:
    """Ring the best value and write it and its epoch below (or above) it, kept inside the panel."""
    from matplotlib.patheffects import withStroke

    best = int(np.nanargmin(values) if lower_is_better else np.nanargmax(values))
    axes.plot(epochs[best], values[best], "o", markersize=8, markerfacecolor="none", markeredgecolor=VALIDATION)
    low, high = axes.get_xlim()
    across = (epochs[best] - low) / (high - low)
    alignment, shift = ("left", -5) if across < 0.2 else ("right", 5) if across > 0.8 else ("center", 0)
    axes.annotate(
        f"{values[best]:.4g} at epoch {epochs[best]:.0f}", (epochs[best], values[best]), xytext=(shift, -15 if lower_is_better else 9),
        textcoords="offset points", ha=alignment, fontsize=9, color=VALIDATION, weight="bold",
        path_effects=[withStroke(linewidth=3, foreground="white")],
    )  # fmt: skip


def calm(axes: "Axes") -> None:
    """A panel's lines and numbers as faint as its content allows."""
    axes.grid(visible=True, color=FAINT, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(FAINT)
    axes.tick_params(labelcolor=SOFT, length=0, labelsize=9)


def _wrapped(text: str, inches: float, lines: int) -> str:
    import textwrap

    return "\n".join(textwrap.wrap(_drawable(text), int(inches * 13.5), max_lines=lines, placeholder=" …"))


def _drawable(text: str) -> str:
    """The text without the halves of characters that a folder's undecodable name leaves, on which matplotlib fails."""
    return text.encode("utf-8", "replace").decode()


def plot_lines(
    lines: Mapping[str, tuple[Sequence[float], Sequence[float]]], labels: tuple[str, str], path: Path, title: str, note: str = ""
) -> None:
    """Draw two or more series against each other.

    Args:
        lines: Name -> x and y of each series, the one that matters first.
        labels: Of the x axis and the y axis.
        path: The PNG to write.
        title: The run's name.
        note: What the reader must know of the figures.
    """
    figure = new_figure(6.4, 4.2)
    axes = figure.add_subplot()
    for (name, (x, y)), colour in zip(lines.items(), (VALIDATION, TRAINING, RIGHT[3], WRONG[2]), strict=False):
        axes.plot(x, y, color=colour, linewidth=1.8, marker="o", markersize=4, label=name)
    first = next(iter(lines.values()))[0]
    if len(first) > 1 and max(first) > 20 * min(first):
        axes.set_xscale("log")
        axes.set_xticks(first, [f"{value:,.0f}" for value in first])
        axes.minorticks_off()
    axes.set_xlabel(labels[0], color=INK)
    axes.set_ylabel(labels[1], color=INK, parse_math=False)
    axes.legend(frameon=False)
    axes.grid(visible=True, color=FAINT, linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    finish(figure, path, title, note)


def lower_is_better(name: str) -> bool:
    """Whether a metric of this name improves by falling: losses and errors do."""
    return bool(_LOWER_IS_BETTER.search(name))
