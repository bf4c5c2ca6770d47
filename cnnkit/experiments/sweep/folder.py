"""A sweep's folder: paths, its record, and that it belongs to this config and this storage."""

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from cnnkit.config.differences import differences
from cnnkit.config.load import LoadedConfig, resolved
from cnnkit.errors import CnnkitError
from cnnkit.io.atomic import write_text
from cnnkit.io.json_file import read_json
from cnnkit.training.resume import UNRELATED_TO_LEARNING, changes_text

SWEEPS = Path("sweeps")
TRIALS = "trial-*"  # pattern of the folders of trials

_MAY_CHANGE = ("sweep.trials", *(key for key in UNRELATED_TO_LEARNING if key not in ("name", "sweep")))


class Record(BaseModel):
    """What a sweep was begun with, as stored in `sweep.json`.

    Attributes:
        id: Identity of the sweep, also stored in its study: trials in a storage belong to one folder.
        config: The resolved config, with the sweep.
        storage: Where its trials are recorded, without a password.
    """

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    id: str
    config: dict[str, Any]
    storage: str


@dataclass(frozen=True)
class SweepFolder:
    """The files of a sweep."""

    path: Path

    @property
    def record(self) -> Path:
        """What the sweep was begun with."""
        return self.path / "sweep.json"

    @property
    def journal(self) -> Path:
        """Optuna's journal of trials, where no database holds them."""
        return self.path / "journal.jsonl"

    @property
    def claims(self) -> Path:
        """The lock that a worker holds while it chooses its next trial."""
        return self.path / ".claims.lock"

    @property
    def progress(self) -> Path:
        """Plot of the best value so far."""
        return self.path / "progress.png"

    @property
    def report(self) -> Path:
        """The report of the sweep."""
        return self.path / "report.html"

    @property
    def best_config(self) -> Path:
        """The winner's config."""
        return self.path / "best.yaml"

    @property
    def winner(self) -> Path:
        """The winner's metrics with fresh seeds, against those of its trial."""
        return self.path / "winner.json"

    def trial(self, number: int) -> Path:
        """The run of a trial."""
        return self.path / f"trial-{number:04}"

    def retrained(self, number: int, seed: int) -> Path:
        """The run of a trial's config with another seed."""
        return self.path / "winner" / f"trial-{number:04}-seed-{seed}"

    def read_record(self) -> Record | None:
        """The record; None for a folder in which no sweep was begun.

        Raises:
            CnnkitError: It is damaged.
        """
        try:
            return Record.model_validate(read_json(self.record))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            kind = "not that of a sweep" if isinstance(error, ValidationError) else type(error).__name__
            raise CnnkitError(f"{self.record}: is damaged ({kind})", "Name another sweep: `--set name=NAME`.") from error


def is_sweep(path: Path) -> bool:
    """Whether a sweep was begun in a folder."""
    return SweepFolder(path).record.is_file()


def open_folder(folder: SweepFolder, loaded: LoadedConfig, storage: str) -> Record:
    """The record of a sweep, which is begun where there is none. The lock on claims has to be held.

    Args:
        folder: The folder, which exists.
        loaded: The config.
        storage: Where the trials are to be recorded, without a password.

    Raises:
        CnnkitError: The folder holds a sweep of another config or another storage, or other files.
    """
    config = json.loads(json.dumps(resolved(loaded.config)))  # as read back from JSON
    record = folder.read_record()
    if record is None:
        if left := sorted(path.name for path in folder.path.iterdir() if not path.name.startswith(".")):
            raise CnnkitError(f"{folder.path}: is not empty ({left[0]}) and holds no sweep", "Name another one: `--set name=NAME`.")
        record = Record(id=str(uuid.uuid4()), config=config, storage=storage)
        write_text(folder.record, json.dumps(record.model_dump(), indent=2) + "\n")
        return record
    if changed := _changes(record.config, config):
        raise CnnkitError(
            f"{folder.path}: holds a sweep of another config, whose trials cannot be compared:\n{changes_text(changed)}",
            "Name this one otherwise: `--set name=NAME`. Only `sweep.trials` may change in a sweep.",
        )
    if storage != record.storage:
        raise CnnkitError(
            f"{folder.path}: the trials of this sweep are in {record.storage}, not in {storage}",
            "Leave --storage out." if record.storage == folder.journal.name else f"Write `--storage {record.storage}`.",
        )
    return record


def _changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    changed = differences(before, now)
    return {key: pair for key, pair in changed.items() if key not in _MAY_CHANGE}
