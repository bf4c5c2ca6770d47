"""What was measured of a packaged config: the record, and the block of its leading comment that holds it."""

import re
from dataclasses import dataclass
from pathlib import Path

from cnnkit.errors import CnnkitError

_OPENING = "# Measured by `python benchmarks/recipes.py {name}` with cnnkit {version}, TensorFlow {tensorflow}, {machine}:"
_ROW = "#   {label:<12}{text}"
_NUMBER = r"([0-9][0-9.,e+]*)"


@dataclass(frozen=True)
class Measured:
    """The measurements of a packaged config over several seeds, each seed a whole process.

    Attributes:
        version: The version of cnnkit that was measured, such as `0.1.0`.
        tensorflow: That of TensorFlow.
        machine: Processors and accelerators: `2 cores of an AMD EPYC`.
        task: Data and what is predicted: `cifar10: 10 classes`.
        metric: The headline metric with what it was measured on: `test accuracy`.
        value: Its mean over the seeds.
        spread: Its standard deviation over the seeds (with n - 1).
        seeds: Number of seeds.
        seconds: Median wall time of a process, start and final evaluation included.
        operations: Floating-point multiplications and additions of one training; see `benchmarks/recipes.py` for the formula.
        parameters: Parameters of the network.
    """

    version: str
    tensorflow: str
    machine: str
    task: str
    metric: str
    value: float
    spread: float
    seeds: int
    seconds: float
    operations: float
    parameters: int

    def is_outdated(self, version: str) -> bool:
        """Whether the code, at `version`, is newer than what was measured by more than a minor version."""
        major, minor = _major_minor(version)
        then_major, then_minor = _major_minor(self.version)
        return major != then_major or minor - then_minor > 1

    def block(self, name: str) -> str:
        """The lines of the leading comment that `measured_in` reads, for the config of a name."""
        rows = {
            "task": self.task,
            "metric": f"{self.metric} {self.value:.3f} ± {self.spread:.3f} (mean ± standard deviation of {self.seeds} seeds)",
            "time": f"{self.seconds:.0f} s (median of whole processes)",
            "operations": f"{self.operations:.1e} (multiplications and additions of one training)",
            "parameters": f"{self.parameters:,}",
        }
        opening = _OPENING.format(name=name, version=self.version, tensorflow=self.tensorflow, machine=self.machine)
        return "\n".join([opening, *(_ROW.format(label=label, text=text) for label, text in rows.items())])


def measured_in(path: Path) -> Measured | None:
    """What the leading comment of a config says was measured; None where it has no such block.

    Raises:
        CnnkitError: The block is there, but a line of it is missing or cannot be read.
    """
    text = path.read_text(encoding="utf-8")
    pattern = re.escape(_OPENING).replace(r"\{name\}", r"\S+")
    for field in ("version", "tensorflow", "machine"):
        pattern = pattern.replace(rf"\{{{field}\}}", f"(?P<{field}>.+?)")
    opening = re.search(f"^{pattern}$", text, re.MULTILINE)
    if opening is None:
        return None
    rows = {}
    for line in text[opening.end() + 1 :].splitlines():
        found = re.fullmatch(r"#   (\w+) +(\S.*)", line)
        if found is None:
            break
        rows[found[1]] = found[2]
    metric = re.fullmatch(rf"(.+) {_NUMBER} ± {_NUMBER} \(.+ of (\d+) seeds\)", rows.get("metric", ""))
    numbers = {label: re.match(_NUMBER, rows.get(label, "")) for label in ("time", "operations", "parameters")}
    unread = [label for label, found in {"task": rows.get("task"), "metric": metric, **numbers}.items() if not found]
    if unread or metric is None:
        message = f"the measurements in the leading comment have no readable `{unread[0]}`"
        raise CnnkitError(message, f"Measure it again: python benchmarks/recipes.py {path.stem}", str(path))
    seconds, operations, parameters = (float(found[1].replace(",", "")) for found in numbers.values() if found)
    return Measured(
        **opening.groupdict(),
        task=rows["task"],
        metric=metric[1],
        value=float(metric[2]),
        spread=float(metric[3]),
        seeds=int(metric[4]),
        seconds=seconds,
        operations=operations,
        parameters=int(parameters),
    )


def _major_minor(version: str) -> tuple[int, int]:
    major, minor = re.findall(r"\d+", version)[:2]
    return int(major), int(minor)
