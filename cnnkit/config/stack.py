"""Merge several config files and `--set` overrides into one document; later ones win, and every value keeps its source location."""

import re
from collections.abc import Sequence
from copy import deepcopy
from typing import Any

from cnnkit.config.yaml_loader import Document, check_key, parse_value
from cnnkit.errors import ConfigError, Mark, Path, Problem, dotted, escape_unprintable, format_value

_PART = re.compile(r"(?:^|\.)([^.\[\]]+)|\[(-?\d+)\]")
MAX_OVERRIDE_LENGTH = 60  # characters of an override in a message
MAPPINGS_TO_NUMBERS: tuple[Path, ...] = (("train", "class_weight"), ("train", "learning_rate_factors"))  # nothing stands below their keys


def stack(documents: Sequence[Document], overrides: Sequence[str]) -> Document:
    """Merge several files, later ones over earlier ones, then apply overrides.

    Mappings merge; lists and scalars replace. A Keras object replaces one of another name completely: `SGD: {…}` over
    `Adam: {…}` keeps no argument of Adam.

    Args:
        documents: At least one, in increasing precedence.
        overrides: Texts `a.b.c=value`, the value in YAML; `layers[2]` or `layers.2` names a list item.

    Raises:
        ConfigError: With every override that cannot be applied.
    """
    value: Any = {}
    keys: dict[Path, Mark] = {}
    values: dict[Path, Mark] = {}
    for document in documents:
        value = _merge(value, document.value, (), values)
        keys.update(document.keys)
        values.update(document.values)
    problems: list[Problem] = []
    for override in overrides:
        mark = Mark(f"--set {escape_unprintable(override)}"[: MAX_OVERRIDE_LENGTH + 6])
        try:
            path, made = _apply(value, override, mark)
        except ConfigError as error:
            problems += error.problems
            continue
        _drop_marks(path, keys)
        _drop_marks(made, values)
        keys[path] = values[made] = mark
        keys.setdefault(made, mark)  # of a file, where it has the key with no value
    if problems:
        raise ConfigError(problems)
    return Document(value, keys, values)


def _merge(below: Any, above: Any, path: Path, marks: dict[Path, Mark]) -> Any:
    if not isinstance(below, dict) or not isinstance(above, dict) or _other_object(below, above):
        _drop_marks(path, marks)
        return deepcopy(above)
    merged = dict(below)
    for key, item in above.items():
        merged[key] = _merge(below[key], item, (*path, key), marks) if key in below else deepcopy(item)
    return merged


def _other_object(below: dict[str, Any], above: dict[str, Any]) -> bool:
    """Whether both are Keras objects, of different names: one name in upper case with its arguments, or with nothing for none."""
    entries = [next(iter(each.items())) for each in (below, above) if len(each) == 1]
    names = [name for name, arguments in entries if name[:1].isupper() and isinstance(arguments, dict | None)]
    return len(names) == 2 and names[0] != names[1]


def _drop_marks(path: Path, *marks: dict[Path, Mark]) -> None:
    """Drop the marks at and below a path whose value is replaced."""
    for each in marks:
        for known in [known for known in each if known[: len(path)] == path]:
            del each[known]


def _apply(root: Any, override: str, mark: Mark) -> tuple[Path, Path]:
    """Apply one override in place; its path, and that of the topmost entry that it gives a value."""
    name, equals, text = override.partition("=")
    if not equals or not name.strip():
        raise _config_error("wants KEY=VALUE", "Write it as in `--set train.epochs=3`.", (), mark)
    return _set_entry(root, name.strip(), parse_value(text, mark.source), mark)


def set_entry(root: Any, name: str, value: Any, mark: Mark) -> Path:
    """Set the entry that a path such as `model.layers[0].Conv2D.filters` names, in place; missing mappings above it are made.

    Args:
        root: A config's plain values.
        name: The path; `layers[2]` or `layers.2` names a list item. A key that is there may have dots, and so may any key of a mapping
            to numbers, as `train.learning_rate_factors.BatchNormalization.beta`.
        value: The value.
        mark: Source location of the path, for errors.

    Returns:
        The path, taken apart.

    Raises:
        ConfigError: It is no path, or leads through an entry that is neither a mapping nor a list with such an item.
    """
    return _set_entry(root, name, value, mark)[0]


def _set_entry(root: Any, name: str, value: Any, mark: Mark) -> tuple[Path, Path]:
    """As `set_entry`; the path, and that of the topmost entry made, which is the same where no mapping above it was."""
    rest = _parts(name, mark)
    here = root
    path: Path = ()
    made: Path = ()
    while rest:
        part, rest = _next_part(here, rest, path)
        step = _step(here, part, path, mark)
        path = (*path, step)
        if not rest:
            here[step] = value
        elif isinstance(here, dict) and here.get(step) is None:
            made = made or path
            here[step] = here = {}
        else:
            here = here[step]
    return path, made or path


def _parts(name: str, mark: Mark) -> list[str | int]:
    found = list(_PART.finditer(name))
    if "".join(match.group(0) for match in found) != name:
        raise _config_error(f"{format_value(name)} is not a path to an entry", "Write it as in `model.layers[0].Conv2D.filters`.", (), mark)
    return [int(match.group(2)) if match.group(2) else match.group(1) for match in found]


def _next_part(here: Any, parts: list[str | int], path: Path) -> tuple[str | int, list[str | int]]:
    """The next part of a path and those after it; as many words as together are a key of the mapping at `path` are one part."""
    for count in range(len(parts), 1, -1):
        key = ".".join(map(str, parts[:count]))
        is_key = path in MAPPINGS_TO_NUMBERS or (isinstance(here, dict) and key in here)
        if is_key and all(isinstance(part, str) for part in parts[:count]):
            return key, parts[count:]
    return parts[0], parts[1:]


def _step(here: Any, part: str | int, path: Path, mark: Mark) -> str | int:
    """The key or index of a path's part in a container, checked."""
    if isinstance(here, list):
        if isinstance(part, str) and not part.lstrip("-").isdecimal():
            raise _config_error(f"is a list, so {format_value(part)} names nothing in it", "Name an item by its number: `[0]`.", path, mark)
        index = int(part)
        if not -len(here) <= index < len(here):
            raise _config_error(f"has {len(here)} items, so there is no [{index}]", f"The last one is [{len(here) - 1}].", path, mark)
        return index % len(here)
    if not isinstance(here, dict):
        raise _config_error(f"is {format_value(here)}, so nothing stands below it", f"Set `{dotted(path)}` itself.", path, mark)
    if isinstance(part, int):
        raise _config_error("is a mapping, not a list", "Name an entry by its key.", path, mark)
    if fault := check_key(part):
        raise _config_error(fault, "Use a short plain word.", path, mark)
    return part


def _config_error(message: str, remedy: str, path: Path, mark: Mark) -> ConfigError:
    return ConfigError([Problem(message, remedy, dotted(path), mark)])
