"""Arguments of the Python interface as the commands' functions take them: configs, overrides, paths."""

import operator
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cnnkit.config.load import ConfigSource
from cnnkit.config.mapping import override_text
from cnnkit.errors import CnnkitError, format_value

FilePath = str | os.PathLike[str]
OneConfig = FilePath | Mapping[str, Any]
Config = OneConfig | Sequence[OneConfig]  # several are merged, later ones over earlier ones
Overrides = Mapping[str, Any] | None  # dotted path of an entry -> its value


def config_sources(config: Config) -> list[ConfigSource]:
    """Configs as `load_config` takes them.

    Raises:
        CnnkitError: It is neither a path nor a mapping, nor a list of them, or an empty list.
    """
    configs = [config] if isinstance(config, str | os.PathLike | Mapping) else config
    if not isinstance(configs, Sequence) or isinstance(configs, bytes | bytearray) or not configs:
        raise CnnkitError(f"{format_value(config)} is not a config", "Name a YAML file, a packaged config, or give a mapping.")
    return [_source(each) for each in configs]


def _source(config: Any) -> ConfigSource:
    if isinstance(config, Mapping):
        return config
    if isinstance(config, str | os.PathLike):
        return Path(config)
    raise CnnkitError(f"{format_value(config)} is not a config", "Name a YAML file, a packaged config, or give a mapping.")


def override_texts(overrides: Overrides) -> list[str]:
    """Overrides as `load_config` takes them.

    Raises:
        CnnkitError: They are not a mapping, or a value cannot be expressed in YAML.
    """
    if overrides is None:
        return []
    if not isinstance(overrides, Mapping):
        raise CnnkitError(f"set: {format_value(overrides)} is not a mapping", 'Write it as in `set={"train.epochs": 3}`.')
    return [override_text(key, value) for key, value in overrides.items()]


def optional_path(path: FilePath | None) -> Path | None:
    """A path; None where none is given.

    Raises:
        CnnkitError: It is something else.
    """
    return None if path is None else given_path(path)


def given_path(path: FilePath) -> Path:
    """A path that has to be given.

    Raises:
        CnnkitError: It is something else.
    """
    if not isinstance(path, str | os.PathLike) or not isinstance(os.fspath(path), str) or not os.fspath(path):
        raise CnnkitError(f"{format_value(path)} is not a path", "Give it as a text or a `pathlib.Path`.")
    return Path(path)


def one_or_several(name: str, value: Any) -> list[str]:
    """An argument that is a text, or several of them.

    Raises:
        CnnkitError: It is something else, or empty.
    """
    texts = [value] if isinstance(value, str) else list(value) if isinstance(value, Sequence) else []
    if not texts or not all(isinstance(text, str) for text in texts):
        raise CnnkitError(f"{name}: {format_value(value)} is neither a text nor a list of texts")
    return texts


def whole_number(name: str, value: Any, least: int = 1) -> int:
    """An argument that counts something; NumPy's whole numbers are some, too.

    Args:
        name: The argument.
        value: Its value.
        least: The smallest valid one.

    Raises:
        CnnkitError: It is no whole number, or a smaller one.
    """
    number = operator.index(value) if hasattr(value, "__index__") and not isinstance(value, bool) and not np.ndim(value) else None
    if number is None or number < least:
        raise CnnkitError(f"{name}: {format_value(value)} is not a whole number of {least} or more")
    return number


def optional_number(name: str, value: Any, least: int = 1) -> int | None:
    """The same where None is valid, too."""
    return None if value is None else whole_number(name, value, least)


def number_from_zero(name: str, value: Any) -> float:
    """An argument that is a finite number of 0 or more.

    Raises:
        CnnkitError: It is something else.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | np.number) or not 0 <= value < float("inf"):
        raise CnnkitError(f"{name}: {format_value(value)} is not a number of 0 or more")
    return float(value)


def optional_text(name: str, value: Any) -> str | None:
    """An argument that is a text, or None.

    Raises:
        CnnkitError: It is something else.
    """
    if value is not None and not isinstance(value, str):
        raise CnnkitError(f"{name}: {format_value(value)} is not a text", f"Put quotes around it: `{name}='{value}'`.")
    return value
