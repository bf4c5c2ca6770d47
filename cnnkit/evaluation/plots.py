"""Pictures of a run: curves over the epochs, the confusion matrix, predictions against targets."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from cnnkit.files import write_atomically

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TRAINING, VALIDATION, INK, FAINT = "#9aa5b1", "#1f6feb", "#24292f", "#d0d7de"

MOST_COUNTED_CLASSES = 20  # up to which the cells of a confusion matrix have room for their counts
DOTS_PER_INCH = 150

_NOT_METRICS = ("epoch", "seconds", "images_per_second", "learning_rate")


def plot_curves(history: Sequence[Mapping[str, float]], path: Path, title: str, note: str = "") -> None:
    """Draw loss and metrics over the epochs, each beside its validation twin, with the best validation epoch marked.

    Args:
        history: A row an epoch with `epoch`, names, and the same names with `val_`.
        path: The PNG to write.
        title: The run's name.
        note: What the reader must know of the figures; drawn in red where not empty.
    """
    from matplotlib.ticker import MaxNLocator

    names = [name for name in history[0] if name not in _NOT_METRICS and not name.startswith("val_")]
    columns = min(len(names), 3)
    rows = -(-len(names) // columns)
    figure = new_figure(5.2 * columns, 3.6 * rows + 0.5)
    epochs = [row["epoch"] for row in history]
    for index, name in enumerate(names):
        axes = figure.add_subplot(rows, columns, index + 1)
        _curve(axes, epochs, [row.get(name, np.nan) for row in history], "training", TRAINING)
        if f"val_{name}" in history[0]:
            values = [row.get(f"val_{name}", np.nan) for row in history]
            _curve(axes, epochs, values, "validation", VALIDATION)
            _mark_best(axes, epochs, values, lower_is_better="loss" in name or "error" in name or name in ("mae", "mse"))
        axes.set_title(name, loc="left", fontsize=11, color=INK, parse_math=False)
        axes.set_xlabel("epoch", color=INK)
        axes.set_xlim(min(epochs) - 0.3, max(epochs) + 0.3 + 0.02 * len(epochs))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.legend(frameon=False, fontsize=9)
        _calm(axes)
    finish(figure, path, title, note)


def plot_confusion(confusion: npt.NDArray[Any], class_names: Sequence[str], path: Path, title: str, note: str = "") -> None:
    """Draw a confusion matrix, coloured by the share of its row, with counts where there is room.

    Args:
        confusion: Counts `(classes, classes)`, rows true, columns predicted.
        class_names: Names by index.
        path: The PNG to write.
        title: The run's name.
        note: What the reader must know of the figures.
    """
    count = len(class_names)
    side = float(np.clip(1.6 + 0.52 * count, 4, 14))
    figure = new_figure(side + 1.8, side + 1)
    axes = figure.add_subplot()
    shares = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    names = [short(name) for name in class_names]
    size = float(np.clip(420 / count / 4, 3.5, 10))
    axes.set_xticks(range(count), names, fontsize=size, rotation=90 if count > 4 else 0)
    axes.set_yticks(range(count), names, fontsize=size)
    for label in (*axes.get_xticklabels(), *axes.get_yticklabels()):
        label.set_parse_math(False)
    if count <= MOST_COUNTED_CLASSES:
        for row, column in np.ndindex(confusion.shape):
            value = int(confusion[row, column])
            colour = "white" if shares[row, column] > 0.55 else INK if value else FAINT
            weight = "bold" if row == column else "normal"
            axes.text(column, row, f"{value}", ha="center", va="center", fontsize=8 if value < 10_000 else 6, color=colour, weight=weight)
    axes.set_xlabel("predicted", color=INK)
    axes.set_ylabel("true", color=INK)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    bar = figure.colorbar(image, ax=axes, fraction=0.04, pad=0.02)
    bar.outline.set_visible(False)
    bar.set_label("share of the true class", color=INK)
    finish(figure, path, title, note)


def plot_predictions(targets: npt.NDArray[Any], predictions: npt.NDArray[Any], name: str, path: Path, title: str, note: str = "") -> None:
    """Draw predicted against true numbers, with the line on which they are equal.

    Args:
        targets: True values `(n,)`.
        predictions: Predicted values `(n,)`.
        name: What is predicted, with its unit.
        path: The PNG to write.
        title: The run's name.
        note: What the reader must know of the figures.
    """
    figure = new_figure(5.6, 5.4)
    axes = figure.add_subplot()
    both = np.concatenate([np.ravel(targets), np.ravel(predictions)])
    low, high = float(np.nanmin(both)), float(np.nanmax(both))
    axes.plot([low, high], [low, high], color=INK, linewidth=1, linestyle=":")
    axes.scatter(targets, predictions, s=6, alpha=0.35, color=VALIDATION, linewidths=0)
    axes.set_xlabel(f"true {name}", color=INK, parse_math=False)
    axes.set_ylabel(f"predicted {name}", color=INK, parse_math=False)
    axes.set_aspect("equal")
    _calm(axes)
    finish(figure, path, title, note)


def new_figure(width: float, height: float) -> "Figure":
    """An empty white figure of some inches, laid out by matplotlib itself, that needs no screen."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def _curve(axes: "Axes", epochs: Sequence[float], values: Sequence[float], label: str, colour: str) -> None:
    marker = "o" if len(epochs) <= 30 else ""
    axes.plot(epochs, values, color=colour, label=label, linewidth=1.8, marker=marker, markersize=3.5)


def _mark_best(axes: "Axes", epochs: Sequence[float], values: Sequence[float], lower_is_better: bool) -> None:
    if np.isnan(values).all():
        return
    best = int(np.nanargmin(values) if lower_is_better else np.nanargmax(values))
    axes.plot(epochs[best], values[best], "o", markersize=8, markerfacecolor="none", markeredgecolor=VALIDATION)
    below = lower_is_better
    axes.annotate(
        f"{values[best]:.4g}", (epochs[best], values[best]), xytext=(0, -14 if below else 8),
        textcoords="offset points", ha="center", fontsize=9, color=VALIDATION, weight="bold",
    )  # fmt: skip
    axes.margins(y=0.18)


def _calm(axes: "Axes") -> None:
    axes.grid(visible=True, color=FAINT, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(FAINT)
    axes.tick_params(colors=INK, length=0, labelsize=9)


def finish(figure: "Figure", path: Path, title: str, note: str) -> None:
    """Add title and note to a figure and write it as PNG, atomically; the same content gives the same bytes."""
    import warnings

    figure.suptitle(title, x=0.01, ha="left", fontsize=13, weight="bold", color=INK, parse_math=False)
    if note:
        figure.supxlabel(_wrapped(note, figure.get_figwidth()), color="#cf222e", fontsize=9, parse_math=False)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")  # a name in a script that the font has not
        write_atomically(path, lambda temporary: figure.savefig(temporary, dpi=DOTS_PER_INCH, metadata={"Software": None}))


def _wrapped(text: str, width: float) -> str:
    import textwrap

    return "\n".join(textwrap.wrap(text, int(width * 14)))


def short(name: str) -> str:
    """A name cut to what has room beside a picture."""
    return name if len(name) <= 18 else name[:17] + "…"
