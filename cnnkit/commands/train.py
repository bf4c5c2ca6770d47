"""`cnnkit train` and `cnnkit transfer`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cnnkit.commands.options import Configs, RunDir, Set, import_tensorflow, load_config
from cnnkit.console.evaluation import print_evaluation
from cnnkit.console.progress import comparing, counting, progress_listener
from cnnkit.console.text import print_line, print_notice
from cnnkit.console.training import print_comparison, stand_in_text

if TYPE_CHECKING:
    from cnnkit.config.load import LoadedConfig


def train(configs: Configs, overrides: Set = None, run_dir: RunDir = None) -> None:
    """Train the network of a config."""
    _train(load_config(configs, overrides), run_dir)


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
    from cnnkit.config.transfer import FineTune, load_transfer

    given = [*([f"train.epochs={epochs}"] if epochs else []), *(overrides or [])]
    loaded = load_transfer(config or [], base, given, FineTune(fine_tune, fine_tune_epochs) if fine_tune else None)
    if compare_scratch or fractions:
        _compare_scratch(loaded, fractions or "1", run_dir)
    else:
        _train(loaded, run_dir)


def _train(loaded: "LoadedConfig", run_dir: Path | None) -> None:
    import_tensorflow()
    from cnnkit.downloads import keras_home
    from cnnkit.training.run import prepare, train

    with counting("files") as on_progress:
        prepared = prepare(loaded, run_dir, on_progress)
    if prepared.meaning.stand_in_for:
        print_notice(stand_in_text(prepared.meaning, str(keras_home() / "datasets")), title="A stand-in for the data")
    for notice in prepared.meaning.notices:
        print_notice(notice)
    with progress_listener(prepared.epochs, prepared.train.steps) as listener:
        finished = train(prepared, listener)
    if finished.evaluation is not None:
        print_evaluation(finished.evaluation)
    else:
        print_notice(f"Stopped in epoch {len(finished.history.rows) + 1}; what was learned is saved.", title="Interrupted")
    print_line(f"Run: {prepared.directory.path}")
    raise typer.Exit(finished.exit_status)


def _compare_scratch(loaded: "LoadedConfig", fractions: str, run_dir: Path | None) -> None:
    from cnnkit.training.compare import compare_with_scratch, parse_fractions

    shares = parse_fractions(fractions)
    import_tensorflow()
    with comparing() as listener:
        comparison = compare_with_scratch(loaded, shares, run_dir, listener)
    print_comparison(comparison)
