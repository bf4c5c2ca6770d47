"""A config given as a Python mapping: checked by the parser of YAML files; errors name its entries, which have no lines."""

import json
import os
from collections.abc import Mapping
from typing import Any

from cnnkit.config.yaml_loader import Document, parse
from cnnkit.config.yaml_nodes import MAX_DEPTH
from cnnkit.errors import CnnkitError, ConfigError, Mark, Problem, dotted, format_value
from cnnkit.errors import Path as EntryPath

MARK, OVERRIDE_MARK = Mark("config"), Mark("set")


def read_mapping(config: Mapping[str, Any]) -> Document:
    """A config's values, all with the same mark, as in `config: train.epochs: wants an integer, got true`.

    Args:
        config: Sections as in a YAML file. Tuples count as lists, paths as texts, and NumPy's numbers and arrays as Python's.

    Raises:
        ConfigError: It has keys that are not texts, or values that YAML cannot express.
    """
    try:
        document = parse(json.dumps(_plain(config, (), MARK), ensure_ascii=False), MARK.source)
    except ConfigError as error:
        raise ConfigError(Problem(each.message, each.remedy, each.path, MARK) for each in error.problems) from error
    return Document(document.value, dict.fromkeys(document.keys, MARK), dict.fromkeys(document.values, MARK))


def override_text(key: str, value: Any) -> str:
    """The override `a.b.c=value` of a Python value.

    Args:
        key: The entry's path, such as `train.epochs`.
        value: Its value; see `read_mapping`.

    Raises:
        ConfigError: The value cannot be expressed in YAML.
        CnnkitError: The key has a `=` in it.
    """
    if not isinstance(key, str) or "=" in key:
        raise CnnkitError(f"set: {format_value(key)} is not a path to an entry", 'Write it as in `set={"train.epochs": 3}`.')
    return f"{key}={json.dumps(_plain(value, (key,), Mark('set')), ensure_ascii=False)}"


def _plain(value: Any, path: EntryPath, mark: Mark) -> Any:
    """A value as mappings, lists, texts, numbers, booleans and None."""
    if len(path) > MAX_DEPTH:  # `parse` refuses as much, but a mapping that holds itself has no end
        raise _refused(path[:3], mark, f"lists and mappings are nested more than {MAX_DEPTH} deep", "Nest them less.")
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise _refused(path, mark, f"the key {format_value(key)} is {_kind(key)}, not a text", "Put quotes around it.")
        return {key: _plain(item, (*path, key), mark) for key, item in value.items()}
    if isinstance(value, list | tuple | range):
        return [_plain(item, (*path, index), mark) for index, item in enumerate(value)]
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if hasattr(value, "tolist") and not isinstance(value, type):  # NumPy's numbers and arrays
        return _plain(value.tolist(), path, mark)
    remedy = "Write Keras's objects as in a YAML file: `{'Adam': {'learning_rate': 0.001}}`."
    raise _refused(path, mark, f"is {_kind(value)}, which a config cannot hold", remedy)


def _kind(value: object) -> str:
    name = type(value).__name__
    return f"an {name}" if name[:1].lower() in "aeiou" else f"a {name}"


def _refused(path: EntryPath, mark: Mark, message: str, remedy: str) -> ConfigError:
    return ConfigError([Problem(message, remedy, dotted(path), mark)])
