"""A config's text to PyYAML's nodes, within limits on depth and number, every syntax error explained in config terms.

PyYAML's Python parser is used: the C one overflows the stack on deep nesting.
"""

from collections.abc import Callable
from typing import Any

import yaml

from cnnkit.config.yaml_syntax import describe_syntax_error
from cnnkit.errors import ConfigError, Mark, Problem, format_value

MAX_DEPTH = 32  # mappings and lists inside each other
MAX_NODES = 20_000  # keys and values, each alias counted as often as it is used


def compose(text: str, place: Callable[[yaml.Mark], Mark]) -> tuple[yaml.Node | None, list[Mark]]:
    """The root node of a text, None of an empty one, and the marks of its tags.

    Args:
        text: YAML.
        place: Converts PyYAML's mark to the `Mark` that errors carry.

    Raises:
        ConfigError: The text is not YAML, too deep, too large, or has a recursive alias.
    """
    source = place(yaml.Mark("", 0, 0, 0, None, 0))
    try:
        composer = _Composer(text, place)
    except yaml.reader.ReaderError as error:
        raise config_error(
            f"the control character {format_value(text[error.position])} is not allowed in YAML",
            "Remove it; a config is plain text.",
            mark_of_index(source.source, text, error.position) if source.line else source,
        ) from None
    try:
        root = composer.get_single_node()
    except yaml.MarkedYAMLError as error:
        message, remedy, mark = describe_syntax_error(error)
        raise config_error(message, remedy, place(mark) if mark else source) from None
    except (ValueError, OverflowError):  # PyYAML passes "\UFFFFFFFF" to chr() and the digits of %YAML to int() unchecked
        raise config_error(
            "a number in an escape or a directive is out of range",
            "Write the character itself.",
            place(composer.get_mark()),
        ) from None
    return root, composer.tags


class _Composer(yaml.SafeLoader):
    """Composes PyYAML's node tree within the limits; records tags, which are refused later, and leaves plain scalars as text."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - PyYAML's own name and kind

    def __init__(self, text: str, place: Callable[[yaml.Mark], Mark]) -> None:
        super().__init__(text)
        self.place = place
        self.tags: list[Mark] = []
        self._nodes = 0
        self._open_anchors: list[str | None] = []

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        mark = self.place(event.start_mark)
        self._nodes += 1
        check_limits(self._nodes, len(self._open_anchors), event, mark)
        if isinstance(event, yaml.AliasEvent) and event.anchor in self._open_anchors:
            raise config_error("an alias is inside what it refers to", "Write the value out.", mark)
        if getattr(event, "tag", None) is not None:
            self.tags.append(mark)
        self._open_anchors.append(event.anchor)
        node = super().compose_node(parent, index)
        self._open_anchors.pop()
        return node


def check_limits(nodes: int, enclosing: int, item: yaml.Node | yaml.Event, mark: Mark) -> None:
    """Refuse a config with too many nodes or too deep nesting.

    Args:
        nodes: Nodes seen so far.
        enclosing: Collections around this node.
        item: The node, or the event that begins it.
        mark: Its location.

    Raises:
        ConfigError: A limit is exceeded.
    """
    if nodes > MAX_NODES:
        raise config_error(
            f"the config has more than {MAX_NODES:,} keys and values, aliases written out",
            "Shorten it; a long list belongs in a data file, and `repeat` writes a block of layers once.",
            mark,
        )
    if enclosing >= MAX_DEPTH and isinstance(item, yaml.CollectionNode | yaml.CollectionStartEvent):
        raise config_error(f"lists and mappings are nested more than {MAX_DEPTH} deep", "Nest them less.", mark)


def config_error(message: str, remedy: str, mark: Mark) -> ConfigError:
    """A ConfigError with one problem of the YAML text itself."""
    return ConfigError([Problem(message, remedy, mark=mark)])


def mark_of_index(source: str, text: str, index: int) -> Mark:
    """The line and column of a character in a text."""
    return Mark(source, text.count("\n", 0, index) + 1, index - text.rfind("\n", 0, index))
