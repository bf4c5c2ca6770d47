"""The run of a worker that is not the chief: a scratch folder, in which nothing of the run is written, and the chief's checkpoints."""

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnnkit.artifacts.model_metadata import ModelMetadata
from cnnkit.runs.directory import RunDirectory
from cnnkit.training.agreement import gather_bytes, gather_json
from cnnkit.training.checkpoint.store import Checkpoint, CheckpointStore, read_checkpoint
from cnnkit.training.step import Devices

if TYPE_CHECKING:
    import keras


class ScratchDirectory(RunDirectory):
    """A temporary folder for the caches of one worker; what the chief writes into the run's folder is not written."""

    @classmethod
    def create(cls, worker: int) -> "ScratchDirectory":
        """A new folder."""
        return cls(Path(tempfile.mkdtemp(prefix=f"cnnkit-worker-{worker}-")))

    def remove(self) -> None:
        """Remove the folder."""
        shutil.rmtree(self.path, ignore_errors=True)

    def write_config(self, text: str) -> None:
        """Nothing: the chief writes it."""

    def write_history(self, rows: Sequence[Mapping[str, float]]) -> None:
        """Nothing: the chief writes it."""

    def write_manifest(self, rows: Sequence[tuple[str, str, str]]) -> None:
        """Nothing: the chief writes it."""

    def write_metrics(self, metrics: Mapping[str, Any]) -> None:
        """Nothing: the chief writes it."""

    def write_environment(self, environment: Mapping[str, Any]) -> None:
        """Nothing: the chief writes it."""

    def write_metadata(self, metadata: ModelMetadata) -> None:
        """Nothing: the chief writes it."""

    def save_model(self, model: "keras.Model", metadata: ModelMetadata, *, recalibrated: bool = False) -> None:
        """Nothing: the chief writes it."""


class SharedCheckpoints(CheckpointStore):
    """The checkpoints of the chief, which all workers read through it: their disks and their views of a shared one may differ.

    Args:
        folder: The chief's folder.
        devices: What the workers exchange values by; all of them have to read and save together.
    """

    def __init__(self, folder: Path, devices: Devices) -> None:
        super().__init__(folder)
        self._devices = devices

    def save(self, checkpoint: Checkpoint) -> Path:
        """Written by the chief."""
        return super().save(checkpoint) if self._devices.worker == 0 else self._folder / checkpoint.name

    def newest(self) -> tuple[Checkpoint | None, Sequence[str]]:
        """The chief's newest intact checkpoint, and its notices of damaged ones."""
        path, notices = self.newest_path() if self._devices.worker == 0 else (None, [])
        notices = gather_json(self._devices, list(notices))[0]
        return self._of_chief(path), notices

    def of_epoch(self, epoch: int) -> Checkpoint | None:
        """The chief's checkpoint at the end of an epoch; None where it is missing or damaged."""
        found = self._devices.worker == 0 and super().of_epoch(epoch) is not None
        return self._of_chief(self._of_epoch(epoch) if found else None)

    def _of_chief(self, path: Path | None) -> Checkpoint | None:
        """The checkpoint at a path of the chief, sent to all workers; None where the chief has none."""
        content = gather_bytes(self._devices, path.read_bytes() if path is not None else b"")[0]
        if not content:
            return None
        if path is not None:
            return read_checkpoint(path)
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / "checkpoint.safetensors"
            copy.write_bytes(content)
            return read_checkpoint(copy)
