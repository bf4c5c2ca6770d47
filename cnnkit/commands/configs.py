"""`cnnkit configs` and `cnnkit schema`: the packaged configs, and what editors check configs by."""

from pathlib import Path
from typing import Annotated

import typer

from cnnkit.console.configs import print_configs
from cnnkit.console.text import print_json, print_line


def configs(
    name: Annotated[str | None, typer.Argument(help="The config to copy out; all are listed where left out.", metavar="[NAME]")] = None,
    destination: Annotated[Path | None, typer.Argument(help="Where to copy it; ./NAME.yaml where left out.", metavar="[FILE]")] = None,
) -> None:
    """List the packaged configs, or copy one out."""
    from cnnkit.config.packaged import copy_config, descriptions

    if name is None:
        print_configs(descriptions())
        return
    written = copy_config(name, destination)
    print_line(f"Wrote {written}. Train it: cnnkit train {written}")


def schema(
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write to a file instead of standard output.")] = None,
) -> None:
    """Write the JSON Schema that editors check configs by."""
    from cnnkit.config.json_schema import json_schema

    if output is None:
        print_json(json_schema())
        return
    from cnnkit.io.atomic import write_json

    write_json(output, json_schema())
    print_line(f"Wrote {output}.")
