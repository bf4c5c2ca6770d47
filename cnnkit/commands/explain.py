"""`cnnkit explain`: why a network predicts what it does for one example."""

from pathlib import Path
from typing import Annotated

import typer

from cnnkit.commands.options import AsJson
from cnnkit.console.text import print_json


def explain(
    run: Annotated[Path, typer.Argument(help="A run, or a .keras file.", metavar="RUN")],
    image: Annotated[Path | None, typer.Argument(help="A picture; an example of the test set where left out.", metavar="[IMAGE]")] = None,
    index: Annotated[int | None, typer.Option("--index", help="Which example of the test set, from 0.", min=0)] = None,
    name: Annotated[
        str | None, typer.Option("--class", help="The class, label or number to explain; the likeliest where left out.")
    ] = None,
    layer: Annotated[str | None, typer.Option("--layer", help="Look at this layer; the last convolution's maps where left out.")] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The folder to write to; RUN/explain/NAME where left out.", metavar="DIR")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Draw heatmaps and feature maps of one prediction.

    They show what each convolution responds to in a picture or signal, and which places speak for the answer.
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
