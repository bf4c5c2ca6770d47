"""The explanation of one prediction, in a few lines."""

from typing import TYPE_CHECKING

from cnnkit.console.text import escape_markup, output, print_notice

if TYPE_CHECKING:
    from cnnkit.interpret.explanation import Explanation

MOST_PREDICTIONS = 3


def print_explanation(result: "Explanation") -> None:
    """Print the prediction, the result of the deletion test of its heatmap, and the paths of the plots."""
    console = output()
    if result.note:
        print_notice(result.note, title="A stand-in for the data")
    predictions = "  ".join(f"{escape_markup(name)} [bold]{value:.4g}[/bold]" for name, value in result.predictions[:MOST_PREDICTIONS])
    console.print(f"{escape_markup(result.example)}: {predictions}")
    verdict = "these positions matter more than others" if result.deletion.matters else "no more than chance; do not rely on the heatmap"
    console.print(f"Heatmap for {escape_markup(result.explained)}, from {escape_markup(result.layer)}")
    area, chance = result.deletion.area, result.deletion.chance
    console.print(f"The area between the deletion curves (random and hottest first) is [bold]{area:.3f}[/bold] ± {chance:.3f}: {verdict}.")
    console.print(
        f"Wrote {len(result.plots)} plots: {escape_markup(str(result.folder / result.plots[0]))} and others beside it",
        soft_wrap=True,
    )
