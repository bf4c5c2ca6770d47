"""Checkpoint files for exact resume: written atomically, with a SHA-256 checksum, without pickle."""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from cnnkit.errors import CnnkitError, dotted, escape_unprintable
from cnnkit.io.atomic import remove_leftovers, write_atomically
from cnnkit.io.json_file import parse_json
from cnnkit.training.checkpoint.format_1 import FORMAT_1, migrated_arrays, migrated_state
from cnnkit.training.checkpoint.state import TrainingState

Array = npt.NDArray[Any]

FORMAT = "cnnkit-checkpoint-2"
SUFFIX = ".safetensors"
MOST_RECENT = 2  # number of most recent checkpoints that are retained, besides that of the best epoch

_NAME = re.compile(r"epoch-(\d+)(?:-before-phase-(\d+)|-step-(\d+))?")


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint of a run.

    Attributes:
        state: The training state.
        arrays: The values of the variables by group and index, such as `model.3`.
    """

    state: TrainingState
    arrays: Mapping[str, Array]

    @property
    def name(self) -> str:
        """Its file name; checkpoints are ordered by it."""
        name = f"epoch-{self.state.epoch:05}"
        if not self.state.phase_started:
            return f"{name}-before-phase-{self.state.phase + 1}{SUFFIX}"  # people count from 1
        return f"{name}-step-{self.state.step:07}{SUFFIX}" if self.state.step else f"{name}{SUFFIX}"


class CheckpointStore:
    """The checkpoints of one run: the newest two and that of the best epoch."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def save(self, checkpoint: Checkpoint) -> Path:
        """Write a checkpoint, then delete all but the two most recent ones and that of the best epoch.

        Those that would come after it are deleted as well: training has gone back before them.

        Returns:
            The path written.

        Raises:
            CnnkitError: The disk is full or cannot be written; earlier checkpoints are unchanged.
        """
        self._folder.mkdir(exist_ok=True)
        path = self._folder / checkpoint.name
        write_checkpoint(path, checkpoint)
        paths = self._paths()
        so_far = paths[: paths.index(path) + 1]
        retained = {*so_far[-MOST_RECENT:], self._of_epoch(checkpoint.state.best.epoch)}
        for old in paths:
            if old not in retained:
                old.unlink(missing_ok=True)
        return path

    def newest(self) -> tuple[Checkpoint | None, Sequence[str]]:
        """The newest intact checkpoint (None where there is none), and a notice for each damaged one that was skipped."""
        path, notices = self.newest_path()
        return (read_checkpoint(path) if path is not None else None), notices

    def newest_path(self) -> tuple[Path | None, Sequence[str]]:
        """The path of the newest intact checkpoint, and a notice for each damaged one that was skipped."""
        notices: list[str] = []
        for path in reversed(self._paths()):
            try:
                read_checkpoint(path)
            except CnnkitError as error:
                notices.append(f"{error} The checkpoint before it is used.")
            else:
                return path, notices
        return None, notices

    def of_epoch(self, epoch: int) -> Checkpoint | None:
        """The checkpoint at the end of an epoch (from 1); None where it is missing or damaged."""
        try:
            return read_checkpoint(self._of_epoch(epoch))
        except CnnkitError:
            return None

    def remove_leftovers(self) -> None:
        """Remove temporary files of a process that was killed while it wrote a checkpoint."""
        remove_leftovers(self._folder, rf"{_NAME.pattern}{re.escape(SUFFIX)}")

    def __bool__(self) -> bool:
        return bool(self._paths())

    def _of_epoch(self, epoch: int) -> Path:
        return self._folder / f"epoch-{epoch:05}{SUFFIX}"

    def _paths(self) -> list[Path]:
        """Paths of all checkpoints, oldest first."""
        found = [(match, path) for path in self._folder.glob(f"epoch-*{SUFFIX}") if (match := _NAME.fullmatch(path.stem))]
        return [path for _, path in sorted(found, key=lambda pair: _sort_key(pair[0]))]


def _sort_key(match: re.Match[str]) -> tuple[int, int, int]:
    """Chronological order: the end of an epoch, then the end of its phase, then the steps of the next epoch."""
    epoch, phase, step = match.groups()
    return int(epoch), int(step or 0), int(phase or 0)


def write_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write one checkpoint atomically."""
    from safetensors.numpy import save

    arrays = {name: np.asarray(array, order="C") for name, array in checkpoint.arrays.items()}
    state = json.dumps(checkpoint.state.model_dump())
    metadata = {"format": FORMAT, "state": state, "sha256": _digest(state, arrays)}
    content = save(arrays, metadata)
    write_atomically(path, lambda temporary: _write(temporary, content))


def read_checkpoint(path: Path) -> Checkpoint:
    """Read one checkpoint, of this format or of format 1.

    Raises:
        CnnkitError: It is missing, damaged, of an unknown format, or has an invalid state.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "numpy") as file:
            metadata = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    except (OSError, SafetensorError, ValueError) as error:
        raise CnnkitError(f"{path}: the checkpoint is damaged or cannot be read.") from error
    state, stored_format = metadata.get("state", ""), metadata.get("format")
    if stored_format not in (FORMAT, FORMAT_1):
        raise CnnkitError(f"{path}: is not a checkpoint of this cnnkit.")
    if metadata.get("sha256") != _digest(state, arrays):
        raise CnnkitError(f"{path}: the checkpoint is damaged: its checksum is not that of its content.")
    try:
        stored = parse_json(state.encode())
        if stored_format == FORMAT_1:
            return Checkpoint(migrated_state(stored), migrated_arrays(arrays))
        return Checkpoint(TrainingState.model_validate(stored), arrays)
    except ValueError as error:  # pydantic's ValidationError is one, too
        raise CnnkitError(f"{path}: the checkpoint's training state is invalid ({_reason(error)}).") from error


def _reason(error: ValueError) -> str:
    """The first validation error of a stored state, with its location."""
    if not isinstance(error, ValidationError):
        return escape_unprintable(str(error))
    first = error.errors(include_input=False, include_url=False)[0]
    return escape_unprintable(f"{dotted(first['loc'])}: {first['msg']}".lstrip(": "))


def _digest(state: str, arrays: Mapping[str, Array]) -> str:
    """SHA-256 over the state and all arrays with their names, dtypes and shapes."""
    digest = hashlib.sha256(state.encode())
    for part in _parts(arrays):
        digest.update(part)
    return digest.hexdigest()


def _parts(arrays: Mapping[str, Array]) -> Iterator[bytes]:
    for name in sorted(arrays):
        yield f"{name} {arrays[name].dtype} {arrays[name].shape}".encode()
        yield arrays[name].tobytes()


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(content)
