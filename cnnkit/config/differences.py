"""The entries in which two configs differ."""

from collections.abc import Mapping
from typing import Any

from cnnkit.errors import Path, dotted


def differences(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Dotted key -> (value in the first, value in the second), None where it has none; equal entries are left out.

    Lists of equal length are compared item by item, so that one changed layer is one row: `model.layers[2].Conv2D.filters`.
    """
    return {dotted(path): values for path, values in differing_entries(first, second)}


def differing_entries(first: Any, second: Any, path: Path = ()) -> list[tuple[Path, tuple[Any, Any]]]:
    """The same by path, whose keys may have dots in them: `("model", "layers", 2, "Conv2D", "filters")`."""
    if isinstance(first, Mapping) and isinstance(second, Mapping):
        keys = list(dict.fromkeys([*first, *second]))
        return [row for each in keys for row in differing_entries(first.get(each), second.get(each), (*path, each))]
    if isinstance(first, list) and isinstance(second, list) and len(first) == len(second):
        return [row for index, pair in enumerate(zip(first, second, strict=True)) for row in differing_entries(*pair, (*path, index))]
    return [] if first == second else [(path, (first, second))]


def entry_at(config: Any, path: Path) -> Any:
    """The entry of a config at a path; None where it has none."""
    for part in path:
        if isinstance(config, list):
            config = config[part] if isinstance(part, int) and part < len(config) else None
        else:
            config = config.get(part) if isinstance(config, Mapping) else None
    return config
