"""What commands share: options of the command line, and a config loaded and built."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from cnnkit.data.binding import BoundConfig

Configs = Annotated[list[Path], typer.Argument(help="Config files; later ones win.", metavar="CONFIG...")]
Set = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override an entry, such as train.epochs=3. May be repeated.")
]
RunDir = Annotated[Path | None, typer.Option("--run-dir", help="The run's folder; runs/NAME where left out.", metavar="DIR")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


def load_config(configs: list[Path], overrides: list[str] | None) -> "BoundConfig":
    """The config of some files and overrides, checked, with its data opened."""
    from cnnkit.data.binding import load

    return load(configs, overrides or [])


def build_model(loaded: "BoundConfig") -> Any:
    """The network of a config, compiled, with what is known of how it was built."""
    from cnnkit.model.compile import build_and_compile

    return build_and_compile(loaded)
