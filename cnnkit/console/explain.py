"""What was found about one answer, in a few lines."""

from typing import TYPE_CHECKING

from cnnkit.console.text import output, print_notice, safe

if TYPE_CHECKING:
    from cnnkit.interpret.explanation import Explanation

MOST_ANSWERS = 3


def print_explanation(result: "Explanation") -> None:
    """The answer, what the check of its heat map found, and where the pictures are."""
    console = output()
    if result.note:
        print_notice(result.note, title="A stand-in for the data")
    answers = "  ".join(f"{safe(name)} [bold]{value:.4g}[/bold]" for name, value in result.answers[:MOST_ANSWERS])
    console.print(f"{safe(result.example)}: {answers}")
    words = "these places matter more than others" if result.removal.matters else "no more than chance would give: do not build on it"
    console.print(f"Heat for {safe(result.explained)}, from {safe(result.layer)}")
    area, chance = result.removal.area, result.removal.chance
    console.print(f"Area between removing random places and the hottest: [bold]{area:.3f}[/bold] ± {chance:.3f}, {words}.")
    console.print(
        f"Wrote {len(result.pictures)} pictures: {safe(str(result.folder / result.pictures[0]))} and others beside it", soft_wrap=True
    )
