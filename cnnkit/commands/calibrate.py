"""`cnnkit calibrate`."""

from pathlib import Path
from typing import Annotated

import typer

from cnnkit.commands.completion import complete_run
from cnnkit.commands.options import AsJson
from cnnkit.console.calibration import print_calibration
from cnnkit.console.text import print_json, print_line, print_notice
from cnnkit.errors import named


def calibrate(
    run: Annotated[
        Path | None, typer.Argument(help="A run's folder or name (default: the newest run).", metavar="[RUN]", autocompletion=complete_run)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Calibrate a run's probabilities by temperature scaling.

    The temperature is fitted on the validation set and written into the model.
    """
    from cnnkit.artifacts.origin import exports_beside
    from cnnkit.prediction.calibrate import calibrate_run
    from cnnkit.runs.directory import find_run

    directory = find_run(run)
    calibration = calibrate_run(directory.path)
    if exported := exports_beside(directory.model):
        files = named(str(each.relative_to(directory.path)) for each in exported)
        print_notice(f"Exported before, without this temperature: {files}. Export again what is used.", title="Exported files")
    if as_json:
        print_json(calibration.as_dict())
        return
    print_calibration(calibration)
    print_line("The model's probabilities are now calibrated; its predicted classes are the same.")
    print_line(f"Written: {directory.model}")
