"""The pretrained networks of Keras as a table."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.table import Table

from cnnkit.console.text import escape_markup, new_table, output

if TYPE_CHECKING:
    from cnnkit.model.bases import ListedBase

_LEGEND = (
    ("params, MB", "parameters, and megabytes of weights, without the top: your own head replaces it"),
    ("input", "smallest and preferred side of an image in pixels; `image_size: auto` takes the preferred one"),
    ("pixels", "preprocessing of pixels 0..255 that it needs; part of the model, which takes raw pixels"),
    ("top-1", "accuracy on ImageNet with its own top, in percent, as Keras publishes it"),
)


def print_bases(bases: "Sequence[ListedBase]", folder: str) -> None:
    """Print one line per network, smallest first, and a legend of the columns.

    Args:
        bases: The networks.
        folder: The folder in which Keras stores weights.
    """
    console = output()
    table = new_table("base", "params", "MB", "input", "pixels", "top-1", "weights")
    for column in (4, 6):
        table.columns[column].justify = "left"
    for listed in bases:
        base = listed.base
        weights_text = "[green]here[/green]" if listed.weights else "[green]packaged[/green]" if listed.packaged else "[dim]–[/dim]"
        table.add_row(
            escape_markup(base.name),
            f"{base.parameters / 1e6:.1f} M",
            f"{base.weight_bytes / 2**20:,.0f}",
            f"{base.smallest}·{base.preferred}",
            escape_markup(base.preprocessing),
            "–" if listed.top1_percent is None else f"{listed.top1_percent:.1f}",
            weights_text,
        )
    console.print(table)
    legend = Table.grid(padding=(0, 2, 0, 0))
    weights = f"here: in {escape_markup(folder)}; packaged: the smallest version comes with cnnkit; –: downloaded when first used"
    for name, description in (*_LEGEND, ("weights", weights)):
        legend.add_row(name, description, style="dim")
    console.print(legend)
    console.print("\nUse one: [bold]cnnkit transfer --base mobilenetv2[/bold]")
