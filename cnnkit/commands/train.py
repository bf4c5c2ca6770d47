"""`cnnkit train`: train the network of a config, or resume an interrupted run."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from cnnkit.commands.completion import complete_config, complete_run
from cnnkit.commands.options import ResumeOrStart, RunDir, Set
from cnnkit.commands.repeats import Folds, Seeds, Workers, check_repeats, repeat_and_print
from cnnkit.commands.several_runs import refuse_several_runs_on_workers
from cnnkit.commands.training_run import resume_and_print, resume_or_start_and_print, train_and_print
from cnnkit.errors import CnnkitError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cnnkit.config.load import LoadedConfig


def train(
    configs: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Config files, or names of packaged ones; later ones override earlier ones.",
            metavar="[CONFIG...]",
            autocompletion=complete_config,
        ),
    ] = None,
    overrides: Set = None,
    run_dir: RunDir = None,
    resume: Annotated[
        Path | None,
        typer.Option(
            "--resume",
            help="Resume an interrupted run exactly where it stopped.",
            metavar="RUN",
            autocompletion=complete_run,
        ),
    ] = None,
    epochs: Annotated[int | None, typer.Option("--epochs", help="Total number of epochs, in place of the config's.", min=1)] = None,
    force: Annotated[bool, typer.Option("--force", help="Resume although the config or the data has changed.")] = False,
    resume_or_start: ResumeOrStart = False,
    seeds: Seeds = None,
    folds: Folds = None,
    workers: Workers = None,
) -> None:
    """Train the network of a config, or resume an interrupted run.

    With --seeds or --folds, several runs that are summarized; the same command resumes them.
    """
    repeats = check_repeats(seeds, folds, workers)
    refuse_several_runs_on_workers(seeds=seeds, folds=folds)
    if resume is not None:
        given = {"--seeds": seeds is not None, "--folds": folds is not None, "--resume-or-start": resume_or_start}
        for option, is_given in {**given, "--run-dir": run_dir is not None}.items():
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
        resume_or_start_and_print(loaded, run_dir)
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

    resume_and_print(lambda is_chief: open_interrupted(run, configs, overrides or [], epochs, force=force, is_chief=is_chief))
