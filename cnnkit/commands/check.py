"""`cnnkit check`: list every error of a config."""

from pathlib import Path
from typing import Annotated

import typer

from cnnkit.commands.options import Configs, Set, print_schedules
from cnnkit.console.text import print_error, print_line, print_notice
from cnnkit.errors import CnnkitError


def check(
    configs: Configs,
    overrides: Set = None,
    each: Annotated[bool, typer.Option("--each", help="Check each file by itself, in place of the files merged into one config.")] = False,
    without_data: Annotated[
        bool, typer.Option("--without-data", help="Check what can be known without the data and TensorFlow, as in a commit hook.")
    ] = False,
) -> None:
    """List every error of a config, by line."""
    check_one = _check_without_data if without_data else _check_with_data
    if not each:
        check_one(configs, overrides)
        return
    failed = False
    for config in configs:
        try:
            check_one([config], overrides)
        except CnnkitError as error:
            print_error(str(error))
            failed = True
    if failed:
        raise typer.Exit(1)


def _check_with_data(configs: list[Path], overrides: list[str] | None) -> None:
    from cnnkit.config.sweep_space import load_config_with_sweep
    from cnnkit.data.binding import bind

    loaded = bind(load_config_with_sweep(configs, overrides or []))
    from cnnkit.experiments.check_config import check_config

    checked = check_config(loaded)
    for notice in checked.notices:
        print_notice(notice)
    print_schedules(loaded)
    print_line(f"{_named(configs)}: good. {checked.layers} layers, {checked.parameters:,} parameters.")


def _check_without_data(configs: list[Path], overrides: list[str] | None) -> None:
    from cnnkit.config.sweep_space import load_config_with_sweep

    load_config_with_sweep(configs, overrides or [])
    print_line(f"{_named(configs)}: good, as far as can be known without its data.")


def _named(configs: list[Path]) -> str:
    return ", ".join(map(str, configs))
