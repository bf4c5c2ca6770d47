"""Exit statuses of the commands that train: what each means, and after which `cnnkit launch` restarts its workers."""

import signal
from dataclasses import dataclass

FINISHED = 0
USER_ERROR = 1
WRONG_USAGE = 2
CRASHED = 70  # EX_SOFTWARE of sysexits.h: a bug, with its traceback
PEER_LOST = 138  # Kubeflow restarts a worker for 128 to 255 (`restartPolicy: ExitCode`), and keeps 138 free for programs to ask for it
BROKEN_PIPE = 128 + 13  # SIGPIPE, as a shell tells it
INTERRUPTED = 128 + signal.SIGINT
TERMINATED = 128 + signal.SIGTERM

CLEAN_STOPS = frozenset((INTERRUPTED, TERMINATED))


@dataclass(frozen=True)
class ExitStatus:
    """What an exit status means.

    Attributes:
        meaning: In a few words.
        is_restarted: Whether `cnnkit launch` starts its workers again from the last checkpoint: not after a stop that was asked for.
    """

    meaning: str
    is_restarted: bool


EXIT_STATUSES = {
    FINISHED: ExitStatus("the run is finished", is_restarted=False),
    USER_ERROR: ExitStatus("an error that has been printed; trying again would not help", is_restarted=False),
    WRONG_USAGE: ExitStatus("wrong usage of the command line", is_restarted=False),
    CRASHED: ExitStatus("an unexpected exception, with its traceback", is_restarted=True),
    PEER_LOST: ExitStatus("another worker was lost, or did not come", is_restarted=True),
    INTERRUPTED: ExitStatus("interrupted by SIGINT (Ctrl-C); everything is saved", is_restarted=False),
    BROKEN_PIPE: ExitStatus("the reader of the output has ended", is_restarted=False),
    TERMINATED: ExitStatus("interrupted by SIGTERM; everything is saved", is_restarted=False),
}
DIED = ExitStatus("killed by a signal, or crashed", is_restarted=True)  # every other status


def exit_status(number: int) -> ExitStatus:
    """What a process's exit status means.

    Args:
        number: The status; negative for a process that a signal has killed, as Python's `subprocess` has it.
    """
    return EXIT_STATUSES.get(number, DIED)


def cause_of_death(number: int) -> str:
    """How a process ended, such as `signal SIGKILL` or `exit status 75: another worker was lost`."""
    if number < 0:
        try:
            return f"signal {signal.Signals(-number).name}"
        except ValueError:
            return f"signal {-number}"
    known = EXIT_STATUSES.get(number)
    return f"exit status {number}" + (f": {known.meaning}" if known is not None else "")


def as_a_shell_tells_it(number: int) -> int:
    """An exit status of 0 to 255: 128 plus the signal's number for a process that a signal has killed."""
    return 128 - number if number < 0 else number
