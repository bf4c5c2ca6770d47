"""SIGINT and SIGTERM during training: the first requests a clean stop, a second one ends the process at once."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from types import FrameType


@dataclass
class StopRequest:
    """Whether a stop was requested, and by which signal (0 for none)."""

    signal_number: int = 0

    def __call__(self) -> bool:
        """Whether to stop."""
        return self.signal_number != 0

    @property
    def exit_status(self) -> int:
        """Exit status by the shell's convention: 130 after SIGINT, 143 after SIGTERM."""
        return 128 + self.signal_number


@contextlib.contextmanager
def stop_requests() -> Iterator[StopRequest]:
    """Context manager: records the first signal and restores the default handlers, so that a second one acts at once."""
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():  # only the main thread may set handlers
        yield request
        return
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.getsignal(number) for number in numbers}

    def handle(number: int, frame: FrameType | None) -> None:
        request.signal_number = number
        for each in numbers:
            signal.signal(each, signal.SIG_DFL)

    for number in numbers:
        signal.signal(number, handle)
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
