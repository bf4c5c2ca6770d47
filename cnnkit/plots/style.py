"""The common style of all plots: colors, layout, atomic writing as PNG, and text drawn without math mode."""

import contextlib
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnkit.io.atomic import write_atomically

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, SOFT, FAINT = "#24292f", "#57606a", "#d8dee4"  # text, secondary text, lines and grids
TRAINING, VALIDATION = "#8c959f", "#1f6feb"
RIGHT, WRONG = ("#f6f8fa", "#79b0f7", "#1f6feb", "#0a3069"), ("#ffffff", "#ffc680", "#e16f24", "#8a2b06")  # color scales from 0 to 1
COLORS = (VALIDATION, WRONG[2], RIGHT[3], TRAINING, RIGHT[1], WRONG[3], WRONG[1])  # colors of runs, in order
NOTICE, NOTICE_GROUND = "#a40e26", "#ffebe9"

DOTS_PER_INCH = 150


def new_figure(width: float, height: float) -> "Figure":
    """An empty figure of `width` by `height` inches with constrained layout, independent of a display."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    figure = Figure(figsize=(width, height), layout=ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.1), facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def finish(figure: "Figure", path: Path, title: str, note: str) -> None:
    """Add a title and a note to a figure and write it as PNG, atomically and deterministically."""
    width = figure.get_figwidth()
    figure.suptitle(wrap(title, width * 0.65, lines=2), x=0.1 / width, ha="left", fontsize=13, weight="bold", color=INK)
    if note:
        ground = {"facecolor": NOTICE_GROUND, "edgecolor": "none", "boxstyle": "square,pad=0.5"}
        figure.supxlabel(wrap(note, width - 0.4, lines=6), x=0.18 / width, ha="left", color=NOTICE, fontsize=9, bbox=ground)
    with literal_text(figure):
        write_atomically(path, lambda temporary: _write_png(figure, temporary))


def _write_png(figure: "Figure", path: Path) -> None:
    """Render once and write; `Figure.savefig` renders twice, the first time only for the layout."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    figure.set_dpi(DOTS_PER_INCH)
    canvas: Any = FigureCanvasAgg(figure)  # matplotlib has no type annotations for its methods
    canvas.draw()
    Image.fromarray(np.asarray(canvas.buffer_rgba())).save(path, format="png", dpi=(DOTS_PER_INCH, DOTS_PER_INCH))


@contextlib.contextmanager
def literal_text(figure: "Figure") -> Iterator[None]:
    """Context manager: text of a figure is drawn literally; a dollar sign does not start a formula."""
    from matplotlib.text import Text

    for text in figure.findobj(Text):
        text.set_parse_math(False)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")  # a name in a script that the font lacks
        yield


def shorten(name: str) -> str:
    """A name shortened to 18 characters in its middle, as names often differ at the end."""
    name = _drawable(" ".join(name.split()))
    return name if len(name) <= 18 else f"{name[:10].rstrip()}…{name[-7:].lstrip()}"


def style_axes(axes: "Axes") -> None:
    """Apply the common style to a panel: light grid and spines, gray tick labels."""
    axes.grid(visible=True, color=FAINT, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(FAINT)
    axes.tick_params(labelcolor=SOFT, length=0, labelsize=9)


def wrap(text: str, inches: float, lines: int) -> str:
    """Wrap a text to at most `lines` lines of a width in inches."""
    import textwrap

    return "\n".join(textwrap.wrap(_drawable(text), int(inches * 13.5), max_lines=lines, placeholder=" …"))


def _drawable(text: str) -> str:
    """Replace surrogate characters, as from file names that are not UTF-8, on which matplotlib fails."""
    return text.encode("utf-8", "replace").decode()
