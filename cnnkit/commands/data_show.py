"""`cnnkit data show`: plot training examples as the network receives them."""

from pathlib import Path
from typing import Annotated

import typer

from cnnkit.commands.options import Configs, Set, load_config
from cnnkit.console.text import print_line


def data_show(
    configs: Configs,
    output: Annotated[Path, typer.Option("--output", "-o", help="The PNG to write.", metavar="PNG")] = Path("examples.png"),
    count: Annotated[int, typer.Option("--count", help="How many examples.", min=1, max=64)] = 16,
    overrides: Set = None,
) -> None:
    """Plot training examples as the network receives them.

    Each without and with augmentation.
    """
    loaded = load_config(configs, overrides)
    import tempfile

    from cnnkit.plots.contact_sheet import draw_contact_sheet

    with tempfile.TemporaryDirectory(prefix="cnnkit-") as scratch:
        draw_contact_sheet(loaded, output, count, Path(scratch))
    print_line(f"Wrote {output}.")
