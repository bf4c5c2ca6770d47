"""Many runs from Python: the twins of `train --seeds` and `--folds`, `sweep` and `compare`; runs are trained in worker processes."""

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from cnnkit.api.arguments import Config, FilePath, Overrides, config_sources, optional_number, optional_path, override_texts, whole_number
from cnnkit.api.results import plain
from cnnkit.api.run import Run
from cnnkit.api.session import raise_interruption
from cnnkit.config.load import LoadedConfig, load_config
from cnnkit.console.repeats import RepeatsDisplay
from cnnkit.errors import CnnkitError
from cnnkit.experiments.worker_pool import OnEvent
from cnnkit.keras_api import quiet_import
from cnnkit.keras_api.global_state import preserved_global_state
from cnnkit.training.distribution.cluster import require_one_process

if TYPE_CHECKING:
    from cnnkit.experiments.sweep.run import OpenSweep
    from cnnkit.experiments.sweep.winner import Winner


@preserved_global_state()
def repeat(
    config: Config,
    *,
    seeds: int | Sequence[int] | None = None,
    folds: int | None = None,
    set: Overrides = None,
    workers: int = 1,
    run_dir: FilePath | None = None,
    verbose: bool = False,
) -> dict[str, Any]:
    """Train a config with several seeds, or cross-validate it, as `cnnkit train --seeds` and `--folds`; a second call resumes it.

    Args:
        config: As for `train`.
        seeds: Number of seeds, counted from the config's, or a list of them.
        folds: Number of folds.
        set: Overrides by dotted path.
        workers: Number of worker processes.
        run_dir: The group's folder; `runs/NAME-seeds` or `runs/NAME-folds` where None.
        verbose: Whether to print progress.

    Returns:
        Mean, standard deviation and interval of every metric under `metrics`, the `runs`, the `folder` and the `page`.

    Raises:
        CnnkitError: Neither or both of seeds and folds are given, the config is wrong, a run cannot be trained, or this process is one
            of several workers.
        KeyboardInterrupt: SIGINT interrupted it; everything is saved, and the same call resumes it.
    """
    from cnnkit.experiments.repeats import RepeatsInterruptedError, plan_folds, plan_seeds, run_repeats
    from cnnkit.report.repeats import write_summary_page

    require_one_process("cnnkit.repeat")
    workers, folds = whole_number("workers", workers), optional_number("folds", folds, 2)
    if (seeds is None) == (folds is None):
        raise CnnkitError("give either seeds or folds", "`seeds=5` trains with five seeds, `folds=5` cross-validates.")
    sources, overrides, folder = config_sources(config), override_texts(set), optional_path(run_dir)
    quiet_import.install()

    def configure(further: Sequence[str]) -> LoadedConfig:
        return load_config(sources, [*overrides, *further])

    plan = plan_folds(configure, folds, folder) if folds is not None else plan_seeds(configure, _seeds_text(seeds), folder)
    display: AbstractContextManager[Any] = RepeatsDisplay(plan.tasks) if verbose else nullcontext()
    try:
        with display as shown:
            summary = run_repeats(plan, workers, shown.on_event if verbose else _nothing)
    except RepeatsInterruptedError as stop:
        raise_interruption(stop.exit_status, "everything is saved; the same call resumes it")
        raise
    page = write_summary_page(summary)
    results: dict[str, Any] = plain({**summary.as_dict(), "folder": str(plan.folder), "page": str(page)})
    return results


@preserved_global_state()
def sweep(
    config: Config,
    *,
    seeds: int = 0,
    set: Overrides = None,
    workers: int = 1,
    storage: str | None = None,
    sweep_dir: FilePath | None = None,
    verbose: bool = False,
) -> dict[str, Any]:
    """Search hyperparameters with Optuna, as `cnnkit sweep`, and with `seeds` as `--best --seeds` after it; a second call goes on with it.

    Args:
        config: A config with a `sweep` section, as for `train`.
        seeds: Number of fresh seeds with which the winner is retrained once all trials are finished, each run tested once; 0 for none.
        set: Overrides by dotted path.
        workers: Number of worker processes.
        storage: `postgresql://user@host/database` for several machines; None for a file.
        sweep_dir: The sweep's folder; `sweeps/NAME` where None.
        verbose: Whether to print progress.

    Returns:
        The `trials`, the `best` of them, its config as a file under `best_config` (for `cnnkit.train`), the `importances` of the
        parameters, and the `files` written. Under `winner`, None without `seeds`: the objective of the best trial and of the retrained
        runs, and the `gap` between them.

    Raises:
        CnnkitError: The config is wrong, Optuna is not installed, every trial fails, none is finished to be retrained, or this process is
            one of several workers.
        KeyboardInterrupt: SIGINT interrupted it; everything is saved, and the same call resumes it.
    """
    from cnnkit.experiments.sweep.run import open_sweep
    from cnnkit.experiments.sweep.storage import parse_storage
    from cnnkit.experiments.sweep.winner import write_best_config
    from cnnkit.report.sweep import write_sweep_report

    require_one_process("cnnkit.sweep")
    workers, seeds = whole_number("workers", workers), whole_number("seeds", seeds, 0)
    quiet_import.install()
    loaded = load_config(config_sources(config), override_texts(set))
    opened = open_sweep(loaded, optional_path(sweep_dir), parse_storage(storage))
    _search(opened, workers, verbose=verbose)
    winner = _retrain_winner(opened, seeds, workers, verbose=verbose) if seeds else None
    results = write_sweep_report(opened)
    best = results.status.best
    found: dict[str, Any] = {
        "name": results.status.name,
        "objective": results.status.objective.name,
        "trials": [asdict(row) for row in results.status.rows],
        "best": asdict(best) if best is not None else None,
        "best_config": str(write_best_config(opened).path) if best is not None else None,
        "winner": winner.as_dict() if winner is not None else None,
        "importances": dict(results.importances),
        "folder": str(opened.folder.path),
        "files": [str(path) for path in results.written],
    }
    plain_values: dict[str, Any] = plain(found)
    return plain_values


def _search(opened: "OpenSweep", workers: int, *, verbose: bool) -> None:
    """Train the trials that a sweep still lacks."""
    from cnnkit.console.sweep import sweep_display
    from cnnkit.experiments.sweep.run import run_sweep
    from cnnkit.report.sweep import write_sweep_report

    display: AbstractContextManager[Any] = sweep_display() if verbose else nullcontext()
    with display as shown:
        status = run_sweep(opened, workers, shown.on_status if verbose else _nothing, shown.on_notice if verbose else _nothing)
    if status:
        write_sweep_report(opened)
    raise_interruption(status, "everything is saved; the same call resumes it")


def _retrain_winner(opened: "OpenSweep", seeds: int, workers: int, *, verbose: bool) -> "Winner":
    """Retrain the winner of a finished sweep with fresh seeds, and test each run once."""
    from cnnkit.console.sweep import retraining_display
    from cnnkit.experiments.sweep.winner import retrain_winner, write_best_config

    best = write_best_config(opened)
    display: AbstractContextManager[OnEvent] = retraining_display() if verbose else nullcontext(_nothing)
    with display as on_event:
        winner, status = retrain_winner(opened, best, seeds, workers, on_event)
    raise_interruption(status, "everything is saved; the same call resumes it")
    assert winner is not None  # of a call that was not interrupted
    return winner


@preserved_global_state()
def compare(*runs: FilePath | Run, picture: FilePath | None = None) -> dict[str, Any]:
    """Compare runs side by side, the first with each of the others, as `cnnkit compare --json`.

    Args:
        *runs: Two or more runs, model files in runs, or groups of seeds or folds.
        picture: The PNG of the learning curves; `comparison.png` in the first run's folder where None.

    Raises:
        CnnkitError: There are fewer than two, one of them does not exist, or they were measured on different examples.
    """
    from cnnkit.experiments.compare_groups import are_groups, compare_groups
    from cnnkit.experiments.compare_runs import compare_runs

    quiet_import.install()
    paths, target = [run.path if isinstance(run, Run) else optional_path(run) for run in runs], optional_path(picture)
    named = [path for path in paths if path is not None]
    comparison = compare_groups(named, target) if are_groups(named) else compare_runs(named, target)
    results: dict[str, Any] = plain(comparison.as_dict())
    return results


def _seeds_text(seeds: int | Sequence[int] | None) -> str:
    """Seeds as `--seeds` takes them.

    Raises:
        CnnkitError: It is a list of fewer than two.
    """
    if not isinstance(seeds, Iterable) or isinstance(seeds, str):
        return str(whole_number("seeds", seeds))
    listed = [whole_number("seeds", seed, 0) for seed in seeds]
    if len(listed) < 2:
        raise CnnkitError(f"seeds: {listed}: fewer than two runs have no spread", "Give a number of seeds, or two or more of them.")
    return ",".join(map(str, listed))


def _nothing(*event: object) -> None:
    """A listener that prints nothing."""
