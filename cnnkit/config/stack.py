"""Several config files and `--set` overrides to one document: later ones win, every value keeps its place of origin."""

import re
from collections.abc import Sequence
from typing import Any

from cnnkit.config.yaml_loader import Document, harmless, parse_value
from cnnkit.errors import ConfigError, Mark, Path, Problem, dotted

_PART = re.compile(r"([^.\[\]]+)|\[(-?\d+)\]")


def stack(documents: Sequence[Document], overrides: Sequence[str]) -> Document:
    """One document of several, and the overrides on top."""
    value: Any = {}
    keys: dict[Path, Mark] = {}
    values: dict[Path, Mark] = {}
    for document in documents:
        value = _merge(value, document.value)
        keys.update(document.keys)
        values.update(document.values)
    problems = []
    for override in overrides:
        source = f"--set {harmless(override)[:60]}"
        name, equals, text = override.partition("=")
        parts: Path = tuple(word or int(index) for word, index in _PART.findall(name))
        if not equals or not parts:
            problems.append(Problem("wants key=value", "Write it as in `--set train.epochs=3`.", mark=Mark(source)))
            continue
        here = value
        for part in parts[:-1]:
            here = here[int(part)] if isinstance(here, list) else here.setdefault(part, {})
        here[int(parts[-1]) if isinstance(here, list) else parts[-1]] = parse_value(text, source)
        keys[parts] = values[parts] = Mark(source)
    if problems:
        raise ConfigError(problems)
    return Document(value, keys, values)


def _merge(below: Any, above: Any) -> Any:
    if not isinstance(below, dict) or not isinstance(above, dict):
        return above
    return {**below, **{key: _merge(below.get(key), item) for key, item in above.items()}}


_ = dotted
