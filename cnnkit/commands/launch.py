"""`cnnkit launch`: several workers of one training on this machine, restarted when one dies."""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cnnkit.commands import train, transfer
from cnnkit.commands.several_runs import refuse_several_runs
from cnnkit.console.launch import LaunchDisplay

if TYPE_CHECKING:
    from cnnkit.config.load import LoadedConfig


@dataclass(frozen=True)
class _Launchable:
    """A command that trains on several workers: its function, and the one that loads its config from the same arguments."""

    function: Callable[..., None]
    load: Callable[[Mapping[str, Any]], "LoadedConfig"]


def _load_train(given: Mapping[str, Any]) -> "LoadedConfig":
    return train.load_train(given["configs"], given["overrides"] or [], given["epochs"])


def _load_transfer(given: Mapping[str, Any]) -> "LoadedConfig":
    phases = {name: given[name] for name in ("epochs", "fine_tune", "fine_tune_epochs")}
    return transfer.load_transfer_run(given["config"], given["base"], **phases, overrides=given["overrides"] or [])


_COMMANDS = {"train": _Launchable(train.train, _load_train), "transfer": _Launchable(transfer.transfer, _load_transfer)}


def launch(
    command: Annotated[list[str], typer.Argument(help="`train` or `transfer` with its arguments, after `--`.", metavar="COMMAND")],
    workers: Annotated[int, typer.Option("--workers", help="Number of worker processes, which share cores and GPUs.", min=1, max=1024)],
    max_restarts: Annotated[int, typer.Option("--max-restarts", help="How often all workers are restarted after one has died.", min=0)] = 3,
    port: Annotated[
        int | None, typer.Option("--port", help="Port of the first worker; the others follow (default: free ones).", min=1, max=65535)
    ] = None,
) -> None:
    """Train with several workers, restarted when one dies.

    The workers are processes on this machine, which train one network together.

    Example: cnnkit launch --workers 2 -- train CONFIG. A line that begins with [0] comes from worker 0.
    """
    if port is not None and port + workers - 1 > 65535:
        raise typer.BadParameter(f"{workers} ports from {port} on would go beyond 65535", param_hint="--port")
    arguments, folder = _prepared_command(command, workers)
    from cnnkit.launch.launcher import Limits
    from cnnkit.launch.launcher import launch as launch_workers

    display = LaunchDisplay(workers, f"cnnkit launch --workers {workers} -- train --resume {folder}")
    program = [sys.executable, "-m", "cnnkit", *arguments]
    raise typer.Exit(launch_workers(program, workers, display, Limits(max_restarts), port, display.columns))


def _prepared_command(command: Sequence[str], workers: int) -> tuple[list[str], Path]:
    """The command that every worker gets at every start, and the run's folder: it resumes the run where there is one.

    Its arguments and its config are checked, so that what is wrong with them is printed once and not by every worker.

    Raises:
        typer.BadParameter: The command trains nothing, or several runs.
        CnnkitError: The config is wrong, its batches are smaller than the number of workers, or the folder is in use.
    """
    name, *arguments = command
    if name not in _COMMANDS:
        raise typer.BadParameter(f"'{name}' does not train on several workers; train and transfer do", param_hint="COMMAND")
    given = _parsed(name, arguments)
    refuse_several_runs(given, "launch trains one")
    if given.get("resume") is not None:
        return [name, *arguments], given["resume"]
    if name == "train" and not given["configs"]:
        raise typer.BadParameter("name a config to train, or a run to --resume", param_hint="CONFIG")
    from cnnkit.errors import Fault, count
    from cnnkit.runs.create import unused_run_path
    from cnnkit.runs.names import RUNS

    loaded = _COMMANDS[name].load(given)
    if loaded.config.data.batch_size < workers:
        message = f"a batch of {count(loaded.config.data.batch_size, 'example')} cannot be divided among {workers} workers"
        raise loaded.config_error([Fault(("data", "batch_size"), message, "Raise it, or launch fewer workers.")])
    folder: Path | None = given["run_dir"]
    if given["resume_or_start"]:
        return [name, *arguments], folder or RUNS / loaded.config.name
    path = unused_run_path(loaded.config.name, folder)
    named = [] if folder is not None else ["--run-dir", str(path)]
    return [name, *arguments, *named, "--resume-or-start"], path


def _parsed(name: str, arguments: Sequence[str]) -> dict[str, Any]:
    """The values of a command's parameters; wrong usage ends the process as it does in that command."""
    app = typer.Typer(rich_markup_mode=None, add_completion=False, context_settings={"help_option_names": ["-h", "--help"]})
    app.command(name)(_COMMANDS[name].function)
    with typer.main.get_command(app).make_context(f"cnnkit {name}", list(arguments)) as context:
        return dict(context.params)
