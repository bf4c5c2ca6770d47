"""Train a run from Python: the twins of `cnnkit train`, `train --resume` and `transfer`."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cnnkit.api.arguments import Config, FilePath, Overrides, config_sources, optional_number, optional_path, override_texts
from cnnkit.api.display import session_display
from cnnkit.api.run import Run, load
from cnnkit.api.session import run_session
from cnnkit.config.load import ConfigSource, LoadedConfig, load_config, with_epochs
from cnnkit.errors import CnnkitError
from cnnkit.keras_api import quiet_import

if TYPE_CHECKING:
    from pathlib import Path


def train(
    config: Config,
    *,
    set: Overrides = None,
    epochs: int | None = None,
    run_dir: FilePath | None = None,
    resume_or_start: bool = False,
    verbose: bool = False,
) -> Run:
    """Train the network of a config, as `cnnkit train`.

    Args:
        config: A YAML file, the name of a packaged config such as `digits`, a mapping of sections, or several of them, which are
            merged. Relative paths in a mapping are relative to the working directory.
        set: Overrides by dotted path: `{"train.optimizer.Adam.learning_rate": 1e-3}`. A value replaces the entry as a whole.
        epochs: Total number of epochs, in place of the config's.
        run_dir: The run's folder; `runs/NAME` where None, or `runs/NAME-2` where that is taken.
        resume_or_start: Whether to resume the run in its folder, or return it at once where it is finished.
        verbose: Whether to print progress and metrics, as the command does. Without it, warnings are Python's warnings.

    Returns:
        The finished run.

    Raises:
        ConfigError: The config is wrong: with every problem, its line and a remedy.
        CnnkitError: The data cannot be used, the loss diverged, or the disk cannot be written.
        KeyboardInterrupt: SIGINT (Ctrl-C, or a notebook's stop button) interrupted it; everything is saved, and `cnnkit.resume`
            continues it.

    Example:
        >>> import cnnkit
        >>> run = cnnkit.train("digits", set={"train.epochs": 2, "data.batch_size": 64})
        >>> len(run.history), run.config["data"]["batch_size"]
        (2, 64)
        >>> run.metrics["accuracy"] > 0.8
        True
        >>> cnnkit.train("digits", set={"train.epoch": 2})
        Traceback (most recent call last):
            ...
        cnnkit.errors.ConfigError: --set train.epoch=2: train.epoch: unknown key. Did you mean 'epochs'?
    """
    loaded = _load_train(config_sources(config), override_texts(set), epochs)
    return _train(loaded, run_dir, resume_or_start=resume_or_start, verbose=verbose)


def resume(
    run: FilePath,
    *,
    epochs: int | None = None,
    config: Config | None = None,
    set: Overrides = None,
    force: bool = False,
    verbose: bool = False,
) -> Run:
    """Continue an interrupted run exactly where it stopped, or train a finished one further; see `Run.resume`.

    Args:
        run: Its folder, or its name below `runs/`.
        epochs: Total number of epochs; None for those of the config.
        config: A config in place of the run's own.
        set: Overrides by dotted path.
        force: Whether to resume although the config or the data has changed.
        verbose: Whether to print progress and metrics.

    Raises:
        CnnkitError: There is no such run, it has no checkpoint, or its config or data has changed.
        KeyboardInterrupt: SIGINT interrupted it; everything is saved.

    Example:
        >>> import cnnkit
        >>> run = cnnkit.train("digits", epochs=1)
        >>> len(cnnkit.resume(run.path, epochs=2).history)
        2
    """
    return load(run).resume(epochs=epochs, config=config, set=set, force=force, verbose=verbose)


def transfer(
    config: Config | None = None,
    *,
    base: FilePath | None = None,
    set: Overrides = None,
    epochs: int | None = None,
    fine_tune: int | None = None,
    fine_tune_epochs: int | None = None,
    run_dir: FilePath | None = None,
    resume_or_start: bool = False,
    verbose: bool = False,
) -> Run:
    """Train a new head on a frozen pretrained base, as `cnnkit transfer`.

    Args:
        config: As for `train`; the packaged `transfer` where None.
        base: A pretrained base of `keras.applications` in any spelling, or a run or `.keras` file; None for the config's.
        set: Overrides by dotted path.
        epochs: Epochs for the head.
        fine_tune: Number of the base's last layers that are trained in a second phase; None for no such phase.
        fine_tune_epochs: Its epochs; 5 where None.
        run_dir: The run's folder; `runs/NAME` where None.
        resume_or_start: Whether to resume the run in its folder, or return it at once where it is finished.
        verbose: Whether to print progress and metrics.

    Returns:
        The finished run.

    Raises:
        CnnkitError: The config is wrong, the base is unknown, or its weights are not available.
        KeyboardInterrupt: SIGINT interrupted it; everything is saved.
    """
    from cnnkit.training.transfer_config import FINE_TUNE_EPOCHS, FineTune, load_transfer

    epochs, layers = optional_number("epochs", epochs), optional_number("fine_tune", fine_tune)
    given = [*([f"train.epochs={epochs}"] if epochs is not None else []), *override_texts(set)]
    sources = config_sources(config) if config is not None else []
    fine_tune_epochs = optional_number("fine_tune_epochs", fine_tune_epochs)
    if fine_tune_epochs is not None and layers is None:
        raise CnnkitError("fine_tune_epochs: goes with fine_tune", "Give the number of layers: `fine_tune=30`.")
    phase = FineTune(layers, fine_tune_epochs or FINE_TUNE_EPOCHS) if layers is not None else None
    path = optional_path(base)
    loaded = load_transfer(sources, str(path) if path is not None else None, given, phase)
    return _train(loaded, run_dir, resume_or_start=resume_or_start, verbose=verbose)


def _load_train(sources: Sequence[ConfigSource], overrides: Sequence[str], epochs: int | None) -> LoadedConfig:
    epochs = optional_number("epochs", epochs)
    loaded = load_config(sources, overrides)
    return loaded if epochs is None else with_epochs(sources, overrides, loaded, epochs)


def _train(loaded: LoadedConfig, run_dir: FilePath | None, *, resume_or_start: bool, verbose: bool) -> Run:
    from cnnkit.data.binding import bind
    from cnnkit.training import session

    quiet_import.install()
    folder: Path | None = optional_path(run_dir)
    display = session_display(verbose=verbose)
    if resume_or_start:
        return Run(run_session(lambda cluster: session.resume_or_start(loaded, folder, display, cluster)))
    return Run(run_session(lambda cluster: session.start_or_resume(bind(loaded), folder, display, None, cluster)))
