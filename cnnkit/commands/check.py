"""`cnnkit check`: list every error of a config."""

from cnnkit.commands.options import Configs, Set, load_config
from cnnkit.console.text import print_line, print_notice


def check(configs: Configs, overrides: Set = None) -> None:
    """List every error of a config, by line."""
    loaded = load_config(configs, overrides)
    from cnnkit.experiments.check_config import check_config

    checked = check_config(loaded)
    for notice in checked.notices:
        print_notice(notice)
    print_line(f"{', '.join(map(str, configs))}: good. {checked.layers} layers, {checked.parameters:,} parameters.")
