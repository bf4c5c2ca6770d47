"""`cnnkit init`: write a config for the user's own data."""

from pathlib import Path
from typing import Annotated

import typer

from cnnkit.console.text import print_line


def init(
    path: Annotated[Path, typer.Argument(help="A folder of images, a CSV, an npz or an npy file.", metavar="PATH")],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="The config to write (default: NAME.yaml).", metavar="FILE")] = None,
    transfer: Annotated[bool, typer.Option("--transfer", help="Use a pretrained base.")] = False,
    target: Annotated[
        list[str] | None, typer.Option("--target", help="What to predict: a CSV column (or several) or an npz array.", metavar="NAME")
    ] = None,
    group: Annotated[
        str | None, typer.Option("--group", help="The column or array of groups; no group is divided between splits.", metavar="NAME")
    ] = None,
) -> None:
    """Write a config for your own data that trains at once."""
    from cnnkit.experiments.starter_config import write_init

    named = {"target": target[0] if target and len(target) == 1 else target, "group": group}
    written, summary = write_init(path, output, transfer=transfer, overrides={key: value for key, value in named.items() if value})
    print_line(
        f"{summary.count:,} examples of {summary.spec.input_shape}, {summary.spec.task.kind}: {', '.join(summary.spec.task.names[:12])}"
    )
    if summary.spec.interpretation:
        print_line(summary.spec.interpretation)
    print_line(f"Wrote {written}. Train it: cnnkit train {written}")
