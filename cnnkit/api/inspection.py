"""Look at configs, data, networks and runs from Python: the twins of `check`, `data check`, `summary`, `init`, `runs` and others."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnnkit.api.arguments import Config, FilePath, Overrides, config_sources, given_path, optional_path, override_texts
from cnnkit.api.results import plain
from cnnkit.errors import CnnkitError
from cnnkit.keras_api import quiet_import
from cnnkit.keras_api.global_state import preserved_global_state
from cnnkit.runs.names import RUNS, SortKey

if TYPE_CHECKING:
    from cnnkit.config.packaged import PackagedConfig


def check(config: Config, *, set: Overrides = None) -> dict[str, Any]:
    """Check a config with its data: every error at once, as `cnnkit check`.

    Args:
        config: As for `train`.
        set: Overrides by dotted path.

    Returns:
        `layers` and `parameters` (their numbers), and `notices`.

    Raises:
        ConfigError: With every problem; `error.problems` has message, remedy, path and line of each.

    Example:
        >>> import cnnkit
        >>> cnnkit.check("digits")["parameters"]
        24586
        >>> try:
        ...     cnnkit.check("digits", set={"train.optimizer": "adm", "data.batch_size": 0})
        ... except cnnkit.errors.ConfigError as error:
        ...     len(error.problems)
        2
    """
    from cnnkit.data.binding import load
    from cnnkit.experiments.check_config import check_config

    quiet_import.install()
    with preserved_global_state():
        checked = check_config(load(config_sources(config), override_texts(set)))
    return {"layers": checked.layers, "parameters": checked.parameters, "notices": list(checked.notices)}


def check_data(config: Config, *, set: Overrides = None) -> dict[str, Any]:
    """Check every example of a config's data: damaged files, duplicates, leaks, imbalance, as `cnnkit data check --json`.

    Args:
        config: As for `train`.
        set: Overrides by dotted path.

    Raises:
        ConfigError: The config is wrong, or its data cannot be opened.
    """
    from cnnkit.data.binding import load
    from cnnkit.data.source import Request

    loaded = load(config_sources(config), override_texts(set))
    with tempfile.TemporaryDirectory(prefix="cnnkit-") as scratch:
        report: dict[str, Any] = plain(loaded.source.check(Request(loaded.config.data_seed, Path(scratch), ())).as_dict())
    return report


def summary(config: Config, *, set: Overrides = None) -> dict[str, Any]:
    """Layers, shapes, parameters and receptive fields of a config's network, as `cnnkit summary --json`; of a run: `Run.summary`.

    Args:
        config: As for `train`.
        set: Overrides by dotted path.

    Raises:
        ConfigError: The config is wrong.

    Example:
        >>> import cnnkit
        >>> cnnkit.summary("digits")["total_parameters"]
        24586
    """
    from cnnkit.data.binding import load
    from cnnkit.model.compile import build_and_compile
    from cnnkit.model.summary.summarize import summarize

    quiet_import.install()
    with preserved_global_state():
        network = build_and_compile(load(config_sources(config), override_texts(set)))
        results: dict[str, Any] = plain(summarize(network.model, preprocess=network.preprocess).as_dict())
    return results


def init(
    path: FilePath,
    *,
    output: FilePath | None = None,
    transfer: bool = False,
    measure: bool = True,
    download: bool = False,
    time: str | None = None,
    target: str | list[str] | None = None,
    group: str | None = None,
) -> Path:
    """Write a config for data of one's own, as `cnnkit init`.

    Args:
        path: A folder of images, a CSV, an npz or npy file.
        output: The config to write; `NAME.yaml` in the working directory where None.
        transfer: Whether to use a pretrained base, with image size, head and flips measured on a sample.
        measure: Whether to measure; with False, `transfer` takes defaults.
        download: Whether Keras may download the base's weights.
        time: How long training may take on this machine, such as `10m`; None for no limit.
        target: The CSV column or npz array to predict, or several.
        group: The column or array of groups, which no split divides.

    Returns:
        The file written, for `cnnkit.train`.

    Raises:
        CnnkitError: The data is missing or invalid, the config exists already, or arguments exclude each other.
    """
    from cnnkit.experiments.starter.time_budget import parse_time
    from cnnkit.experiments.starter.write import Options, write_starter

    if time is not None and not measure:
        raise CnnkitError("measure: False does not go with `time`, which is a matter of measuring", "Leave one of them out.")
    if download and not transfer:
        raise CnnkitError("download: goes with `transfer=True`", "Leave it out.")
    named = {"target": target, "group": group}
    options = Options(
        transfer=transfer,
        measures=measure,
        downloads=download,
        budget=None if time is None else parse_time(str(time)),
        data={key: value for key, value in named.items() if value},
    )
    with preserved_global_state():
        return write_starter(given_path(path), optional_path(output), options).path


def list_runs(folder: FilePath = RUNS, *, sort: SortKey = "when") -> list[dict[str, Any]]:
    """The runs in a folder and its subfolders, as `cnnkit runs --json`.

    Args:
        folder: The folder.
        sort: First the newest run (`when`), the best `metric`, or by `name`, `data`, `epochs`, `time` or `state`.

    Raises:
        CnnkitError: The folder does not exist, or has no run.
    """
    from cnnkit.runs.listing import list_runs as listed

    runs: list[dict[str, Any]] = plain([run.as_dict() for run in listed(given_path(folder), sort)])
    return runs


def list_configs() -> "dict[str, PackagedConfig]":
    """Name of each packaged config -> its first line and what was measured of it, as `cnnkit configs`.

    Example:
        >>> import cnnkit
        >>> cnnkit.list_configs()["digits"].measured.task
        'digits: 10 classes'
    """
    from cnnkit.config.packaged import packaged_configs

    return {config.name: config for config in packaged_configs()}


def bases() -> list[dict[str, Any]]:
    """Every pretrained network of the installed Keras: size, input, accuracy, as `cnnkit bases --json`."""
    from cnnkit.model.bases import list_bases

    quiet_import.install()
    with preserved_global_state():
        found: list[dict[str, Any]] = plain([base.as_dict() for base in list_bases()])
    return found


def schema() -> dict[str, Any]:
    """The JSON Schema of configs, as `cnnkit schema`."""
    from cnnkit.config.json_schema import json_schema

    return json_schema()
