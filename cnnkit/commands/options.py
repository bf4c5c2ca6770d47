"""What commands share: options of the command line, a config loaded and built, TensorFlow imported quietly."""

import os
import sys
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
    import_tensorflow()
    from cnnkit.model.compile import build_and_compile

    return build_and_compile(loaded)


def import_tensorflow() -> None:
    """Import TensorFlow without the lines that its C++ side writes to standard error; a failing import still speaks."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if "tensorflow" in sys.modules:
        return
    sys.stderr.flush()
    kept = os.dup(2)
    muted = os.open(os.devnull, os.O_WRONLY)
    os.dup2(muted, 2)
    try:
        import keras  # noqa: F401
        import tensorflow  # noqa: F401
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(muted)
