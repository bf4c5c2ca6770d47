"""A pretrained base against the same network from random weights, on the same data: measured, not claimed."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from cnnkit.config.schema import OwnBase, Phase
from cnnkit.data.binding import BoundConfig
from cnnkit.data.source import Request, open_source
from cnnkit.errors import CnnkitError, format_value
from cnnkit.io.atomic import write_json
from cnnkit.keras_api.checking import split_entry
from cnnkit.metrics import VALIDATION_PREFIX, Metric, custom_names, find, headline_column
from cnnkit.plots.curves import plot_lines
from cnnkit.prediction.evaluate import Evaluation
from cnnkit.runs.directory import create_run_directory
from cnnkit.training.fit import Listener
from cnnkit.training.history import Row
from cnnkit.training.prepare import prepare
from cnnkit.training.run import train


@dataclass(frozen=True)
class Side:
    """One run of a comparison.

    Attributes:
        folder: Its run directory.
        trained_parameters: How many parameters it trained, in its last phase.
        best: Its best validation figure.
        test: The same figure on the test set.
        epochs_to_reach: Epochs until it reached the smaller of the two best figures; None where it never did.
        seconds_to_reach: Seconds until then, features included.
        history: Its rows.
    """

    folder: str
    trained_parameters: int
    best: float
    test: float
    epochs_to_reach: int | None
    seconds_to_reach: float | None
    history: Sequence[Row]


@dataclass(frozen=True)
class Pair:
    """Transfer and scratch on the same share of the training data."""

    fraction: float
    examples: int
    transfer: Side
    scratch: Side


@dataclass(frozen=True)
class Comparison:
    """All pairs, the figure they are compared by, and where files were written."""

    figure: str
    pairs: Sequence[Pair]
    folder: Path
    note: str


class ComparisonListener(Protocol):
    """Draws the progress of each run of a comparison."""

    def run(self, title: str, epochs: int, steps: int) -> AbstractContextManager[Listener]:
        """The listener of one run."""


def parse_fractions(text: str) -> list[float]:
    """`0.05,0.1,1` to shares in ascending order.

    Raises:
        CnnkitError: One of them is not a share.
    """
    try:
        shares = sorted({float(part) for part in text.split(",")})
    except ValueError:
        raise CnnkitError(f"--fractions: {format_value(text)} is not a list of numbers", "Write it as in 0.1,0.25,1.") from None
    if not all(0 < share <= 1 for share in shares):
        raise CnnkitError(f"--fractions: {format_value(text)} has a share that is not above 0 and up to 1")
    return shares


def compare_with_scratch(loaded: BoundConfig, shares: Sequence[float], run_dir: Path | None, listener: ComparisonListener) -> Comparison:
    """Train both sides on each share of the training data, and write `comparison.json` and `comparison.png`.

    Args:
        loaded: The transfer's config.
        shares: Shares of the training data.
        run_dir: The folder of the comparison; `runs/NAME-comparison` where None.
        listener: Draws the progress.
    """
    created, lock = create_run_directory(f"{loaded.config.name}-comparison"[:64], run_dir)
    directory = created.path
    total = _training_examples(loaded, directory)
    pairs, figure, note = [], "", ""
    for share in shares:
        limit = max(1, round(share * total))
        runs = {}
        for side, config in (("transfer", loaded), ("scratch", _from_scratch(loaded))):
            limited = _with_limit(config, limit)
            folder = directory / f"{side}-{share:g}"
            runs[side], note = _run(limited, folder, f"{side}, {limit:,} examples", listener)
        figure = headline_column(runs["transfer"].rows[0]).removeprefix(VALIDATION_PREFIX)
        metric = find(figure, custom_names(loaded.config.train.metrics))
        pairs.append(Pair(share, limit, *_sides(runs["transfer"], runs["scratch"], metric)))
    comparison = Comparison(figure, pairs, directory, note)
    write_json(directory / "comparison.json", {"figure": figure, "note": note, "pairs": [asdict(pair) for pair in pairs]})
    _draw(comparison, loaded.config.name)
    lock.release()
    return comparison


def _draw(comparison: Comparison, title: str) -> None:
    """The test figure over the examples where there are several shares, else the validation figure over the epochs."""
    pairs, figure = comparison.pairs, comparison.figure
    lines: dict[str, tuple[Sequence[float], Sequence[float]]] = {}
    for name, side in (("pretrained base", "transfer"), ("from scratch", "scratch")):
        if len(pairs) > 1:
            lines[name] = [pair.examples for pair in pairs], [getattr(pair, side).test for pair in pairs]
        else:
            rows = getattr(pairs[0], side).history
            lines[name] = [row["epoch"] for row in rows], [row.get(f"val_{figure}", row[figure]) for row in rows]
    labels = ("training examples", f"test {figure}") if len(pairs) > 1 else ("epoch", f"validation {figure}")
    plot_lines(lines, labels, comparison.folder / "comparison.png", title, comparison.note)


@dataclass(frozen=True)
class _Told:
    """What one finished run tells a comparison."""

    rows: Sequence[Row]
    feature_seconds: float
    trained_parameters: int
    evaluation: Evaluation
    folder: str


def _run(loaded: BoundConfig, folder: Path, title: str, listener: ComparisonListener) -> "tuple[_Told, str]":
    prepared = prepare(loaded, folder)
    with listener.run(title, prepared.epochs, prepared.train.steps) as progress:
        finished = train(prepared, progress)
    if finished.exit_status or finished.evaluation is None:
        raise KeyboardInterrupt
    trained = sum(int(variable.value.shape.num_elements()) for variable in prepared.network.model.trainable_variables)
    told = _Told(finished.history.rows, finished.history.feature_seconds, trained, finished.evaluation, str(folder))
    return told, prepared.metadata.note


def _sides(transfer: _Told, scratch: _Told, metric: Metric) -> tuple[Side, Side]:
    figure, higher = metric.name, metric.higher_is_better

    def series(told: _Told) -> list[float]:
        return [row.get(f"val_{figure}", row[figure]) for row in told.rows]

    bests = [metric.best(series(told)) for told in (transfer, scratch)]
    goal = min(bests) if higher else max(bests)

    def side(told: _Told, best: float) -> Side:
        reached = next((i for i, value in enumerate(series(told)) if (value >= goal if higher else value <= goal)), None)
        seconds = None if reached is None else round(told.feature_seconds + sum(row["seconds"] for row in told.rows[: reached + 1]), 2)
        test = told.evaluation.measured.get(figure, float("nan"))
        return Side(told.folder, told.trained_parameters, best, test, None if reached is None else reached + 1, seconds, told.rows)

    return side(transfer, bests[0]), side(scratch, bests[1])


def _training_examples(loaded: BoundConfig, folder: Path) -> int:
    """How many training examples the config uses, validation included where it is taken from them."""
    everything = loaded.source.load(Request(loaded.config.seed, folder, {}))
    return sum(len(examples) for name, examples in everything.splits.items() if name != "test")


def _with_limit(loaded: BoundConfig, limit: int) -> BoundConfig:
    """The same config on fewer training examples."""
    data = loaded.config.data.model_copy(update={"limit": limit})
    return replace(loaded, config=loaded.config.model_copy(update={"data": data}), source=open_source(data))


def _from_scratch(loaded: BoundConfig) -> BoundConfig:
    """The same network, its base without trained weights, all of it trained for as many epochs."""
    config = loaded.config
    base = config.model.base
    if isinstance(base, dict) and "run" in base:
        fresh: Any = {**OwnBase.model_validate(base).model_dump(exclude_none=True), "weights": "none"}
    else:
        name, arguments = split_entry(base)
        fresh = {name: {**arguments, "weights": "none"}}
    epochs = sum(phase.epochs or config.train.epochs for phase in config.train.phases or []) or config.train.epochs
    model = config.model.model_copy(update={"base": fresh})
    train_section = config.train.model_copy(update={"phases": [Phase(train="all", epochs=epochs, batch_norm="train")]})
    return replace(loaded, config=config.model_copy(update={"model": model, "train": train_section}))
