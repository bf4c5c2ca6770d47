"""`cnnkit train`: train the network of a config, or resume an interrupted run."""

from pathlib import Path
from typing import Annotated

import typer

from cnnkit.commands.options import RunDir, Set
from cnnkit.commands.training_run import train_and_print, write_missing_and_print
from cnnkit.console.text import print_line, print_notice
from cnnkit.errors import CnnkitError


def train(
    configs: Annotated[
        list[Path] | None, typer.Argument(help="Config files; later ones override earlier ones.", metavar="[CONFIG...]")
    ] = None,
    overrides: Set = None,
    run_dir: RunDir = None,
    resume: Annotated[
        Path | None, typer.Option("--resume", help="Resume an interrupted run exactly where it stopped.", metavar="RUN")
    ] = None,
    epochs: Annotated[int | None, typer.Option("--epochs", help="Total number of epochs, in place of the config's.", min=1)] = None,
    force: Annotated[bool, typer.Option("--force", help="Resume although the config or the data has changed.")] = False,
) -> None:
    """Train the network of a config, or resume an interrupted run."""
    if resume is not None:
        _resume(resume, configs or [], overrides, epochs, force=force)
    if not configs:
        raise typer.BadParameter("name a config to train, or a run to --resume", param_hint="CONFIG")
    if force:
        raise typer.BadParameter("goes with --resume", param_hint="--force")
    for path in configs:
        if path.is_dir():
            raise CnnkitError(f"{path}: is a folder, not a config", f"Resume a run: `cnnkit train --resume {path}`.")
    from cnnkit.config.load import load_config, with_epochs
    from cnnkit.data.binding import bind

    loaded = load_config(configs, overrides or [])
    train_and_print(bind(loaded if epochs is None else with_epochs(configs, overrides or [], loaded, epochs)), run_dir)


def _resume(run: Path, configs: list[Path], overrides: list[str] | None, epochs: int | None, *, force: bool) -> None:
    from cnnkit.training.distribution.opening import find_cluster
    from cnnkit.training.resume import open_interrupted

    cluster = find_cluster()
    is_chief = cluster is None or cluster.is_chief
    resumed = open_interrupted(run, configs, overrides or [], epochs, force=force, is_chief=is_chief)
    for notice in resumed.notices:
        print_notice(notice)
    if resumed.is_finished:
        run = resumed.directory.path
        print_line(f"{run} is finished, after {resumed.epochs_done} epochs. To train it further: cnnkit train --resume {run} --epochs N")
        if resumed.unusable_files and is_chief:
            write_missing_and_print(resumed)
        if resumed.lock is not None:
            resumed.lock.release()
        raise typer.Exit
    train_and_print(resumed.loaded, resumed.directory.path, resumed)
