"""Launched workers in the terminal: each line with the number of its worker, and every death and restart."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.cells import cell_len, chop_cells
from rich.text import Text

from cnnkit.console.text import error_output, output, print_error, print_notice
from cnnkit.errors import count, escape_unprintable

if TYPE_CHECKING:
    from cnnkit.launch.shares import Share

COLORS = ("cyan", "magenta", "green", "yellow", "blue")


class LaunchDisplay:
    """Prints what the launcher tells; workers write into pipes, so that each of their lines is complete and none is drawn over.

    Args:
        workers: Number of workers.
        resume: The command that resumes the run.
    """

    def __init__(self, workers: int, resume: str) -> None:
        self._resume = resume
        self._width = len(str(workers - 1))
        self._consoles = {"stdout": output(), "stderr": error_output(soft_wrap=True)}

    @property
    def columns(self) -> int:
        """The width that is left for the lines of workers."""
        return self._consoles["stdout"].width - self._width - len("[] ")

    def on_start(self, shares: "Sequence[Share]", restart: int, max_restarts: int) -> None:
        """Print what each worker has been given, or that all are restarted."""
        if restart:
            text = f"Restart {restart} of {max_restarts}: all workers go on from the last checkpoint."
            print_notice(text, title="Restarted", console=self._consoles["stderr"])
        else:
            self._consoles["stderr"].print(Text(share_text(shares), style="dim"))

    def on_line(self, worker: int, stream: str, line: str) -> None:
        """Print a line of a worker on the stream that it came from; where a terminal would wrap it, each part has the number."""
        console = self._consoles[stream]
        text = escape_unprintable(line.expandtabs().rstrip())
        for part in wrapped(text, self.columns) if console.is_terminal else [text]:
            prefix = Text(f"[{worker:{self._width}}] ", style=COLORS[worker % len(COLORS)])
            console.print(Text.assemble(prefix, Text(part)), soft_wrap=True)
        (sys.stdout if stream == "stdout" else sys.stderr).flush()

    def on_death(self, worker: int, cause: str) -> None:
        """Print which worker has failed."""
        text = Text(f"worker {worker} ended with {cause}; the other workers were ended", style="red")
        self._consoles["stderr"].print(text)

    def on_give_up(self, worker: int, restarts: int) -> None:
        """Print that there is no further restart."""
        print_error(
            f"worker {worker} failed after {count(restarts, 'restart')}, which is all that --max-restarts allows\n"
            f"    To go on from the last checkpoint: {self._resume}"
        )


def wrapped(line: str, width: int) -> list[str]:
    """A line in parts of at most a width in terminal columns.

    It is broken between two values of a log line, which two spaces divide, where that leaves the part at least half full; else between
    two words; else anywhere.
    """
    parts = []
    while cell_len(line) > width:
        most, indent = len(chop_cells(line, width)[0]), len(line) - len(line.lstrip())
        between_values, between_words = (line.rfind(gap, indent, most + len(gap)) for gap in ("  ", " "))
        at = between_values if between_values >= most / 2 else between_words if between_words > indent else most
        parts.append(line[:at].rstrip())
        line = line[at:].lstrip()
    return [*parts, line]


def share_text(shares: "Sequence[Share]") -> str:
    """What each worker has been given, on one line: `2 workers, each with 4 cores and GPU 0 … 1`."""
    cores = sorted({len(share.cores) for share in shares})
    each = count(cores[0], "core") if len(cores) == 1 else f"{cores[0]} to {cores[-1]} cores"
    own = len({core for share in shares for core in share.cores}) == sum(len(share.cores) for share in shares)
    gpus = f" and GPU {', '.join('+'.join(share.gpus) for share in shares)}" if shares[0].gpus else ""
    workers = count(len(shares), "worker")
    verb = "with" if len(shares) == 1 else "each with" if own else "sharing cores, each with"
    return f"{workers}, {verb} {each}{gpus}; worker 0 is the chief, which writes the run"
