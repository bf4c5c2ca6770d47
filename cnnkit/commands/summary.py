"""`cnnkit summary`: the layers, shapes and parameters of a config, a run or a model file."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cnnkit.commands.completion import complete_config_or_run
from cnnkit.commands.options import AsJson, Set, build_model, load_config, print_schedules
from cnnkit.console.text import output, print_json
from cnnkit.errors import CnnkitError

if TYPE_CHECKING:
    from cnnkit.data.binding import BoundConfig


def summary(
    source: Annotated[
        Path | None,
        typer.Argument(
            help="A config, a run or a .keras file (default: the packaged cifar.yaml).",
            metavar="[CONFIG|RUN|MODEL]",
            autocompletion=complete_config_or_run,
        ),
    ] = None,
    explain: Annotated[bool, typer.Option("--explain", help="Explain how each shape and parameter count is computed.")] = False,
    base: Annotated[str | None, typer.Option("--base", help="Show the packaged transfer network on this base.")] = None,
    as_json: AsJson = False,
    overrides: Set = None,
) -> None:
    """Show a network's layers, shapes and parameters."""
    from cnnkit.console.summary import render_summary
    from cnnkit.model.summary.summarize import summarize

    model, preprocess, config = _model_of(source, base, overrides)
    result = summarize(model, preprocess=preprocess)
    if as_json:
        print_json(result.as_dict())
    else:
        render_summary(result, output(), explain=explain)
        if config is not None:
            print_schedules(config)


def _model_of(source: Path | None, base: str | None, overrides: list[str] | None) -> "tuple[Any, tuple[str, ...], BoundConfig | None]":
    """The model of a config, a run or a model file; of a config also the names of its preprocessing layers, and the config."""
    if base is not None:
        from cnnkit.data.binding import bind
        from cnnkit.training.transfer_config import load_transfer

        loaded = bind(load_transfer([source] if source else [], base, overrides or []))
        network = build_model(loaded)
        return network.model, network.preprocess, loaded
    from cnnkit.config.packaged import is_packaged_name, packaged_config
    from cnnkit.runs.directory import find_run

    if source is None or source.suffix in (".yaml", ".yml") or is_packaged_name(source):
        loaded = load_config([source or packaged_config("cifar")], overrides)
        network = build_model(loaded)
        return network.model, network.preprocess, loaded
    if overrides:
        raise CnnkitError(f"{source}: a trained model cannot be changed with --set", "Name a config instead.")
    path = source if source.suffix == ".keras" else find_run(source).model
    from cnnkit.model.loading.load import load_model

    return load_model(path), (), None
