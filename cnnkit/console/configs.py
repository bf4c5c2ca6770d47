"""The packaged configs as a list."""

from collections.abc import Mapping

from cnnkit.console.text import escape_markup, new_table, output


def print_configs(descriptions: Mapping[str, str]) -> None:
    """Print the packaged configs with the first line of each."""
    table = new_table("config", "what it trains", left=2)
    table.columns[0].style = "bold"
    for name, description in descriptions.items():
        table.add_row(escape_markup(name), escape_markup(description))
    output().print(table)
