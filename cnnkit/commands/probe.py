"""`cnnkit probe`: evaluate a trained network on corrupted inputs."""

from pathlib import Path
from typing import Annotated

import typer

from cnnkit.commands.completion import complete_run
from cnnkit.commands.options import AsJson
from cnnkit.console.text import print_json, print_line


def probe(
    run: Annotated[
        Path | None,
        typer.Argument(help="A run, or a model file in one (default: the newest run).", metavar="[RUN]", autocompletion=complete_run),
    ] = None,
    against: Annotated[
        list[Path] | None, typer.Option("--against", help="Another run or model file, on the same plot. May be repeated.", metavar="RUN")
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option("--only", help="Only this corruption, such as shift. May be repeated.", metavar="NAME")
    ] = None,
    limit: Annotated[int | None, typer.Option("--limit", help="Use a random sample of this many test examples.", min=1)] = None,
    as_json: AsJson = False,
) -> None:
    """Evaluate a run on corrupted test examples.

    Shift, rotation, scale, brightness, contrast, blur and noise, each at rising strength.
    """
    from cnnkit.console.probe import print_probes
    from cnnkit.console.progress import counting
    from cnnkit.robustness.probe import probe_runs

    with counting("corrupted examples", "predicting") as on_progress:
        probes, plot_path = probe_runs(run, against or [], only=only or [], limit=limit, on_progress=on_progress)
    if as_json:
        print_json([each.as_dict() for each in probes])
        return
    print_probes(probes)
    print_line(f"Plot: {plot_path}")
