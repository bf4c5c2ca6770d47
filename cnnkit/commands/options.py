"""Shared by commands: command-line options, and functions that load and build a config."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cnnkit.commands.completion import complete_config
from cnnkit.prediction.tta import Tta

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
Storage = Annotated[
    str | None,
    typer.Option(
        "--storage",
        help="postgresql://user@host/database, for several machines.",
        metavar="URL",
        envvar="CNNKIT_STORAGE",
        show_envvar=True,
    ),
]
ResumeOrStart = Annotated[
    bool,
    typer.Option("--resume-or-start", help="Start the run in its folder, or resume it there: for schedulers that restart a command."),
]
WithTta = Annotated[
    Tta | None,
    typer.Option("--tta", help="Average over views of each image: flip (with its mirror image), shift (also moved by a pixel; 6 views)."),
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


def print_schedules(loaded: "BoundConfig") -> None:
    """Print the numbers of steps that a config's learning-rate schedules name as shares of `total_steps`, where the data can be read."""
    from cnnkit.console.text import print_line, print_notice
    from cnnkit.console.training import schedule_lines
    from cnnkit.errors import CnnkitError, ConfigError
    from cnnkit.training.phase_schedules import schedules_of

    try:
        schedules = schedules_of(loaded)
    except ConfigError:
        raise
    except CnnkitError as error:
        print_notice(f"The number of steps is not known, because the data cannot be read: {error}")
        return
    for line in schedule_lines(schedules):
        print_line(line)
