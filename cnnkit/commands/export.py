"""`cnnkit export`: a trained model as a file for other runtimes, compared with the Keras model before it is kept."""

from pathlib import Path
from typing import Annotated

import typer

from cnnkit.commands.completion import complete_run
from cnnkit.commands.options import AsJson

Source = Annotated[
    Path | None,
    typer.Argument(help="A run or a .keras file (default: the newest run).", metavar="[RUN|MODEL]", autocompletion=complete_run),
]


def export(
    what: Source = None,
    formats: Annotated[
        list[str] | None,
        typer.Option("--format", "-f", help="onnx, litert, saved_model or openvino. May be repeated.", metavar="FORMAT"),
    ] = None,
    quantize: Annotated[str, typer.Option("--quantize", help="int8 or float16 (default: float32).", metavar="KIND")] = "",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The file, or a folder (default: beside the model).", metavar="PATH")
    ] = None,
    config: Annotated[
        Path | None, typer.Option("--config", help="The config that names the data, for a .keras file outside a run.")
    ] = None,
    tolerance: Annotated[
        float | None,
        typer.Option("--tolerance", help="Allowed difference of outputs (1e-4); of the metric after quantization (0.01).", min=0.0),
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Leave a file that failed the comparison.")] = False,
    layout: Annotated[str, typer.Option("--layout", help="triton: a model repository for Triton.", metavar="NAME")] = "",
    as_json: AsJson = False,
) -> None:
    """Export a model to ONNX, LiteRT, OpenVINO or SavedModel.

    Each file is run with its own runtime on test examples and compared with the Keras model before it is kept.
    """
    from cnnkit.artifacts.formats import EXPORTED, format_named
    from cnnkit.errors import CnnkitError

    names = [name for each in formats or [] for name in each.split(",") if name]
    if not names:
        raise CnnkitError("no --format is named", f"There are: {', '.join(EXPORTED)}.")
    wanted = [format_named(name) for name in dict.fromkeys(names)]
    from cnnkit.console.export import print_export
    from cnnkit.console.progress import counting
    from cnnkit.console.text import print_json
    from cnnkit.export.export import export_model

    with counting("formats", "exporting") as on_export:
        result = export_model(
            what, wanted, quantize, output=output, config=config, tolerance=tolerance, keep=keep, layout=layout, on_export=on_export
        )
    if as_json:
        print_json([each.as_dict() for each in result.results])
    else:
        print_export(result)
    result.raise_failures()
