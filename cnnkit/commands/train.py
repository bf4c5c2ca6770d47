"""`cnnkit train`: train the network of a config, or resume an interrupted run."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from cnnkit.commands.options import RunDir, Set
from cnnkit.commands.repeats import Folds, Seeds, Workers, check_repeats, repeat_and_print
from cnnkit.commands.training_run import train_and_print, train_opened_and_print, write_missing_and_print
from cnnkit.console.text import print_line, print_notice
from cnnkit.errors import CnnkitError, count
from cnnkit.runs.names import RUNS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cnnkit.config.load import LoadedConfig
    from cnnkit.training.resume import Resumed


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
    resume_or_start: Annotated[
        bool,
        typer.Option("--resume-or-start", help="Start the run in its folder, or resume it there: for schedulers that restart a command."),
    ] = False,
    seeds: Seeds = None,
    folds: Folds = None,
    workers: Workers = None,
) -> None:
    """Train the network of a config, or resume an interrupted run.

    With --seeds or --folds, several runs that are summarized; the same command resumes them.
    """
    repeats = check_repeats(seeds, folds, workers)
    if resume is not None:
        for option, is_given in (("--seeds", seeds is not None), ("--folds", folds is not None), ("--resume-or-start", resume_or_start)):
            if is_given:
                raise typer.BadParameter("goes with a config and not with --resume", param_hint=option)
        _resume(resume, configs or [], overrides, epochs, force=force)
    if not configs:
        raise typer.BadParameter("name a config to train, or a run to --resume", param_hint="CONFIG")
    if force:
        raise typer.BadParameter("goes with --resume", param_hint="--force")
    from cnnkit.data.binding import bind

    def configure(further: "Sequence[str]") -> "LoadedConfig":
        return load_train(configs, [*(overrides or []), *further], epochs)

    if repeats:
        repeat_and_print(configure, seeds, folds, run_dir, workers)
    loaded = configure([])
    if resume_or_start:
        _resume_or_start(loaded, run_dir if run_dir is not None else RUNS / loaded.config.name)
    train_and_print(bind(loaded), run_dir)


def load_train(configs: list[Path], overrides: list[str], epochs: int | None) -> "LoadedConfig":
    """The config that `train` is given by its arguments.

    Raises:
        CnnkitError: It is wrong, or a folder.
    """
    from cnnkit.config.load import load_config, with_epochs

    for path in configs:
        if path.is_dir():
            raise CnnkitError(f"{path}: is a folder, not a config", f"Resume a run: `cnnkit train --resume {path}`.")
    loaded = load_config(configs, overrides)
    return loaded if epochs is None else with_epochs(configs, overrides, loaded, epochs)


def _resume(run: Path, configs: list[Path], overrides: list[str] | None, epochs: int | None, *, force: bool) -> NoReturn:
    from cnnkit.training.resume import open_interrupted

    resumed = open_interrupted(run, configs, overrides or [], epochs, force=force)
    for notice in resumed.notices:
        print_notice(notice)
    if resumed.is_finished:
        _print_finished(resumed)
    train_and_print(resumed.loaded, resumed.directory.path, resumed)


def _resume_or_start(loaded: "LoadedConfig", folder: Path) -> NoReturn:
    from cnnkit.training.resume_or_start import open_run

    opened = open_run(loaded, folder)
    for notice in opened.resumed.notices if opened.resumed is not None else ():
        print_notice(notice)
    if not opened.is_finished:
        train_opened_and_print(opened)
    if opened.resumed is not None:
        _print_finished(opened.resumed)
    print_line(f"{folder} is finished.")
    raise typer.Exit


def _print_finished(resumed: "Resumed") -> NoReturn:
    run = resumed.directory.path
    print_line(
        f"{run} is finished, after {count(resumed.epochs_done, 'epoch')}. To train it further: cnnkit train --resume {run} --epochs N"
    )
    if resumed.unusable_files:
        write_missing_and_print(resumed)
    resumed.lock.release()
    raise typer.Exit
