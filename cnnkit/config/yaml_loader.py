"""Parse a config's text into plain values with line and column; YAML features that configs do not need are refused.

Scalars are read by the rules of the YAML 1.2 core schema (https://yaml.org/spec/1.2.2/#103-core-schema), so `on` is
text, `010` is ten and `1e-3` a number.
"""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any

import yaml

from cnnkit.config.packaged import names
from cnnkit.config.yaml_nodes import check_limits, compose, config_error, mark_of_index
from cnnkit.errors import ConfigError, Mark, Path, Problem, did_you_mean, dotted, escape_unprintable, format_value
from cnnkit.io.regular_file import regular_file_size

MAX_BYTES = 256 * 1024
MAX_KEY_LENGTH = 100  # characters; every path in every message repeats keys
MAX_NUMBER_LENGTH = 100  # characters; Python refuses to print integers of more than 4,300 digits
MAX_PROBLEMS = 20

_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_BOOLEANS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INTEGERS = {10: re.compile(r"[-+]?[0-9]+"), 8: re.compile(r"0o[0-7]+"), 16: re.compile(r"0x[0-9a-fA-F]+")}
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NON_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")


@dataclass(frozen=True)
class Document:
    """A config's values and their source locations.

    Attributes:
        value: Mappings, lists, texts, integers, floats, booleans and None.
        keys: Path of an entry -> the mark of its key; for a list item, of the item.
        values: Path of an entry -> the mark of its value; `()` is the whole config.
    """

    value: dict[str, Any]
    keys: Mapping[Path, Mark]
    values: Mapping[Path, Mark]

    def mark(self, path: Path) -> Mark | None:
        """The mark of the value at a path or, where there is none, of the nearest entry that encloses it."""
        for length in range(len(path), -1, -1):
            if path[:length] in self.values:
                return self.values[path[:length]]
        return None


def read_file(path: str | os.PathLike[str]) -> Document:
    """Read and parse a config file.

    Raises:
        ConfigError: The file cannot be read, or `parse` refuses its text.
    """
    file, source = FilePath(path), escape_unprintable(os.fspath(path))
    try:
        regular_file_size(file)
        with file.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise config_error(
            "there is no such file." + did_you_mean(file.name, _yaml_files(file.parent) if file.suffix else names()),
            "Name a YAML file; `cnnkit configs` lists those that come with cnnkit.",
            Mark(source),
        ) from None
    except IsADirectoryError:
        raise config_error("this is a folder, not a file", "Name a YAML file in it.", Mark(source)) from None
    except OSError as error:
        reason = (error.strerror or "unknown reason").lower()
        raise config_error(f"the file cannot be read: {reason}", "Check the path and its permissions.", Mark(source)) from None
    if len(data) > MAX_BYTES:
        raise _too_long(Mark(source))
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8-sig")
        raise config_error(
            "the file is not UTF-8 text",
            "Name a YAML file (not a model, an image or an archive), saved as UTF-8.",
            mark_of_index(source, before, len(before)),
        ) from None
    return parse(text, source)


def parse(text: str, source: str) -> Document:
    """Parse a config's text into values and marks.

    Args:
        text: YAML with one mapping at its top level.
        source: Name of the file in marks.

    Raises:
        ConfigError: The text is not YAML, is too long, too deep or too large, its top level is not a mapping, or it
            has what configs do not allow: duplicate keys, keys that are not text, merge keys, tags, recursive aliases.
    """
    if len(text) > MAX_BYTES:
        raise _too_long(Mark(source))
    root, converter = _read_nodes(text, lambda mark: Mark(source, mark.line + 1, mark.column + 1))
    value = None if root is None else converter.read(root, ())
    if value is not None and not isinstance(value, dict):
        converter.refuse(
            f"the config is {_noun(value)}, not a mapping",
            "Write `key: value` entries, such as `model:`.",
            mark=converter.values[()],
        )
    converter.raise_problems()
    if value is None:
        raise config_error("the config is empty", "Begin with one that `cnnkit configs` lists.", Mark(source))
    return Document(value, converter.keys, converter.values)


def parse_value(text: str, source: str) -> Any:
    """The value of a `--set` override; an empty text is None.

    Args:
        text: YAML: a scalar, a list or a mapping.
        source: Name of the override in marks.

    Raises:
        ConfigError: As for `parse`, except that the value need not be a mapping.
    """
    if len(text) > MAX_BYTES:
        raise _too_long(Mark(source))
    root, converter = _read_nodes(text, lambda _: Mark(source))
    if text[root.end_mark.index if root else 0 :].strip():
        converter.refuse("what follows '#' is a comment in YAML", "Put quotes around the value.", mark=Mark(source))
    value = None if root is None else converter.read(root, ())
    converter.raise_problems()
    return value


def check_key(key: str) -> str:
    """Why a key is refused (too long, unprintable); empty where it is accepted."""
    if len(key) > MAX_KEY_LENGTH:
        return f"a key of {len(key):,} characters; at most {MAX_KEY_LENGTH} are allowed"
    return "" if key.isprintable() else f"the key {format_value(key)} holds a character that cannot be printed"


@dataclass
class _Converter:
    """Converts nodes to plain values and collects marks and problems."""

    place: Callable[[yaml.Mark], Mark]
    keys: dict[Path, Mark] = field(default_factory=dict)
    values: dict[Path, Mark] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    nodes: int = 0

    def refuse(self, message: str, remedy: str, path: Path = (), mark: Mark | None = None) -> None:
        self.problems.append(Problem(message, remedy, dotted(path), mark))

    def raise_problems(self) -> None:
        if self.problems:
            raise ConfigError(self.problems[:MAX_PROBLEMS])

    def read(self, node: yaml.Node, path: Path) -> Any:
        """The value of a node; a node is counted once per alias that refers to it."""
        self.nodes += 1
        mark = self.values[path] = self.place(node.start_mark)
        check_limits(self.nodes, len(path), node, mark)
        if isinstance(node, yaml.MappingNode):
            return self._read_mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            for index, item in enumerate(node.value):
                self.keys[*path, index] = self.place(item.start_mark)
            return [self.read(item, (*path, index)) for index, item in enumerate(node.value)]
        return self._read_scalar(node, path, mark)

    def _read_mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        mapping: dict[str, Any] = {}
        for key_node, value_node in node.value:
            self.nodes += 1
            mark = self.place(key_node.start_mark)
            key = self._read_key(key_node, path, mark)
            if key is None:
                continue
            there = (*path, key)
            if key in mapping:
                first = self.keys[there]
                where = f", first on line {first.line}" if first.line else ""
                self.refuse(f"this key stands twice{where}", "Keep one of the two.", there, mark)
                continue
            self.keys[there] = mark
            mapping[key] = self.read(value_node, there)
        return mapping

    def _read_key(self, node: yaml.Node, path: Path, mark: Mark) -> str | None:
        if not isinstance(node, yaml.ScalarNode):
            self.refuse(
                "a list or a mapping cannot be a key",
                "Write a word before the ':', and put quotes around text that begins with '[' or '{'.",
                path,
                mark,
            )
            return None
        if node.style is None and node.value == "<<":
            self.refuse(
                "merge keys ('<<') are not allowed",
                "Write the entries out, or put what is shared into a config of its own and stack the two.",
                path,
                mark,
            )
            return None
        fault = check_key(node.value)
        if fault:
            self.refuse(fault, "Use a short plain word.", path, mark)
            return None
        key = self._read_scalar(node, path, mark)
        if not isinstance(key, str):
            self.refuse(
                f"the key {format_value(key)} is {_noun(key)}, not text",
                f"Put quotes around it: {format_value(node.value)}." if node.value else "Write a word before the ':'.",
                path,
                mark,
            )
            return None
        return key

    def _read_scalar(self, node: yaml.Node, path: Path, mark: Mark) -> str | float | bool | None:
        text: str = node.value
        if _UNPRINTABLE.search(text):
            self.refuse(f"the text {format_value(text)} holds a control character", "Remove it.", path, mark)
        if isinstance(node, yaml.ScalarNode) and node.style is not None:
            return text
        if len(text) > MAX_NUMBER_LENGTH:
            if _FLOAT.fullmatch(text):
                self.refuse(
                    f"a number of {len(text):,} characters; at most {MAX_NUMBER_LENGTH} are allowed",
                    "Round it, or put quotes around it if it is text.",
                    path,
                    mark,
                )
            return text
        return plain_scalar(text)


def plain_scalar(text: str) -> str | float | bool | None:
    """The value of an unquoted scalar in the core schema of YAML 1.2."""
    if text in _NULL:
        return None
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    for base, pattern in _INTEGERS.items():
        if pattern.fullmatch(text):
            return int(text, base)
    if _FLOAT.fullmatch(text):
        return float(text)
    if _NON_FINITE.fullmatch(text):
        return float(text.replace(".", "", 1))
    return text


def _read_nodes(text: str, place: Callable[[yaml.Mark], Mark]) -> tuple[yaml.Node | None, _Converter]:
    """The root node (None for an empty text), and a converter for it that has recorded its tags as problems."""
    root, tags = compose(text, place)
    converter = _Converter(place)
    for tag in tags:
        converter.refuse("tags ('!…') are not allowed", "Remove it; put quotes around text that begins with '!'.", mark=tag)
    return root, converter


def _too_long(mark: Mark) -> ConfigError:
    return config_error(
        f"the config is larger than {MAX_BYTES // 1024} KiB",
        "Name a YAML config; data belongs in a file of its own, which the config names.",
        mark,
    )


def _noun(value: object) -> str:
    nouns = {dict: "a mapping", list: "a list", str: "text", bool: "a boolean", type(None): "empty"}
    return nouns.get(type(value), "a number")


def _yaml_files(folder: FilePath) -> list[str]:
    return [file.name for file in folder.glob("*.y*ml") if file.name.isprintable()]
