"""The packaged configs as a list."""

from collections.abc import Mapping

from rich import box
from rich.table import Table

from cnnkit.console.text import output, safe


def print_configs(descriptions: Mapping[str, str]) -> None:
    """The packaged configs with their first words."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("config", style="bold")
    table.add_column("what it trains")
    for name, description in descriptions.items():
        table.add_row(safe(name), safe(description))
    output().print(table)
