"""One worker process: its cores, its environment, its output in lines; it does not outlive the launcher."""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import IO, Literal

from cnnkit.launch.shares import Share

Stream = Literal["stdout", "stderr"]
STREAMS: tuple[Stream, Stream] = ("stdout", "stderr")

LONGEST_LINE = 65536  # bytes; what is longer is passed on in pieces

_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG of Linux's prctl


class Worker:
    """A worker process under way.

    It has a session of its own, so that Ctrl-C in a terminal reaches the launcher alone, which passes it on. On Linux the kernel kills it
    when the launcher ends in whatever way.

    Args:
        number: From 0, which is the chief.
        command: The command and its arguments.
        environment: Variables that differ from those of this process.
        share: The cores that it may use, where the system can bind a process to cores.
    """

    def __init__(self, number: int, command: Sequence[str], environment: Mapping[str, str], share: Share) -> None:
        self.number = number
        launcher = os.getpid()
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, **environment},
            start_new_session=True,
            preexec_fn=lambda: _begin(launcher, share),  # noqa: PLW1509 - the launcher has one thread
        )
        self._unfinished: dict[Stream, bytes] = {"stdout": b"", "stderr": b""}
        self._closed: set[Stream] = set()
        for file in (self._process.stdout, self._process.stderr):
            assert file is not None
            os.set_blocking(file.fileno(), False)

    @property
    def status(self) -> int | None:
        """The exit status, negative where a signal killed it; None while it runs."""
        return self._process.poll()

    def file(self, stream: Stream) -> IO[bytes]:
        """The pipe of a stream, to be waited for."""
        file = self._process.stdout if stream == "stdout" else self._process.stderr
        assert file is not None
        return file

    def has_closed(self, stream: Stream) -> bool:
        """Whether nothing more can come, as far as `lines` has read."""
        return stream in self._closed

    def lines(self, stream: Stream) -> Iterator[str]:
        """The complete lines that have arrived; after the end of the process also an unfinished one."""
        ended, chunks = self.status is not None, list[bytes]()
        with contextlib.suppress(BlockingIOError):
            while chunk := os.read(self.file(stream).fileno(), LONGEST_LINE):
                chunks.append(chunk)
            self._closed.add(stream)
        *complete, rest = (self._unfinished[stream] + b"".join(chunks)).split(b"\n")
        if rest and (ended or len(rest) > LONGEST_LINE):
            complete, rest = [*complete, rest], b""
        self._unfinished[stream] = rest
        for line in complete:
            yield line.decode("utf-8", "replace").rstrip("\r")

    def send(self, number: int) -> None:
        """Send a signal to the process, if it still runs."""
        self._process.send_signal(number)

    def kill(self) -> None:
        """Kill the process and all that it has started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def close(self) -> None:
        """Close the pipes."""
        for stream in STREAMS:
            self.file(stream).close()


def _begin(launcher: int, share: Share) -> None:
    """In the new process, before it becomes the worker."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, share.cores)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
        if os.getppid() != launcher:  # it has ended just before
            os.kill(os.getpid(), signal.SIGKILL)
