"""Train the same config several times, with several seeds or on the folds of a cross-validation, each as a run of its own."""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cnnkit.config.load import LoadedConfig, resolved
from cnnkit.data.binding import bind
from cnnkit.data.source import Request
from cnnkit.errors import BuildError, CnnkitError, format_value
from cnnkit.experiments.repeat_summary import RepeatSummary, summarize_repeats
from cnnkit.experiments.worker import RunTask
from cnnkit.experiments.worker_pool import OnEvent, train_runs
from cnnkit.runs.group import GroupPlan, open_group, without_repeated
from cnnkit.runs.names import RUNS

MOST_RUNS = 1000  # in a group

Configure = Callable[[Sequence[str]], LoadedConfig]  # the config with further `a.b.c=value` overrides


@dataclass(frozen=True)
class Repeats:
    """Runs of one config that are trained as a group.

    Attributes:
        plan: What the group consists of.
        folder: Its folder.
        tasks: Its runs.
    """

    plan: GroupPlan
    folder: Path
    tasks: Sequence[RunTask]


class RepeatsInterruptedError(Exception):
    """A group was interrupted by a signal; everything is saved.

    Attributes:
        exit_status: Exit status of the process, 128 plus the signal's number.
    """

    def __init__(self, exit_status: int) -> None:
        self.exit_status = exit_status
        super().__init__(exit_status)


def parse_seeds(text: str, first: int) -> Sequence[int]:
    """Parse `--seeds`: a number of seeds, counted up from the config's own, or a list such as `3,7,9`.

    Args:
        text: As typed.
        first: The config's seed.

    Raises:
        CnnkitError: It is neither, there are fewer than two or too many, or one is there twice.
    """
    try:
        numbers = [int(part) for part in text.split(",")]
    except ValueError:
        raise CnnkitError(f"--seeds: {format_value(text)} is neither a number nor a list of numbers", "Write 5, or 3,7,9.") from None
    wanted = numbers[0] if len(numbers) == 1 else len(numbers)
    if wanted < 2:
        raise CnnkitError(f"--seeds: {text}: fewer than two runs have no spread", "Name two or more, better five: `--seeds 5`.")
    if wanted > MOST_RUNS:
        raise CnnkitError(f"--seeds: {text}: more than {MOST_RUNS:,} runs", "Name a number of seeds, or a list such as 3,7,9.")
    seeds: Sequence[int] = range(first, first + wanted) if len(numbers) == 1 else numbers
    if len(set(seeds)) < len(seeds):
        raise CnnkitError(f"--seeds: {text}: a seed is there twice", "Name each once.")
    return seeds


def plan_seeds(configure: Configure, text: str, folder: Path | None) -> Repeats:
    """The runs of a config with several seeds.

    Args:
        configure: The config with further overrides.
        text: The value of `--seeds`.
        folder: The group's folder; `runs/NAME-seeds` where None.

    Raises:
        CnnkitError: The seeds or the config are not usable.
    """
    base = configure([])
    seeds = parse_seeds(text, base.config.seed)
    folder = folder if folder is not None else RUNS / f"{base.config.name}-seeds"
    tasks = [RunTask(f"seed-{seed}", configure([f"seed={seed}"]), folder / f"seed-{seed}") for seed in seeds]
    bind(base)  # so that a config that does not fit its data is told before any process is started
    return Repeats(GroupPlan(kind="seeds", config=without_repeated(resolved(base.config), "seeds")), folder, tasks)


def plan_folds(configure: Configure, folds: int, folder: Path | None) -> Repeats:
    """The runs of a cross-validation.

    Args:
        configure: The config with further overrides.
        folds: Number of folds.
        folder: The group's folder; `runs/NAME-folds` where None.

    Raises:
        CnnkitError: The data cannot be divided into so many folds, or the config is not usable.
    """
    numbers = range(1, folds + 1)
    configs = [configure([f"data.fold={{number: {number}, of: {folds}}}"]) for number in numbers]
    config = configs[0].config
    folder = folder if folder is not None else RUNS / f"{config.name}-folds"
    bound = bind(configs[0])
    with tempfile.TemporaryDirectory(prefix="cnnkit-") as scratch:
        try:
            bound.source.load(Request(config.data_seed, Path(scratch), ()))
        except BuildError as error:
            raise CnnkitError(f"--folds: {error.fault.message}", error.fault.remedy) from error
    tasks = [RunTask(f"fold-{number}", loaded, folder / f"fold-{number}") for number, loaded in zip(numbers, configs, strict=True)]
    return Repeats(GroupPlan(kind="folds", config=without_repeated(resolved(config), "folds"), folds=folds), folder, tasks)


def run_repeats(repeats: Repeats, workers: int, on_event: OnEvent) -> RepeatSummary:
    """Train the runs of a group and summarize them; finished ones are left alone, interrupted ones resumed.

    Args:
        repeats: The group.
        workers: Number of worker processes.
        on_event: Called with every event of a run.

    Returns:
        The summary, which is also written to the group's folder.

    Raises:
        RepeatsInterruptedError: A signal requested a stop.
        CnnkitError: The folder holds another group, or a run cannot be trained.
    """
    lock = open_group(repeats.folder, repeats.plan)
    try:
        status = train_runs(repeats.tasks, min(workers, len(repeats.tasks)), repeats.folder, on_event)
        if status:
            raise RepeatsInterruptedError(status)
        return summarize_repeats(repeats.folder, repeats.plan, [task.folder for task in repeats.tasks])
    finally:
        lock.release()
