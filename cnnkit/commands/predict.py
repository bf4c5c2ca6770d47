"""`cnnkit predict`."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from cnnkit.commands.options import WithTta
from cnnkit.console.predictions import Tally, print_lines, print_tables
from cnnkit.console.progress import counting
from cnnkit.console.text import print_error, print_notice
from cnnkit.prediction.tta import OF_NUMBERS, describe_tta


def predict(
    arguments: Annotated[
        list[str],
        typer.Argument(
            help="Images, folders, patterns, CSV, npz or npy files, or - for paths on standard input; before them a run or a model "
            "file of any format (default: the newest run).",
            metavar="[RUN|MODEL] INPUT...",
        ),
    ],
    top: Annotated[int, typer.Option("--top", help="Number of classes for each input, the most probable first.", min=1)] = 3,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write a .csv or .jsonl file, a row per input.", metavar="FILE")
    ] = None,
    column: Annotated[str | None, typer.Option("--column", help="The CSV column of paths, or the npz array.", metavar="NAME")] = None,
    tta: WithTta = None,
) -> None:
    """Predict images, tables or arrays with a trained model.

    Exit status 1 when some inputs could not be read.
    """
    from cnnkit.prediction.files import check_output, write_predictions
    from cnnkit.prediction.inputs import find_inputs
    from cnnkit.prediction.predict import Predictor, split_arguments
    from cnnkit.prediction.predict import predict as predictions_of

    model, names = split_arguments(arguments)
    inputs = find_inputs(names, column, sys.stdin.buffer)
    if output is not None:
        check_output(output)
    predictor = Predictor(model, top, tta=tta)
    task = predictor.metadata.task
    if predictor.note:
        print_notice(predictor.note, title="A stand-in for the data")
    if predictor.opened.unknown:
        print_notice(predictor.opened.unknown, title="Not known")
    if predictor.opened.stale:
        print_notice(predictor.opened.stale, title="Not the model beside it")
    if tta is not None:
        further = f" {OF_NUMBERS}" if task.is_regression else ""
        print_notice(f"Each prediction is the {describe_tta(tta)} of an image.{further}", title="Test-time augmentation")
    with counting("inputs", "predicting") as on_progress:
        tally = Tally(predictions_of(predictor, inputs, on_progress), task)
        if output is not None:
            write_predictions(output, tally, task, predictor.top, predictor.note, tta)
        else:
            print_lines(tally, task)
    print_tables(tally, task, output)
    if tally.errors:
        print_error(f"{tally.errors:,} of {tally.count:,} inputs could not be read: the reason is in their rows.")
        raise typer.Exit(1)
