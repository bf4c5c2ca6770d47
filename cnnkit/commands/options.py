"""Shared by commands: command-line options, and functions that load and build a config."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cnnkit.commands.completion import complete_config

if TYPE_CHECKING:
    from cnnkit.data.binding import BoundConfig

Configs = Annotated[
    list[Path],
    typer.Argument(
        help="Config files, or names of packaged ones; later ones override earlier ones.",
        metavar="CONFIG...",
        autocompletion=complete_config,
    ),
]
Set = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override an entry, such as train.epochs=3. May be repeated.")
]
RunDir = Annotated[Path | None, typer.Option("--run-dir", help="The run's folder (default: runs/NAME).", metavar="DIR")]
ResumeOrStart = Annotated[
    bool,
    typer.Option("--resume-or-start", help="Start the run in its folder, or resume it there: for schedulers that restart a command."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


def load_config(configs: list[Path], overrides: list[str] | None) -> "BoundConfig":
    """Load and check the config from files and overrides, and open its data."""
    from cnnkit.data.binding import load

    return load(configs, overrides or [])


def build_model(loaded: "BoundConfig") -> Any:
    """Build and compile the network of a config."""
    from cnnkit.model.compile import build_and_compile

    return build_and_compile(loaded)
