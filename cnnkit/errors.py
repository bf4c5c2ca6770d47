"""CnnkitError, the one exception for problems that the user can fix, and source locations in a config."""

from collections.abc import Iterable
from dataclasses import dataclass

from cnnkit.exit_status import USER_ERROR

Path = tuple[str | int, ...]  # keys and list indices from the top: ("model", "layers", 2, "Conv2D", "filters")

MAX_VALUE_LENGTH = 60  # characters of a received value in a message


@dataclass(frozen=True)
class Mark:
    """A source location in a config: a file with line and column (both from 1), or an override on the command line (line 0)."""

    source: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.source}:{self.line}:{self.column}" if self.line else self.source


@dataclass(frozen=True)
class Problem:
    """One thing wrong with a config.

    Attributes:
        message: What is wrong, with the value received.
        remedy: What to do about it; empty where the message makes it obvious.
        path: The dotted path of the entry, such as `model.layers[2].Conv2D.filters`.
        mark: Its source location; None where no file is involved.
    """

    message: str
    remedy: str = ""
    path: str = ""
    mark: Mark | None = None

    @property
    def location(self) -> str:
        """File, line, column and path as one text, such as `run.yaml:7:5: train.epochs`; empty where neither is known."""
        return ": ".join(part for part in (str(self.mark or ""), self.path) if part)

    def __str__(self) -> str:
        return _rendered(self.message, self.remedy, self.location)


@dataclass(frozen=True)
class Fault:
    """A problem of a config entry, located by its path in the config; with the file's line marks it becomes a Problem.

    Attributes:
        path: Path of the entry.
        message: What is wrong, with the value received.
        remedy: What to do about it.
        on_key: Whether the key itself is at fault (a misspelt name), not its value.
        related: Path of another entry, whose line replaces `{related}` in the remedy.
    """

    path: Path
    message: str
    remedy: str = ""
    on_key: bool = False
    related: Path = ()


class CnnkitError(Exception):
    """Something the user can fix; its text goes to stderr, and the process ends with its exit status.

    Its parts stay attributes, so that a handler can change one of them without parsing the text.

    Attributes:
        message: What is wrong.
        remedy: What to do about it; empty where the message makes it obvious.
        location: The file, entry or example at fault, printed before the message; empty where the message contains it.
    """

    exit_status = USER_ERROR

    def __init__(self, message: str, remedy: str = "", location: object = None) -> None:
        self.message = message
        self.remedy = remedy
        self.location = "" if location is None else str(location)
        super().__init__(_rendered(message, remedy, self.location))

    @property
    def headline(self) -> str:
        """Location and message, without the remedy."""
        return _rendered(self.message, "", self.location)


class ConfigError(CnnkitError):
    """All problems of a config.

    Attributes:
        problems: Each problem once, in the order of the config's lines. Message, remedy and location are those of
            a single problem; of several, the message is the text of all.
    """

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(dict.fromkeys(problems), key=_position))
        if len(self.problems) == 1:
            super().__init__(self.problems[0].message, self.problems[0].remedy, self.problems[0].location)
        else:
            super().__init__("\n".join(map(str, self.problems)))


class BuildError(CnnkitError):
    """A config entry, valid in itself, that Keras cannot build.

    Attributes:
        fault: The entry's path with message and remedy; `LoadedConfig.located` adds file and line.
    """

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        super().__init__(fault.message, fault.remedy, dotted(fault.path))


def _rendered(message: str, remedy: str, location: str) -> str:
    text = f"{location}: {message}" if location else message
    return f"{text}\n    {remedy}" if remedy else text


def _position(problem: Problem) -> tuple[str, int, int, str]:
    mark = problem.mark or Mark("")
    return (mark.source, mark.line, mark.column, problem.message)


def dotted(path: Iterable[str | int]) -> str:
    """A path in dotted notation: `model.layers[2].Conv2D.filters`."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).lstrip(".")


def format_value(value: object) -> str:
    """A received value on one line of at most MAX_VALUE_LENGTH characters, as YAML spells it: `null`, `true`, `'text'`."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, dict | list | tuple) and len(value) > 8:
        kind = "mapping" if isinstance(value, dict) else "list"
        return f"a {kind} of {len(value)} entries"
    text = value if isinstance(value, str) else None
    rendered = repr(text[: MAX_VALUE_LENGTH + 1] if text is not None else value)
    return rendered if len(rendered) <= MAX_VALUE_LENGTH else rendered[: MAX_VALUE_LENGTH - 1] + "…"


def count(number: int, noun: str) -> str:
    """A number with its noun, in the singular for one: `1 output`, `3 outputs`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def escape_unprintable(text: str) -> str:
    """A text with its unprintable characters as escapes: control characters, line ends, bidirectional control marks."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape", "surrogatepass").decode("ascii") for character in text
    )


def named(names: Iterable[str]) -> str:
    """Names from a file or a folder, separated by commas, unprintable characters escaped."""
    return ", ".join(map(escape_unprintable, names))


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """` Did you mean 'x'?` for the known name nearest to a misspelt one, or an empty string."""
    import difflib

    by_folded = {fold(candidate): candidate for candidate in known}
    matches = difflib.get_close_matches(fold(name[:100]), by_folded, n=1, cutoff=0.6)
    return f" Did you mean '{by_folded[matches[0]]}'?" if matches else ""


def fold(name: str) -> str:
    """A name in lower case without underscores and dashes, for comparison: `mobilenet_v2` equals `MobileNetV2`."""
    return name.lower().replace("_", "").replace("-", "")
