"""The time that training by a starter config may take, and the time that it is expected to take."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from cnnkit.errors import CnnkitError, format_value

STARTING = 15.0  # seconds to import TensorFlow, build and trace a network, and draw the plots
EPOCH = 0.3  # seconds of an epoch besides its steps: callbacks, checkpoint, history

_PART = re.compile(r"(\d+(?:\.\d+)?) ?(seconds?|sec|s|minutes?|min|m|hours?|h)")


@dataclass(frozen=True)
class ExpectedTime:
    """The expected seconds of each part of a training run, in order: `features` -> 93.0."""

    parts: Mapping[str, float]

    @property
    def seconds(self) -> float:
        """Seconds in all."""
        return sum(self.parts.values())


def parse_time(text: str) -> float:
    """Seconds in a text such as `10m`, `90 seconds` or `1h30m`.

    Raises:
        CnnkitError: It is no time, or none at all.
    """
    parts = _PART.findall(text)
    seconds = sum(float(number) * {"s": 1, "m": 60, "h": 3600}[unit[0]] for number, unit in parts)
    if _PART.sub("", text).strip() or seconds <= 0:
        raise CnnkitError(f"--time: wants a time, got {format_value(text)}", "Write it as in `--time 10m`, `90s` or `1h30m`.")
    return seconds


def time_text(seconds: float) -> str:
    """Seconds as text to two digits: `40 seconds`, `12 minutes`, `2.5 hours`."""
    for size, unit in ((3600, "hour"), (60, "minute"), (1, "second")):
        if seconds >= 1.5 * size or size == 1:
            number = f"{seconds / size:.1f}" if size == 3600 and seconds < 36000 else f"{seconds / size:.0f}"
            return f"{number} {unit}s" if number != "1" else f"1 {unit}"
    raise AssertionError(seconds)


def expected_time_lines(expected: ExpectedTime, machine: str) -> tuple[str, ...]:
    """The expected time as lines of text, a line for each part of a second or more.

    Args:
        expected: The parts.
        machine: What the time was measured on, such as `2 cores of AMD EPYC`.
    """
    parts = {name: seconds for name, seconds in expected.parts.items() if seconds >= 1}
    width = max(map(len, parts), default=0)
    return (
        f"Training takes about {time_text(expected.seconds)} on this machine ({machine}):",
        *(f"  {name:<{width}}  {time_text(seconds)}" for name, seconds in parts.items()),
    )


def does_not_fit(budget: float, least: float, what: str = "the fastest config takes") -> CnnkitError:
    """The error for a budget in which nothing can be trained.

    Args:
        budget: Seconds.
        least: Expected seconds of the fastest config.
        what: What takes them.
    """
    message = f"--time: {time_text(budget)} is too short: {what} about {time_text(least)} on this machine"
    return CnnkitError(message, f"Allow {time_text(least * 1.2)} or more, or use fewer examples.")
