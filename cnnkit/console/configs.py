"""The packaged configs as a list."""

from collections.abc import Sequence

from rich.text import Text

from cnnkit.config.measured import Measured
from cnnkit.config.packaged import PackagedConfig
from cnnkit.console.text import duration_text, new_table, output


def print_configs(configs: Sequence[PackagedConfig]) -> None:
    """Print the packaged configs: what each trains, and below it what was measured."""
    table = new_table("config", "what it trains, and what it reached", left=2)
    table.columns[0].style = "bold"
    for config in configs:
        described = Text(config.description)
        if config.measured is not None:
            described.append(f"\n{_measured_text(config.measured)}", style="dim")
        table.add_row(Text(config.name), described)
    output().print(table)


def _measured_text(measured: Measured) -> str:
    value = f"{measured.metric} {measured.value:.3f} ± {measured.spread:.3f}"
    return f"{measured.task}, {value}, {duration_text(measured.seconds)}, {measured.parameters:,} parameters"
