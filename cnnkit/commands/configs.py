"""`cnnkit configs`: the packaged configs."""

from pathlib import Path
from typing import Annotated

import typer

from cnnkit.console.configs import print_configs
from cnnkit.console.text import print_line


def configs(
    name: Annotated[str | None, typer.Argument(help="The config to copy; without a name, all are listed.", metavar="[NAME]")] = None,
    destination: Annotated[Path | None, typer.Argument(help="Where to copy it (default: ./NAME.yaml).", metavar="[FILE]")] = None,
) -> None:
    """List the packaged configs, or copy one."""
    from cnnkit.config.packaged import copy_config, packaged_configs

    if name is None:
        print_configs(packaged_configs())
        return
    written = copy_config(name, destination)
    print_line(f"Wrote {written}. Train it: cnnkit train {written}")
