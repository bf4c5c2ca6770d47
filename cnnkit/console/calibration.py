"""What a temperature did to a model's probabilities, as a table."""

from typing import TYPE_CHECKING

from rich.text import Text

from cnnkit.console.text import new_table, output, print_notice, safe

if TYPE_CHECKING:
    from cnnkit.prediction.calibrate import Calibration


def print_calibration(calibration: "Calibration") -> None:
    """The temperature in words, and each figure before and after, by split."""
    console = output()
    if calibration.note:
        print_notice(calibration.note, title="What these figures are")
    surer = "too sure" if calibration.temperature > 1 else "not sure enough"
    console.print(
        f"\nTemperature [bold]{calibration.temperature:.4f}[/bold], fitted on {calibration.examples:,} examples "
        f"({safe(calibration.fitted_on)}): the model was {surer}."
    )
    table = new_table("", "before", "after")
    for split, before in calibration.before.items():
        after = calibration.after[split]
        table.add_row(Text(split, style="bold"))
        table.add_row("  expected calibration error", *_pair(before.expected_calibration_error, after.expected_calibration_error))
        table.add_row("  log loss", *_pair(before.log_loss, after.log_loss))
        table.add_row("  accuracy", f"{before.accuracy:.4f}", f"{after.accuracy:.4f}")
    console.print(table)


def _pair(before: float, after: float) -> tuple[str, Text]:
    """Two figures of which the smaller is the better."""
    return f"{before:.4f}", Text(f"{after:.4f}", style="green" if after < before else "red" if after > before else "")
