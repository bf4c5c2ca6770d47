"""`cnnkit explain`: heatmap and feature maps for the prediction of one example."""

from pathlib import Path
from typing import Annotated

import typer

from cnnkit.commands.completion import complete_run
from cnnkit.commands.options import AsJson
from cnnkit.console.text import print_json


def explain(
    run: Annotated[Path, typer.Argument(help="A run, or a .keras file.", metavar="RUN", autocompletion=complete_run)],
    image: Annotated[Path | None, typer.Argument(help="An image (default: an example of the test set).", metavar="[IMAGE]")] = None,
    index: Annotated[int | None, typer.Option("--index", help="Index of an example of the test set, from 0.", min=0)] = None,
    name: Annotated[str | None, typer.Option("--class", help="The class, label or number to explain (default: the most probable).")] = None,
    layer: Annotated[
        str | None, typer.Option("--layer", help="The layer that the heatmap is computed from (default: the last convolution).")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The folder to write to (default: RUN/explain/NAME).", metavar="DIR")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Draw heatmaps and feature maps of one prediction.

    They show what each convolution responds to in an image or signal, and which positions support the prediction.
    """
    if image is not None and index is not None:
        raise typer.BadParameter("name an image or --index, not both")
    from cnnkit.console.explain import print_explanation
    from cnnkit.interpret.explain import explain_run

    result = explain_run(run, image, index, output=output, name=name, layer=layer)
    if as_json:
        print_json(result.as_dict())
        return
    print_explanation(result)
