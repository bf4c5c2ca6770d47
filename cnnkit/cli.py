"""The commands: each parses its arguments, calls one function and prints its report. TensorFlow waits inside them."""

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cnnkit import __version__, console
from cnnkit.errors import CnnkitError

if TYPE_CHECKING:
    from cnnkit.config.load import LoadedConfig

app = typer.Typer(
    name="cnnkit",
    help="Train convolutional neural networks with Keras from a YAML file.",
    rich_markup_mode=None,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

data_app = typer.Typer(help="Look at data before training on it.", rich_markup_mode=None, no_args_is_help=True)
app.add_typer(data_app, name="data")

Configs = Annotated[list[Path], typer.Argument(help="Config files; later ones win.", metavar="CONFIG...")]
Set = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override an entry, such as train.epochs=3. May be repeated.")
]
RunDir = Annotated[Path | None, typer.Option("--run-dir", help="The run's folder; runs/NAME where left out.", metavar="DIR")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


def main() -> None:
    """Run the command line; errors that the user can fix go to standard error with exit status 1."""
    try:
        app()
    except CnnkitError as error:
        console.print_error(str(error))
        sys.exit(1)
    except BrokenPipeError:  # the reader of our output, such as `head`, has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except KeyboardInterrupt:
        sys.exit(130)


@app.callback(invoke_without_command=True)
def _version(version: Annotated[bool, typer.Option("--version", help="Print the version and exit.", is_eager=True)] = False) -> None:
    if version:
        print(__version__)  # noqa: T201 - one word for programs
        raise typer.Exit


@app.command()
def train(configs: Configs, overrides: Set = None, run_dir: RunDir = None) -> None:
    """Train the network of a config."""
    _train(_load(configs, overrides), run_dir)


@app.command()
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


@app.command()
def check(configs: Configs, overrides: Set = None) -> None:
    """Tell all that is wrong with a config, by line."""
    loaded = _load(configs, overrides)
    from cnnkit.model.summary import summarize

    network = _build(loaded)
    total = summarize(network.model, preprocess=network.preprocess).total_parameters
    console.print_line(f"{', '.join(map(str, configs))}: good. {len(network.model.layers)} layers, {total:,} parameters.")


@app.command()
def summary(
    what: Annotated[
        Path | None,
        typer.Argument(help="A config, a run or a .keras file; the packaged cifar.yaml where left out.", metavar="[CONFIG|RUN|MODEL]"),
    ] = None,
    explain: Annotated[bool, typer.Option("--explain", help="Tell how each shape and parameter count comes about.")] = False,
    base: Annotated[str | None, typer.Option("--base", help="Show the packaged transfer network over this base.")] = None,
    as_json: AsJson = False,
    overrides: Set = None,
) -> None:
    """Show a network's layers, shapes and parameters."""
    from cnnkit.model.summary import summarize
    from cnnkit.summary_view import render_summary

    model, preprocess = _model_of(what, base, overrides)
    result = summarize(model, preprocess=preprocess)
    if as_json:
        _print_json(result.as_dict())
    else:
        render_summary(result, console.output(), explain=explain)


@app.command()
def evaluate(
    what: Annotated[
        Path | None, typer.Argument(help="A run or a .keras file; the newest run where left out.", metavar="[RUN|MODEL]")
    ] = None,
    config: Annotated[
        Path | None, typer.Option("--config", help="The config that names the data, for a .keras file outside a run.")
    ] = None,
    as_json: AsJson = False,
    overrides: Set = None,
) -> None:
    """Measure a model on its test set."""
    _import_tensorflow()
    from cnnkit.evaluation.rerun import evaluate_run

    evaluation, picture = evaluate_run(what, config, overrides or [])
    if as_json:
        _print_json(evaluation.as_dict())
        return
    console.print_evaluation(evaluation)
    if picture:
        console.print_line(f"Picture: {picture}")


@app.command()
def init(
    path: Annotated[Path, typer.Argument(help="A folder of images, a CSV, an npz or an npy file.", metavar="PATH")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The config to write; NAME.yaml where left out.", metavar="FILE")
    ] = None,
    transfer: Annotated[bool, typer.Option("--transfer", help="Begin with a pretrained base.")] = False,
    target: Annotated[
        list[str] | None, typer.Option("--target", help="What to predict: a CSV column (or several) or an npz array.", metavar="NAME")
    ] = None,
    group: Annotated[
        str | None, typer.Option("--group", help="The column or array of groups that are never divided.", metavar="NAME")
    ] = None,
) -> None:
    """Look at your data and write a config that trains at once."""
    from cnnkit.config.init import write_init

    named = {"target": target[0] if target and len(target) == 1 else target, "group": group}
    written, look = write_init(path, output, transfer=transfer, overrides={key: value for key, value in named.items() if value})
    console.print_line(
        f"{look.count:,} examples of {look.facts.input_shape}, {look.facts.task.kind}: {', '.join(look.facts.task.names[:12])}"
    )
    console.print_line(f"Wrote {written}. Train it: cnnkit train {written}")


@data_app.command("check")
def data_check(
    configs: Configs,
    quarantine: Annotated[
        Path | None, typer.Option("--quarantine", help="Write the list of bad files, for data.exclude.", metavar="LIST")
    ] = None,
    as_json: AsJson = False,
    overrides: Set = None,
) -> None:
    """Look at every example: damaged files, duplicates, leaks, imbalance. Exit status 1 when something would spoil training."""
    import tempfile

    from cnnkit.data.source import Request
    from cnnkit.files import write_text

    loaded = _load(configs, overrides)
    with tempfile.TemporaryDirectory(prefix="cnnkit-") as scratch, console.counting("files") as on_progress:
        report = loaded.source.check(Request(loaded.config.seed, Path(scratch), {}, on_progress))
    if as_json:
        _print_json(report.as_dict())
    else:
        console.print_data_report(report, loaded.source.facts.name)
    if quarantine is not None:
        write_text(quarantine, "".join(f"{bad.name}\t# {bad.reason}\n" for bad in report.bad))
        console.print_notice(f"Wrote {quarantine} with {len(report.bad)} files. Leave them out with `data: {{exclude: {quarantine}}}`.")
    raise typer.Exit(1 if report.errors else 0)


@data_app.command("show")
def data_show(
    configs: Configs,
    output: Annotated[Path, typer.Option("--output", "-o", help="The picture to write.", metavar="PNG")] = Path("examples.png"),
    count: Annotated[int, typer.Option("--count", help="How many examples.", min=1, max=64)] = 16,
    overrides: Set = None,
) -> None:
    """Draw training examples as the network gets them, without and with augmentation."""
    loaded = _load(configs, overrides)
    _import_tensorflow()
    import tempfile

    from cnnkit.data.contact_sheet import draw_contact_sheet

    with tempfile.TemporaryDirectory(prefix="cnnkit-") as scratch:
        draw_contact_sheet(loaded, output, count, Path(scratch))
    console.print_line(f"Wrote {output}.")


@app.command()
def configs(
    name: Annotated[str | None, typer.Argument(help="The config to copy out; all are listed where left out.", metavar="[NAME]")] = None,
    destination: Annotated[Path | None, typer.Argument(help="Where to copy it; ./NAME.yaml where left out.", metavar="[FILE]")] = None,
) -> None:
    """List the packaged configs, or copy one out."""
    from cnnkit.config.packaged import copy_config, descriptions

    if name is None:
        console.print_configs(descriptions())
        return
    written = copy_config(name, destination)
    console.print_line(f"Wrote {written}. Train it: cnnkit train {written}")


@app.command()
def schema(
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write to a file instead of standard output.")] = None,
) -> None:
    """Write the JSON Schema that editors check configs by."""
    from cnnkit.config.json_schema import json_schema

    if output is None:
        _print_json(json_schema())
        return
    from cnnkit.files import write_json

    write_json(output, json_schema())
    console.print_line(f"Wrote {output}.")


def _load(configs: list[Path], overrides: list[str] | None) -> "LoadedConfig":
    from cnnkit.config.load import load

    return load(configs, overrides or [])


def _build(loaded: "LoadedConfig") -> Any:
    _import_tensorflow()
    from cnnkit.training.compile import build_and_compile

    return build_and_compile(loaded)


def _model_of(what: Path | None, base: str | None, overrides: list[str] | None) -> tuple[Any, tuple[str, ...]]:
    """The model of a config, a run or a model file, and the names of its preprocessing layers where they are known."""
    if base is not None:
        from cnnkit.config.transfer import load_transfer

        network = _build(load_transfer([what] if what else [], base, overrides or []))
        return network.model, network.preprocess
    from cnnkit.config.packaged import packaged_config
    from cnnkit.run_directory import find_run

    if what is None or what.suffix in (".yaml", ".yml"):
        network = _build(_load([what or packaged_config("cifar")], overrides))
        return network.model, network.preprocess
    if overrides:
        raise CnnkitError(f"{what}: a trained model cannot be changed with --set", "Name a config instead.")
    path = what if what.suffix == ".keras" else find_run(what).model
    _import_tensorflow()
    from cnnkit.model.load import load_model

    return load_model(path), ()


def _train(loaded: "LoadedConfig", run_dir: Path | None) -> None:
    _import_tensorflow()
    from cnnkit.downloads import keras_home
    from cnnkit.training.run import prepare, train

    with console.counting("files") as on_progress:
        prepared = prepare(loaded, run_dir, on_progress)
    if prepared.meaning.stand_in_for:
        console.print_notice(console.stand_in_text(prepared.meaning, str(keras_home() / "datasets")), title="A stand-in for the data")
    for notice in prepared.meaning.notices:
        console.print_notice(notice)
    with console.progress_listener(prepared.epochs, prepared.train.steps) as listener:
        finished = train(prepared, listener)
    if finished.evaluation is not None:
        console.print_evaluation(finished.evaluation)
    else:
        console.print_notice(f"Stopped in epoch {len(finished.history.rows) + 1}; what was learned is saved.", title="Interrupted")
    console.print_line(f"Run: {prepared.directory.path}")
    raise typer.Exit(finished.exit_status)


def _compare_scratch(loaded: "LoadedConfig", fractions: str, run_dir: Path | None) -> None:
    from cnnkit.training.compare import compare_with_scratch, parse_fractions

    shares = parse_fractions(fractions)
    _import_tensorflow()
    with console.comparing() as listener:
        comparison = compare_with_scratch(loaded, shares, run_dir, listener)
    console.print_comparison(comparison)


def _import_tensorflow() -> None:
    """Import TensorFlow without the lines that its C++ side writes to standard error; a failing import still speaks."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if "tensorflow" in sys.modules:
        return
    sys.stderr.flush()
    kept = os.dup(2)
    muted = os.open(os.devnull, os.O_WRONLY)
    os.dup2(muted, 2)
    try:
        import keras  # noqa: F401
        import tensorflow  # noqa: F401
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(muted)


def _print_json(value: Any) -> None:
    from cnnkit.files import without_nan

    print(json.dumps(without_nan(value), indent=2, ensure_ascii=False))  # noqa: T201 - data for programs, no markup
