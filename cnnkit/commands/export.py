"""`cnnkit export`: a trained model as a file for other runtimes, compared with the Keras model before it is kept."""

from pathlib import Path
from typing import Annotated

import typer

from cnnkit.console.export import print_exported, print_exported_table
from cnnkit.console.text import print_json


def export(
    what: Annotated[
        Path | None, typer.Argument(help="A run or a .keras file; the newest run where left out.", metavar="[RUN|MODEL]")
    ] = None,
    formats: Annotated[
        list[str] | None,
        typer.Option("--format", "-f", help="onnx, litert, saved_model or openvino; may be repeated.", metavar="FORMAT"),
    ] = None,
    quantize: Annotated[str, typer.Option("--quantize", help="int8 or float16; float32 where left out.", metavar="KIND")] = "",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The file, or a folder; beside the model where left out.", metavar="PATH")
    ] = None,
    config: Annotated[
        Path | None, typer.Option("--config", help="The config that names the data, for a .keras file outside a run.")
    ] = None,
    tolerance: Annotated[
        float | None,
        typer.Option("--tolerance", help="Difference of outputs allowed (1e-4), or of the metric after quantization (0.01).", min=0.0),
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Leave a file that does not answer as the Keras model does.")] = False,
    layout: Annotated[str, typer.Option("--layout", help="triton: an ONNX model in a Triton repository.", metavar="NAME")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Export a model to ONNX, LiteRT, OpenVINO or SavedModel.

    Each file is run with its own runtime on test examples and compared with the Keras model before it is kept.
    """
    from cnnkit.artifacts.formats import EXPORTED, format_named
    from cnnkit.errors import CnnkitError

    names = [name for each in formats or [] for name in each.split(",") if name]
    if not names:
        raise CnnkitError("no --format is named", f"There are: {', '.join(EXPORTED)}.")
    from cnnkit.export.export import export_model

    results = export_model(
        what,
        [format_named(name) for name in dict.fromkeys(names)],
        quantize,
        output=output,
        config=config,
        tolerance=tolerance,
        keep=keep,
        layout=layout,
    )
    if as_json:
        print_json([each.as_dict() for each in results])
        return
    print_exported_table(results)
    for each in results:
        print_exported(each)
