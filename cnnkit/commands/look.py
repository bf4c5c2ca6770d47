"""`cnnkit probe`, `cnnkit report` and `cnnkit explain`: what a trained network withstands and looks at, and all of a run in one page."""

from pathlib import Path
from typing import Annotated

import typer

from cnnkit.commands.options import AsJson, import_tensorflow
from cnnkit.console.text import print_json, print_line


def probe(
    run: Annotated[Path | None, typer.Argument(help="A run; the newest where left out.", metavar="[RUN]")] = None,
    against: Annotated[
        list[Path] | None, typer.Option("--against", help="Another run, on the same plot. May be repeated.", metavar="RUN")
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option("--only", help="Only this corruption, such as shift. May be repeated.", metavar="NAME")
    ] = None,
    limit: Annotated[int | None, typer.Option("--limit", help="Draw this many of the test examples.", min=1)] = None,
    as_json: AsJson = False,
) -> None:
    """Measure how good a run stays as its test examples are moved, turned, lit, blurred and noised."""
    import_tensorflow()
    from cnnkit.console.probe import print_probes
    from cnnkit.console.progress import counting
    from cnnkit.robustness.probe import probe_runs

    with counting("disturbed examples") as on_progress:
        probes, picture = probe_runs(run, against or [], only=only or [], limit=limit, on_progress=on_progress)
    if as_json:
        print_json([each.as_dict() for each in probes])
        return
    print_probes(probes)
    print_line(f"Picture: {picture}")


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
    """Draw what each convolution sees in a picture or signal, and which places speak for the answer."""
    if image is not None and index is not None:
        raise typer.BadParameter("name an image or --index, not both")
    import_tensorflow()
    from cnnkit.console.explain import print_explanation
    from cnnkit.interpret.explain import explain_run

    result = explain_run(run, image, index, output=output, name=name, layer=layer)
    if as_json:
        print_json(result.as_dict())
        return
    print_explanation(result)


def report(
    run: Annotated[Path | None, typer.Argument(help="A run; the newest where left out.", metavar="[RUN]")] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="The file; report.html in the run where left out.")] = None,
) -> None:
    """Write all that is known of a run into one HTML file: figures, curves, examples with heat maps, network, config."""
    import_tensorflow()
    from cnnkit.report.report import write_report

    print_line(f"Report: {write_report(run, output)}")
