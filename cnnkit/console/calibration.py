"""A model's calibration before and after temperature scaling, as a table."""

from typing import TYPE_CHECKING

from rich.text import Text

from cnnkit.console.text import escape_markup, new_table, output, print_notice
from cnnkit.metrics import ACCURACY, CALIBRATION_ERROR, LOG_LOSS, Metric

if TYPE_CHECKING:
    from cnnkit.prediction.calibrate import Calibration


def print_calibration(calibration: "Calibration") -> None:
    """Print the temperature, and the calibration metrics before and after, by split."""
    console = output()
    if calibration.note:
        print_notice(calibration.note, title="About these results")
    confidence = "overconfident" if calibration.temperature > 1 else "underconfident"
    console.print(
        f"\nTemperature [bold]{calibration.temperature:.4f}[/bold], fitted on {calibration.examples:,} examples "
        f"({escape_markup(calibration.fitted_on)}): the model was {confidence}."
    )
    table = new_table("", "before", "after")
    for split, before in calibration.before.items():
        after = calibration.after[split]
        table.add_row(Text(split, style="bold"))
        error = before.expected_calibration_error, after.expected_calibration_error
        table.add_row(f"  expected {CALIBRATION_ERROR.label}", *_pair(CALIBRATION_ERROR, *error))
        table.add_row(f"  {LOG_LOSS.label}", *_pair(LOG_LOSS, before.log_loss, after.log_loss))
        table.add_row(f"  {ACCURACY.label}", ACCURACY.text(before.accuracy), ACCURACY.text(after.accuracy))
    console.print(table)


def _pair(metric: Metric, before: float, after: float) -> tuple[str, Text]:
    """Both values, the second one green where it is better and red where it is worse."""
    style = "" if before == after else "green" if metric.best((before, after)) == after else "red"
    return metric.text(before), Text(metric.text(after), style=style)
