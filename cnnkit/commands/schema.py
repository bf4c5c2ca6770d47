"""`cnnkit schema`: the JSON Schema that editors check configs by."""

from pathlib import Path
from typing import Annotated

import typer

from cnnkit.console.text import print_json, print_line


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
