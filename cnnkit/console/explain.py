"""The explanation of one prediction, in a few lines."""

from typing import TYPE_CHECKING

from cnnkit.console.text import escape_markup, output, print_notice

if TYPE_CHECKING:
    from cnnkit.interpret.explanation import Explanation

MOST_ANSWERS = 3


def print_explanation(result: "Explanation") -> None:
    """The prediction, whether its heatmap passes the deletion test, and where the pictures are."""
    console = output()
    if result.note:
        print_notice(result.note, title="A stand-in for the data")
    answers = "  ".join(f"{escape_markup(name)} [bold]{value:.4g}[/bold]" for name, value in result.answers[:MOST_ANSWERS])
    console.print(f"{escape_markup(result.example)}: {answers}")
    words = "these places matter more than others" if result.deletion.matters else "no more than chance would give: do not build on it"
    console.print(f"Heatmap for {escape_markup(result.explained)}, from {escape_markup(result.layer)}")
    area, chance = result.deletion.area, result.deletion.chance
    console.print(f"Area between removing random places and the hottest: [bold]{area:.3f}[/bold] ± {chance:.3f}, {words}.")
    console.print(
        f"Wrote {len(result.pictures)} pictures: {escape_markup(str(result.folder / result.pictures[0]))} and others beside it",
        soft_wrap=True,
    )
