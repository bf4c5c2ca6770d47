"""`cnnkit init`: write a config for the user's own data."""

from pathlib import Path
from typing import Annotated

import typer


def init(
    path: Annotated[Path, typer.Argument(help="A folder of images, a CSV, an npz or an npy file.", metavar="PATH")],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="The config to write (default: NAME.yaml).", metavar="FILE")] = None,
    transfer: Annotated[
        bool, typer.Option("--transfer", help="Use a pretrained base, with image size, head and flips measured on a sample (a minute).")
    ] = False,
    no_measure: Annotated[bool, typer.Option("--no-measure", help="With --transfer: take defaults instead of measuring.")] = False,
    download: Annotated[bool, typer.Option("--download", help="With --transfer: let Keras download the base's weights.")] = False,
    time: Annotated[
        str | None, typer.Option("--time", help="How long training may take on this machine: 10m, 90s, 1h30m.", metavar="TIME")
    ] = None,
    target: Annotated[
        list[str] | None, typer.Option("--target", help="What to predict: a CSV column (or several) or an npz array.", metavar="NAME")
    ] = None,
    group: Annotated[
        str | None,
        typer.Option("--group", help="The column or array of groups, never divided between splits.", metavar="NAME"),
    ] = None,
) -> None:
    """Write a config for your own data that trains at once."""
    if no_measure and time is not None:
        raise typer.BadParameter("does not go with --time, which is a matter of measuring", param_hint="--no-measure")
    if download and not transfer:
        raise typer.BadParameter("goes with --transfer", param_hint="--download")
    from cnnkit.console.progress import counting
    from cnnkit.console.starter import print_starter
    from cnnkit.experiments.starter.time_budget import parse_time
    from cnnkit.experiments.starter.write import Options, write_starter

    named = {"target": target[0] if target and len(target) == 1 else target, "group": group}
    options = Options(
        transfer=transfer,
        measures=not no_measure,
        downloads=download,
        budget=None if time is None else parse_time(time),
        data={key: value for key, value in named.items() if value},
    )
    print_starter(write_starter(path, output, options, lambda: counting("examples", "measuring")))
