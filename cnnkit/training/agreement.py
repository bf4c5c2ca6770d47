"""What the workers of a run decide together, so that all of them take the same steps: the chief's word, and any worker's stop."""

import json
from dataclasses import dataclass
from typing import Any

import numpy as np

from cnnkit.training.history import Row
from cnnkit.training.step import Devices


@dataclass(frozen=True)
class Decision:
    """What follows an execution.

    Attributes:
        stop: Whether training stops here, because a process was asked to.
        save: Whether a checkpoint is due.
        steps: Optimizer steps of the next execution.
    """

    stop: bool
    save: bool = False
    steps: int = 0


def agree(devices: Devices, own: Decision) -> Decision:
    """The decision of all workers: a stop if one wants it, and everything else as the chief has it."""
    if devices.workers == 1:
        return own
    rows = devices.exchange(np.array([own.stop, own.save, own.steps], np.float64))
    return Decision(bool(rows[:, 0].any()), bool(rows[0, 1]), int(rows[0, 2]))


def of_chief(devices: Devices, own: Row) -> Row:
    """The chief's values under the same names: callbacks have to decide alike on all workers, whose processors may round differently."""
    if devices.workers == 1 or not own:
        return own
    return dict(zip(own, devices.exchange(np.array(list(own.values()), np.float64))[0].tolist(), strict=True))


def gather_bytes(devices: Devices, own: bytes) -> list[bytes]:
    """The bytes of every worker, the chief's first; of any length."""
    lengths = devices.exchange(np.array([len(own)], np.float64))[:, 0].astype(int)
    padded = np.zeros(-(-max(1, int(lengths.max())) // 4), np.int32)
    padded.view(np.uint8)[: len(own)] = np.frombuffer(own, np.uint8)
    return [row.tobytes()[:length] for row, length in zip(devices.exchange(padded), lengths, strict=True)]


def gather_json(devices: Devices, own: Any) -> list[Any]:
    """A JSON value of every worker, the chief's first."""
    return [json.loads(each) for each in gather_bytes(devices, json.dumps(own).encode())]
