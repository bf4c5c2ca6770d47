"""Compare a pretrained base with the same network trained from random weights, on the same data.

An interrupted comparison has `progress.json` in its folder: the config and the fractions, by which it is found when resumed,
and the result of every finished run.
"""

import json
import math
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from pydantic import BaseModel, ConfigDict

from cnnkit.config.load import resolved
from cnnkit.config.schema import OwnBase, Phase
from cnnkit.data.binding import BoundConfig
from cnnkit.data.source import Request, open_source
from cnnkit.errors import CnnkitError, format_value
from cnnkit.io.atomic import write_json, write_text
from cnnkit.io.json_file import read_json
from cnnkit.keras_api.checking import Entry, parse_entry
from cnnkit.metrics import VALIDATION_PREFIX, Metric, custom_names, find, headline_column
from cnnkit.plots.curves import plot_lines
from cnnkit.runs.create import create_run_directory
from cnnkit.runs.lock import RunLock, is_locked
from cnnkit.runs.names import RUNS
from cnnkit.training.fit import Listener
from cnnkit.training.open_run import open_run
from cnnkit.training.run import train

PROGRESS = "progress.json"


@dataclass(frozen=True)
class Side:
    """One run of a pair: with the pretrained base, or from scratch.

    Attributes:
        folder: Its run directory.
        trained_parameters: Number of trainable parameters in its last phase.
        best: Its best validation value of the metric.
        test: The same metric on the test set.
        epochs_to_reach: Epochs until it reached the worse of the two best values; None where it never did.
        seconds_to_reach: Wall time until then, including the computation of features.
        history: Rows of its history.
    """

    folder: str
    trained_parameters: int
    best: float
    test: float
    epochs_to_reach: int | None
    seconds_to_reach: float | None
    history: Sequence[Mapping[str, float]]


@dataclass(frozen=True)
class Pair:
    """Transfer and scratch on the same share of the training data.

    Attributes:
        fraction: The share.
        examples: Number of examples that both were trained on, without those held out.
        transfer: The run with the pretrained base.
        scratch: The run from random weights.
    """

    fraction: float
    examples: int
    transfer: Side
    scratch: Side


@dataclass(frozen=True)
class Comparison:
    """The result of a comparison.

    Attributes:
        metric: Name of the metric that is compared.
        pairs: A pair of runs for each share of the training data.
        folder: Folder of the comparison.
        note: A warning to show beside the results; may be empty.
    """

    metric: str
    pairs: Sequence[Pair]
    folder: Path
    note: str


class SideResult(BaseModel):
    """The results of one finished run, as stored in `progress.json`.

    Attributes:
        folder: Its run directory.
        examples: Number of examples that it was trained on; 0 where an earlier version did not store it.
        trained_parameters: Number of trainable parameters in its last phase.
        feature_seconds: Wall time in which features of a frozen base were computed.
        measured: Its metrics on the held-out examples.
        note: A warning to show beside them; may be empty.
        history: Rows of its history.
    """

    model_config = ConfigDict(strict=True, frozen=True)

    folder: str
    examples: int = 0
    trained_parameters: int
    feature_seconds: float
    measured: dict[str, float]
    note: str
    history: list[dict[str, int | float]]


class _Progress(BaseModel):
    """The content of `progress.json`."""

    model_config = ConfigDict(strict=True)

    config: dict[str, Any]
    fractions: list[float]
    sides: dict[str, SideResult]

    def write(self, folder: Path) -> None:
        write_text(folder / PROGRESS, json.dumps(self.model_dump()))


class ComparisonInterruptedError(Exception):
    """A comparison was interrupted by a signal; its progress is saved.

    Attributes:
        folder: Folder of the comparison.
        exit_status: Exit status of the process, 128 plus the signal's number.
    """

    def __init__(self, folder: Path, exit_status: int) -> None:
        self.folder, self.exit_status = folder, exit_status
        super().__init__(str(folder))


class ComparisonListener(Protocol):
    """Displays the progress of each run of a comparison."""

    def run(self, title: str, epochs: int, steps: int) -> AbstractContextManager[Listener]:
        """The listener of one run."""


def parse_fractions(text: str) -> list[float]:
    """Parse a list such as `0.05,0.1,1` to shares in ascending order.

    Raises:
        CnnkitError: One of them is not a number above 0 and up to 1.
    """
    try:
        shares = sorted({float(part) for part in text.split(",")})
    except ValueError:
        raise CnnkitError(f"--fractions: {format_value(text)} is not a list of numbers", "Write it as in 0.1,0.25,1.") from None
    if not all(0 < share <= 1 for share in shares):
        raise CnnkitError(f"--fractions: {format_value(text)} has a share that is not above 0 and up to 1")
    return shares


def compare_with_scratch(loaded: BoundConfig, shares: Sequence[float], run_dir: Path | None, listener: ComparisonListener) -> Comparison:
    """Train both networks on each share of the training data, and write `comparison.json` and `comparison.png`.

    An interrupted comparison of the same config and shares is resumed, including the interrupted run in it.

    Args:
        loaded: The transfer config.
        shares: Shares of the training data.
        run_dir: The folder of the comparison; `runs/NAME-comparison` where None.
        listener: Displays the progress.

    Raises:
        ComparisonInterruptedError: A signal requested a stop.
    """
    directory, lock, progress = _open_comparison(loaded, shares, run_dir)
    try:
        total = loaded.source.load(Request(loaded.config.data_seed, directory, ())).after_limit
        pairs, metric_name, note = [], "", ""
        for share in shares:
            limit = max(1, round(share * total))
            for side, config in (("transfer", loaded), ("scratch", _from_scratch(loaded))):
                name = f"{side}-{share:g}"
                if name not in progress.sides:
                    progress.sides[name] = _run(_with_limit(config, limit), directory / name, f"{side}, {limit:,} examples", listener)
                    progress.write(directory)
            transfer, scratch = (progress.sides[f"{side}-{share:g}"] for side in ("transfer", "scratch"))
            metric_name, note = headline_column(transfer.history[0]).removeprefix(VALIDATION_PREFIX), scratch.note
            metric = find(metric_name, custom_names([entry.written for entry in loaded.config.train.metrics or []]))
            pairs.append(Pair(share, transfer.examples or limit, *_sides(transfer, scratch, metric)))
        comparison = Comparison(metric_name, pairs, directory, note)
        write_json(directory / "comparison.json", {"figure": metric_name, "note": note, "pairs": [asdict(pair) for pair in pairs]})
        _draw(comparison, loaded.config.name)
        (directory / PROGRESS).unlink()
    finally:
        lock.release()
    return comparison


def _open_comparison(loaded: BoundConfig, shares: Sequence[float], run_dir: Path | None) -> tuple[Path, RunLock, _Progress]:
    """The folder of an interrupted comparison of the same config and shares, or a new one."""
    name = f"{loaded.config.name}-comparison"[:64]
    config = json.loads(json.dumps(resolved(loaded.config)))
    for folder in [run_dir] if run_dir is not None else sorted(path.parent for path in RUNS.glob(f"{name}*/{PROGRESS}")):
        progress = _read_progress(folder)
        if progress is not None and (progress.config, progress.fractions) == (config, list(shares)) and not is_locked(folder):
            return folder, RunLock(folder), progress
    created, lock = create_run_directory(name, run_dir)
    progress = _Progress(config=config, fractions=list(shares), sides={})
    progress.write(created.path)
    return created.path, lock, progress


def _read_progress(folder: Path) -> _Progress | None:
    """The progress of an interrupted comparison; None where `progress.json` is missing or damaged."""
    try:
        return _Progress.model_validate(read_json(folder / PROGRESS))
    except (OSError, ValueError):  # pydantic's ValidationError is a ValueError
        return None


def _draw(comparison: Comparison, title: str) -> None:
    """Plot the test metric over the number of training examples; for a single share, the validation metric over the epochs."""
    pairs, metric_name = comparison.pairs, comparison.metric
    lines: dict[str, tuple[Sequence[float], Sequence[float]]] = {}
    for name, side in (("pretrained base", "transfer"), ("from scratch", "scratch")):
        if len(pairs) > 1:
            lines[name] = [pair.examples for pair in pairs], [getattr(pair, side).test for pair in pairs]
        else:
            rows = getattr(pairs[0], side).history
            lines[name] = [row["epoch"] for row in rows], [row.get(f"val_{metric_name}", row[metric_name]) for row in rows]
    labels = ("training examples", f"test {metric_name}") if len(pairs) > 1 else ("epoch", f"validation {metric_name}")
    plot_lines(lines, labels, comparison.folder / "comparison.png", title, comparison.note)


def _run(loaded: BoundConfig, folder: Path, title: str, listener: ComparisonListener) -> SideResult:
    """Train one run, or resume it."""
    prepared = open_run(loaded, folder).prepare()
    with listener.run(title, prepared.epochs, prepared.train.steps) as progress:
        finished = train(prepared, progress)
    if finished.history.interrupted:
        raise ComparisonInterruptedError(folder.parent, finished.exit_status)
    if finished.evaluation is None:
        raise CnnkitError(f"{prepared.metadata.data}: has no held-out examples to compare on", "Set `data.validation`, or `data.test`.")
    return SideResult(
        folder=str(folder),
        examples=len(prepared.dataset.train),
        trained_parameters=sum(math.prod(variable.shape) for variable in prepared.network.model.trainable_variables),
        feature_seconds=finished.history.feature_seconds,
        measured=dict(finished.evaluation.measured),
        note=prepared.metadata.note,
        history=[dict(row) for row in finished.history.rows],
    )


def _sides(transfer: SideResult, scratch: SideResult, metric: Metric) -> tuple[Side, Side]:
    metric_name, higher = metric.name, metric.higher_is_better

    def series(result: SideResult) -> list[float]:
        return [row.get(f"{VALIDATION_PREFIX}{metric_name}", row[metric_name]) for row in result.history]

    bests = [metric.best(series(result)) for result in (transfer, scratch)]
    goal = min(bests) if higher else max(bests)

    def side(result: SideResult, best: float) -> Side:
        rows = result.history
        reached = next((i for i, value in enumerate(series(result)) if (value >= goal if higher else value <= goal)), None)
        seconds = None if reached is None else round(result.feature_seconds + sum(row["seconds"] for row in rows[: reached + 1]), 2)
        test = result.measured.get(metric_name, float("nan"))
        return Side(result.folder, result.trained_parameters, best, test, None if reached is None else reached + 1, seconds, rows)

    return side(transfer, bests[0]), side(scratch, bests[1])


def _with_limit(loaded: BoundConfig, limit: int) -> BoundConfig:
    """The config with a limited number of training examples."""
    data = loaded.config.data.model_copy(update={"limit": limit})
    return replace(loaded, config=loaded.config.model_copy(update={"data": data}), source=open_source(data))


def _from_scratch(loaded: BoundConfig) -> BoundConfig:
    """The config with random weights in the base, and all layers trained for the same number of epochs."""
    config, base = loaded.config, loaded.config.model.base
    fresh: Any
    if isinstance(base, Entry):
        fresh = parse_entry({base.name: {**base.arguments, "weights": "none"}})
    else:
        fresh = {**OwnBase.model_validate(base).model_dump(exclude_none=True), "weights": "none"}
    model = config.model.model_copy(update={"base": fresh})
    train_section = config.train.model_copy(update={"phases": [Phase(train="all", epochs=config.train.total_epochs, batch_norm="train")]})
    return replace(loaded, config=config.model_copy(update={"model": model, "train": train_section}))
