"""`cnnkit train` and `cnnkit transfer`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cnnkit.commands.options import RunDir, Set, import_tensorflow
from cnnkit.console.evaluation import print_evaluation
from cnnkit.console.progress import comparing, counting, progress_listener
from cnnkit.console.text import print_line, print_notice
from cnnkit.console.training import print_comparison, stand_in_text
from cnnkit.errors import CnnkitError

if TYPE_CHECKING:
    from cnnkit.data.binding import BoundConfig
    from cnnkit.training.resume import Resumed


def train(
    configs: Annotated[list[Path] | None, typer.Argument(help="Config files; later ones win.", metavar="[CONFIG...]")] = None,
    overrides: Set = None,
    run_dir: RunDir = None,
    resume: Annotated[
        Path | None, typer.Option("--resume", help="Go on with an interrupted run, exactly where it was left.", metavar="RUN")
    ] = None,
    epochs: Annotated[int | None, typer.Option("--epochs", help="Epochs in all, in place of the config's.", min=1)] = None,
    force: Annotated[bool, typer.Option("--force", help="Resume although the config or the data has changed.")] = False,
) -> None:
    """Train the network of a config, or go on with an interrupted run."""
    if resume is not None:
        _resume(resume, configs or [], overrides, epochs, force=force)
    if not configs:
        raise typer.BadParameter("name a config to train, or a run to --resume", param_hint="CONFIG")
    if force:
        raise typer.BadParameter("goes with --resume", param_hint="--force")
    for path in configs:
        if path.is_dir():
            raise CnnkitError(f"{path}: is a folder, not a config", f"Go on with a run: `cnnkit train --resume {path}`.")
    from cnnkit.config.load import load_config, with_epochs
    from cnnkit.data.binding import bind

    loaded = load_config(configs, overrides or [])
    _train(bind(loaded if epochs is None else with_epochs(configs, overrides or [], loaded, epochs)), run_dir)


def transfer(
    config: Annotated[
        list[Path] | None, typer.Argument(help="Config files; the packaged transfer.yaml where left out.", metavar="[CONFIG...]")
    ] = None,
    base: Annotated[
        str | None, typer.Option("--base", help="A pretrained base of keras.applications, in any spelling: mobilenetv2.")
    ] = None,
    epochs: Annotated[int | None, typer.Option("--epochs", help="Epochs for the head.", min=1)] = None,
    fine_tune: Annotated[
        int | None, typer.Option("--fine-tune", help="Then open this many of the base's last layers.", min=1, metavar="LAYERS")
    ] = None,
    fine_tune_epochs: Annotated[int, typer.Option("--fine-tune-epochs", help="Epochs for those.", min=1)] = 5,
    compare_scratch: Annotated[
        bool, typer.Option("--compare-scratch", help="Also train the same network from random weights, and compare.")
    ] = False,
    fractions: Annotated[
        str | None, typer.Option("--fractions", help="Shares of the training data to compare on: 0.1,0.25,1.", metavar="LIST")
    ] = None,
    overrides: Set = None,
    run_dir: RunDir = None,
) -> None:
    """Train a new head on a frozen pretrained base."""
    from cnnkit.data.binding import bind
    from cnnkit.training.transfer_config import FineTune, load_transfer

    given = [*([f"train.epochs={epochs}"] if epochs else []), *(overrides or [])]
    loaded = bind(load_transfer(config or [], base, given, FineTune(fine_tune, fine_tune_epochs) if fine_tune else None))
    if compare_scratch or fractions:
        _compare_scratch(loaded, fractions or "1", run_dir)
    else:
        _train(loaded, run_dir)


def _resume(run: Path, configs: list[Path], overrides: list[str] | None, epochs: int | None, *, force: bool) -> None:
    from cnnkit.training.resume import open_interrupted

    resumed = open_interrupted(run, configs, overrides or [], epochs, force=force)
    if resumed.is_finished:
        run = resumed.directory.path
        print_line(f"{run} is finished, after {resumed.epochs_done} epochs. To train it further: cnnkit train --resume {run} --epochs N")
        raise typer.Exit
    for notice in resumed.notices:
        print_notice(notice)
    _train(resumed.loaded, resumed.directory.path, resumed)


def _train(loaded: "BoundConfig", run_dir: Path | None, resumed: "Resumed | None" = None) -> None:
    if run_dir is None:
        _tell_unfinished(loaded.config.name)
    import_tensorflow()
    from cnnkit.keras_api.downloads import keras_home
    from cnnkit.training.prepare import prepare
    from cnnkit.training.run import train

    with counting("files") as on_progress:
        prepared = prepare(loaded, run_dir, on_progress, resumed)
    if prepared.metadata.stand_in_for:
        print_notice(stand_in_text(prepared.metadata, str(keras_home() / "datasets")), title="A stand-in for the data")
    for notice in prepared.metadata.notices:
        print_notice(notice)
    with progress_listener(prepared.epochs, prepared.train.steps) as listener:
        finished = train(prepared, listener)
    if finished.evaluation is not None:
        print_evaluation(finished.evaluation)
    else:
        go_on = f"Go on with it: cnnkit train --resume {prepared.directory.path}"
        print_notice(f"Stopped in epoch {len(finished.history.rows) + 1}; everything is saved. {go_on}", title="Interrupted")
    print_line(f"Run: {prepared.directory.path}")
    raise typer.Exit(finished.exit_status)


def _tell_unfinished(name: str) -> None:
    """Where the run's usual folder holds an unfinished run, say how to go on with that one; the new run gets a folder of its own."""
    from cnnkit.runs.directory import RUNS, RunDirectory, is_unfinished
    from cnnkit.runs.lock import is_locked

    there = RunDirectory(RUNS / name)
    if is_unfinished(there) and not is_locked(there.path):
        print_notice(f"{there.path} holds an unfinished run, and this is a new one. To go on with that: cnnkit train --resume {there.path}")


def _compare_scratch(loaded: "BoundConfig", fractions: str, run_dir: Path | None) -> None:
    from cnnkit.experiments.compare_scratch import compare_with_scratch, parse_fractions

    shares = parse_fractions(fractions)
    import_tensorflow()
    with comparing() as listener:
        comparison = compare_with_scratch(loaded, shares, run_dir, listener)
    print_comparison(comparison)
