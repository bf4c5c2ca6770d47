"""`cnnkit transfer`: a new head on a pretrained base."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cnnkit.commands.completion import complete_config
from cnnkit.commands.options import ResumeOrStart, RunDir, Set
from cnnkit.commands.repeats import Folds, Seeds, Workers, check_repeats, repeat_and_print
from cnnkit.commands.several_runs import refuse_several_runs_on_workers
from cnnkit.commands.training_run import resume_or_start_and_print, train_and_print
from cnnkit.console.progress import comparing
from cnnkit.console.text import print_notice
from cnnkit.console.training import print_comparison

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cnnkit.config.load import LoadedConfig
    from cnnkit.data.binding import BoundConfig


def transfer(
    config: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Config files (default: the packaged transfer.yaml).",
            metavar="[CONFIG...]",
            autocompletion=complete_config,
        ),
    ] = None,
    base: Annotated[
        str | None, typer.Option("--base", help="A pretrained base of keras.applications, in any spelling: mobilenetv2.")
    ] = None,
    epochs: Annotated[int | None, typer.Option("--epochs", help="Epochs for the head.", min=1)] = None,
    fine_tune: Annotated[
        int | None, typer.Option("--fine-tune", help="Then unfreeze this many of the base's last layers.", min=1, metavar="LAYERS")
    ] = None,
    fine_tune_epochs: Annotated[int | None, typer.Option("--fine-tune-epochs", help="Epochs for those layers (default: 5).", min=1)] = None,
    compare_scratch: Annotated[
        bool, typer.Option("--compare-scratch", help="Also train the same network from random weights, and compare.")
    ] = False,
    fractions: Annotated[
        str | None, typer.Option("--fractions", help="Shares of the training data to compare on: 0.1,0.25,1.", metavar="LIST")
    ] = None,
    overrides: Set = None,
    run_dir: RunDir = None,
    resume_or_start: ResumeOrStart = False,
    seeds: Seeds = None,
    folds: Folds = None,
    workers: Workers = None,
) -> None:
    """Train a new head on a frozen pretrained base."""
    repeats = check_repeats(seeds, folds, workers)
    refuse_several_runs_on_workers(seeds=seeds, folds=folds, compare_scratch=compare_scratch, fractions=fractions)
    if repeats and (compare_scratch or fractions):
        raise typer.BadParameter("does not go with --seeds or --folds", param_hint="--compare-scratch")
    if resume_or_start and (repeats or compare_scratch or fractions):
        hint = "goes with a single run; --seeds, --folds and --compare-scratch are resumed by the same command"
        raise typer.BadParameter(hint, param_hint="--resume-or-start")
    from cnnkit.data.binding import bind

    def configure(further: "Sequence[str]") -> "LoadedConfig":
        return load_transfer_run(config, base, epochs, fine_tune, fine_tune_epochs, [*(overrides or []), *further])

    if repeats:
        repeat_and_print(configure, seeds, folds, run_dir, workers)
    if resume_or_start:
        resume_or_start_and_print(configure([]), run_dir)
    loaded = bind(configure([]))
    if compare_scratch or fractions:
        _compare_scratch(loaded, fractions or "1", run_dir)
    else:
        train_and_print(loaded, run_dir)


def load_transfer_run(
    config: list[Path] | None,
    base: str | None,
    epochs: int | None,
    fine_tune: int | None,
    fine_tune_epochs: int | None,
    overrides: "Sequence[str]",
) -> "LoadedConfig":
    """The config that `transfer` is given by its arguments.

    Raises:
        CnnkitError: It is wrong, or its base is unknown.
        typer.BadParameter: Epochs are given for layers that are not.
    """
    if fine_tune_epochs and not fine_tune:
        raise typer.BadParameter("goes with --fine-tune LAYERS", param_hint="--fine-tune-epochs")
    from cnnkit.training.transfer_config import FINE_TUNE_EPOCHS, FineTune, load_transfer

    given = [*([f"train.epochs={epochs}"] if epochs else []), *overrides]
    return load_transfer(config or [], base, given, FineTune(fine_tune, fine_tune_epochs or FINE_TUNE_EPOCHS) if fine_tune else None)


def _compare_scratch(loaded: "BoundConfig", fractions: str, run_dir: Path | None) -> None:
    from cnnkit.experiments.compare_scratch import ComparisonInterruptedError, compare_with_scratch, parse_fractions

    shares = parse_fractions(fractions)
    try:
        with comparing() as listener:
            comparison = compare_with_scratch(loaded, shares, run_dir, listener)
    except ComparisonInterruptedError as stop:
        print_notice(f"Stopped; everything is saved in {stop.folder}. The same command resumes it.", title="Interrupted")
        raise typer.Exit(stop.exit_status) from stop
    print_comparison(comparison)
