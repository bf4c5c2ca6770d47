"""The folder of a group of runs: the same config with several seeds, or all folds of a cross-validation."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from cnnkit.config.differences import differences
from cnnkit.errors import CnnkitError, count, format_value
from cnnkit.io.atomic import remove_leftovers, write_json
from cnnkit.io.json_file import read_json
from cnnkit.runs.create import lock_run_directory
from cnnkit.runs.directory import RunDirectory, read_state
from cnnkit.runs.lock import RunLock
from cnnkit.runs.names import RUNS

GROUP, SUMMARY = "group.json", "summary.json"

Kind = Literal["seeds", "folds"]

# Names of all files of a group, as a regular expression.
_FILES = r"(group|summary)\.json|(summary|comparison)\.png|summary\.html|out-of-fold\.csv"


class GroupPlan(BaseModel):
    """What a group consists of, as stored in `group.json`.

    Attributes:
        kind: `seeds` or `folds`.
        config: The resolved config, without the entries in which the runs differ.
        folds: Number of folds; 0 for seeds.
    """

    model_config = ConfigDict(strict=True, frozen=True)

    kind: Kind
    config: dict[str, Any]
    folds: int = 0


def read_group(folder: Path) -> GroupPlan | None:
    """The plan of a group; None for a folder that is no group, or whose `group.json` is damaged."""
    try:
        return GroupPlan.model_validate(read_json(folder / GROUP))
    except (OSError, ValueError):  # pydantic's ValidationError is a ValueError
        return None


def open_group(folder: Path, plan: GroupPlan) -> RunLock:
    """Lock the folder of a group, which is created where it does not exist.

    Args:
        folder: The folder.
        plan: What the group consists of; it has to be that of the group that is in the folder already.

    Raises:
        CnnkitError: Another process is training the group, or something else is in the folder.
    """
    if read_group(folder) is None and folder.is_dir() and not all(path.name.startswith(".") for path in folder.iterdir()):
        raise CnnkitError(f"{folder}: is not empty, and holds no group of runs", "Name another --run-dir, or remove it yourself.")
    locked = lock_run_directory(folder)
    try:
        remove_leftovers(folder, _FILES)
        plan = plan.model_copy(update={"config": json.loads(json.dumps(plan.config))})  # as read back from JSON
        stored = read_group(folder)
        if stored is not None:
            _require_same(folder, stored, plan)
        else:
            write_json(folder / GROUP, plan.model_dump())
    except CnnkitError:
        locked.lock.release()
        raise
    return locked.lock


def without_repeated(config: Mapping[str, Any], kind: Kind) -> dict[str, Any]:
    """A resolved config without the entry in which the runs of a group differ: `seed`, or `data.fold`."""
    if kind == "seeds":
        return {key: value for key, value in config.items() if key != "seed"}
    return {**config, "data": {key: value for key, value in config["data"].items() if key != "fold"}}


def _require_same(folder: Path, stored: GroupPlan, plan: GroupPlan) -> None:
    if (stored.kind, stored.folds) != (plan.kind, plan.folds):
        there, wanted = (f"{each.folds} folds" if each.folds else "seeds" for each in (stored, plan))
        raise CnnkitError(f"{folder}: holds a group of {there}, not of {wanted}", "Name another --run-dir.")
    changed = differences(stored.config, plan.config)
    if changed:
        rows = "\n".join(f"    {key}: {format_value(old)} -> {format_value(new)}" for key, (old, new) in changed.items())
        raise CnnkitError(f"{folder}: holds runs of another config:\n{rows}", "Put the config back as it was, or name another --run-dir.")


def find_group(path: Path) -> tuple[Path, GroupPlan] | None:
    """The folder and plan of the group at a path, or of a name in `runs/`; None where that is no group."""
    folder = path if path.exists() else RUNS / path
    plan = read_group(folder)
    return (folder, plan) if plan is not None else None


def finished_runs(folder: Path, plan: GroupPlan) -> list[Path]:
    """The folders of a group's finished runs, by seed or fold.

    Raises:
        CnnkitError: There are fewer than two, or not all folds.
    """
    runs = [path for path in sorted(folder.glob("*-*"), key=_number) if read_state(RunDirectory(path)) == "finished"]
    if len(runs) < 2 or (plan.folds and len(runs) < plan.folds):
        wanted = f"all of its {plan.folds} folds" if plan.folds else "two or more"
        message = f"{folder}: {count(len(runs), 'finished run')} in it, but {wanted} are needed"
        raise CnnkitError(message, "Finish it with the command that began it.")
    return runs


def _number(path: Path) -> int:
    number = path.name.rpartition("-")[2]
    return int(number) if number.isdecimal() else -1
