"""A terminal of 88 columns in which the commands of a page are run one after another."""

import contextlib
import fcntl
import json
import os
import pty
import shlex
import struct
import subprocess
import sys
import tempfile
import termios
import threading
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

ROOT = Path(__file__).parents[2]
COLUMNS, LINES = 88, 60
_SHELL = set("|&;<>()$`*?~#\n")  # with one of these in it, a command needs a shell
QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1", "MPLBACKEND": "agg"}


@dataclass(frozen=True)
class Printed:
    """What a command did: all that it printed, and its exit status."""

    text: str
    exit_status: int


class Terminal:
    """Runs commands in a folder, within a `with` block of the process that forks."""

    def __init__(self) -> None:
        self._programs = tempfile.TemporaryDirectory(prefix="programs-")
        for name, module in (("cnnkit", "-m cnnkit "), ("python", "")):
            program = Path(self._programs.name) / name
            program.write_text(f'#!/bin/sh\nexec "{sys.executable}" {module}"$@"\n')
            program.chmod(0o700)
        environment = {**os.environ, **QUIET, "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-m", "tests.documentation.forking"]
        self._process = subprocess.Popen(
            command, cwd=ROOT, env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._programs.cleanup()

    def command(self, line: str, folder: Path) -> Printed:
        """Run a command line."""
        plain = not _SHELL & set(line.replace("\\\n", " "))
        if plain and line.startswith("cnnkit "):
            return self._forked(folder, arguments=shlex.split(line)[1:])
        return self._shell(line, folder)

    def python(self, program: str, folder: Path) -> Printed:
        """Run a program in Python."""
        return self._forked(folder, program=program)

    def _forked(self, folder: Path, **request: Any) -> Printed:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with _Screen() as screen:
            request |= {"folder": str(folder), "terminal": screen.name, "environment": _environment(folder)}
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
            status = int(self._process.stdout.readline())
        return Printed(_without(folder, screen.text), status)

    def _shell(self, line: str, folder: Path) -> Printed:
        with _Screen() as screen, open(screen.name, "r+b", buffering=0) as terminal:  # noqa: PTH123
            environment = {**os.environ, **QUIET, **_environment(folder), "PYTHONPATH": str(ROOT)}
            environment["PATH"] = f"{self._programs.name}:{environment['PATH']}"
            ended = subprocess.run(
                ["bash", "-o", "pipefail", "-c", line],
                cwd=folder,
                env=environment,
                stdin=terminal,
                stdout=terminal,
                stderr=terminal,
                check=False,
            )
        return Printed(_without(folder, screen.text), ended.returncode)


def _environment(folder: Path) -> dict[str, str]:
    return {"COLUMNS": str(COLUMNS), "LINES": str(LINES), "TERM": "dumb", "KERAS_HOME": str(folder / ".keras")}


def _without(folder: Path, text: str) -> str:
    return text.replace(f"{folder}/", "").replace(str(folder), ".")


class _Screen:
    """A pseudo-terminal, read by a thread until it is closed. With TERM=dumb a moving display is printed once, at its end."""

    def __enter__(self) -> Self:
        self._ours, self._theirs = pty.openpty()
        fcntl.ioctl(self._theirs, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
        self.name = os.ttyname(self._theirs)
        self._chunks: list[bytes] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        os.close(self._theirs)
        self._reader.join()
        os.close(self._ours)
        self.text = b"".join(self._chunks).decode(errors="replace").replace("\r\n", "\n")

    def _read(self) -> None:
        with contextlib.suppress(OSError):  # the other end is closed
            while chunk := os.read(self._ours, 2**16):
                self._chunks.append(chunk)
