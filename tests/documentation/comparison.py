"""Compares what a command prints with what a page says, except for what may vary."""

import re
from collections.abc import Sequence

from tests.documentation.blocks import Notes

_NUMBER = re.compile(r"(?<![\w.])[-−+]?\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?(?![\w])")
_PIECES = re.compile(rf"(?P<any>\.\.\.)|(?P<number>{_NUMBER.pattern})|(?P<rule>─+)|(?P<bar>[█▉▊▋▌▍▎▏━╸]+)|(?P<space>\s+)")
_FLEXIBLE = {"any": ".*", "rule": "─+", "bar": "[█▉▊▋▌▍▎▏━╸]+", "space": r"\s+"}
_WORD = re.compile(r"\S+(?: \S+)*")


def difference(expected: str, printed: str, notes: Notes) -> str:
    """Why the two do not agree; empty where they do."""
    wanted, got = (_lines(text) for text in (expected, printed))
    patterns = [None if line.strip() == "..." else _pattern(line, free, notes) for line, free in _with_free_columns(wanted, notes)]
    reach = _furthest(patterns, got)
    if reach is None:
        return ""
    line, seen = reach
    said = wanted[line] if line < len(wanted) else "(nothing more)"
    return f"the page says:  {said}\nit prints:      {got[seen] if seen < len(got) else '(nothing more)'}"


class _Line:
    """A line of the page: a pattern of its text, and the numbers in it."""

    def __init__(self, pattern: str, numbers: Sequence[str | None], notes: Notes) -> None:
        self._pattern, self._numbers, self._notes = re.compile(pattern), numbers, notes

    def agrees(self, printed: str) -> bool:
        match = self._pattern.fullmatch(printed)
        return match is not None and all(self._is_near(said, got) for said, got in zip(self._numbers, match.groups(), strict=True))

    def _is_near(self, said: str | None, got: str) -> bool:
        if said is None or said == got:
            return True
        is_whole = not {*".e"} & {*said, *got}
        return abs(_value(said) - _value(got)) <= (self._notes.counts_within if is_whole else self._notes.within + 1e-12)


def _lines(text: str) -> list[str]:
    lines = [line.rstrip() for line in text.splitlines()]
    return "\n".join(lines).strip("\n").splitlines()


def _value(number: str) -> float:
    return float(number.replace(",", "").replace("−", "-"))


def _pattern(line: str, free: Sequence[tuple[int, int]], notes: Notes) -> _Line:
    text, indent = line.strip(), len(line) - len(line.lstrip())
    units = "|".join(map(re.escape, notes.varies)) or "(?!)"
    pattern, numbers, end = "", [], 0
    for piece in _PIECES.finditer(text):
        pattern += re.escape(text[end : piece.start()])
        end = piece.end()
        if piece.lastgroup == "number":
            pattern += f"({_NUMBER.pattern})"
            varies = (
                any(start < end + indent <= stop for start, stop in free)
                or re.match(rf"(?:{units})  ", text)
                or re.match(rf" ?(?:{units})(?!\w)", text[end:])
                or re.search(rf"(?<!\w)(?:{units}) +$", text[: piece.start()])
            )
            numbers.append(None if varies else piece.group())
        else:
            pattern += _FLEXIBLE[str(piece.lastgroup)]
    return _Line(rf"\s*{pattern}{re.escape(text[end:])}", numbers, notes)


def _with_free_columns(lines: Sequence[str], notes: Notes) -> list[tuple[str, list[tuple[int, int]]]]:
    """Each line with the spans of columns in which a number may be anything: those below a heading that varies, down to a blank line."""
    free: list[tuple[int, int]] = []
    found = []
    for index, line in enumerate(lines):
        following = lines[index + 1].strip() if index + 1 < len(lines) else ""
        if not line.strip():
            free = []
        elif following and not following.strip("─ "):
            words = list(_WORD.finditer(line))
            ends = [0, *(word.end() for word in words)]
            free = [(ends[at], word.end()) for at, word in enumerate(words) if word.group() in notes.varies]
        found.append((line, free))
    return found


def _furthest(patterns: Sequence[_Line | None], got: Sequence[str]) -> tuple[int, int] | None:
    """None where all lines agree; else the furthest pair of lines that do not. None in `patterns` agrees with any lines."""
    reached = {0}  # how many lines of `got` the patterns so far can cover
    for index, pattern in enumerate(patterns):
        last = max(reached)
        if pattern is None:
            reached = set(range(min(reached), len(got) + 1))
        else:
            reached = {at + 1 for at in reached if at < len(got) and pattern.agrees(got[at])}
        if not reached:
            return index, last if index and patterns[index - 1] is not None else min(last, len(got))
    return None if len(got) in reached else (len(patterns), max(reached))
