"""Checks the command lines of a shell block against cnnkit's own commands and options, without running them."""

import re
import shlex
from collections.abc import Iterator

import typer.main

from cnnkit.cli import app

_START = re.compile(r"(?:^|[;&|(]|\bdo|\bthen|--|\)|[A-Z_]+=\S+)\s*cnnkit (?=\w|-)|^cnnkit (?=\w|-)")
_END = ("|", ";", "&", "&&", "||", ">", "<", ")", "done", "2>&1", "2>", ">>")


def usage_faults(script: str) -> Iterator[str]:
    """What is wrong with each `cnnkit …` of a script: a command or an option that is not there, or an argument that is missing."""
    for line in script.replace("\\\n", " ").splitlines():
        for match in _START.finditer(line):
            fault = _fault(_words(line[match.end() :]))
            if fault:
                yield f"cnnkit {line[match.end() :].strip()}: {fault}"


def _words(text: str) -> list[str]:
    lexer = shlex.shlex(text, posix=True, punctuation_chars="|;&<>()")
    lexer.commenters, lexer.whitespace_split = "#", True
    words = []
    for word in lexer:
        if word in _END:
            break
        words.append(word)
    return words


def _fault(words: list[str]) -> str:
    group = typer.main.get_command(app)
    context = group.make_context("cnnkit", ["--version"] if words == ["--version"] else ["check", "x.yaml"])
    if words[:1] in (["--version"], ["--help"], ["-h"]):
        return ""
    try:
        command, name = group, "cnnkit"
        while hasattr(command, "commands"):
            name, command, words = command.resolve_command(context, words)  # type: ignore[attr-defined]
        if not {"-h", "--help"} & set(words):
            command.make_context(name, words, parent=context)
    except Exception as error:  # noqa: BLE001 - Typer's own copy of click raises what it has no public name for
        return str(getattr(error, "message", error)) or type(error).__name__
    return ""
