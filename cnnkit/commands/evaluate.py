"""`cnnkit evaluate`: evaluate a model on its test set, or on other data."""

from pathlib import Path
from typing import Annotated

import typer

from cnnkit.commands.completion import complete_run
from cnnkit.commands.options import AsJson, Set, WithTta
from cnnkit.console.evaluation import print_evaluation
from cnnkit.console.text import print_json, print_line


def evaluate(
    run_or_model: Annotated[
        Path | None,
        typer.Argument(
            help="A run or a model file of any format (default: the newest run).", metavar="[RUN|MODEL]", autocompletion=complete_run
        ),
    ] = None,
    config: Annotated[Path | None, typer.Option("--config", help="The config that names the data, for a model file outside a run.")] = None,
    data: Annotated[
        Path | None,
        typer.Option("--data", help="Other data: a folder, CSV, npz or npy file, or a config. All its examples are evaluated."),
    ] = None,
    tta: WithTta = None,
    as_json: AsJson = False,
    overrides: Set = None,
) -> None:
    """Evaluate a model on its test set, or on other data."""
    from cnnkit.prediction.evaluate_run import evaluate_run

    evaluation, plots = evaluate_run(run_or_model, config, overrides or [], data, tta)
    if as_json:
        print_json(evaluation.as_dict())
        return
    print_evaluation(evaluation)
    if plots:
        print_line(f"Plots: {', '.join(map(str, plots))}")
