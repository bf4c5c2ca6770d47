"""Groups that examples belong to, such as subjects or patients: a column or array that an option names, or that has a usual name."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cnnkit.data.sources.csv_file import read_table
from cnnkit.data.sources.npy_format import read_members
from cnnkit.data.target_kinds import is_whole

LEAST_GROUPS = 3  # for training, validation and test
GROUP_NAMES = (
    "group",
    "groups",
    "subject",
    "subjects",
    "subject_id",
    "patient",
    "patient_id",
    "person",
    "person_id",
    "participant",
    "participant_id",
    "user",
    "user_id",
)


@dataclass(frozen=True)
class Groups:
    """The groups by which examples are divided.

    Attributes:
        name: The column or array of groups; empty for none.
        number: How many different ones there are; 0 for none.
        notice: Why those of a usual name are not used; empty where they are, or there are none.
    """

    name: str = ""
    number: int = 0
    notice: str = ""


def groups_in(path: Path, key: str, options: Mapping[str, Any]) -> Groups:
    """The groups that an option names; else a column or array of a table or npz file with a usual name that is no target."""
    named, target = options.get("group"), options.get("target")
    columns = _columns_of(path, key, target, named)
    if named:
        return Groups(named, len(set(columns.get(named, ()))))
    targets = target if isinstance(target, list) else [target]
    usual = {name: values for name, values in columns.items() if name.lower() in GROUP_NAMES and name not in targets}
    numbers = {name: len(set(values)) for name, values in usual.items() if values}
    for name, number in numbers.items():
        if number >= LEAST_GROUPS:
            return Groups(name, number)
    for name in usual:
        if name not in numbers:
            return Groups(notice=f"{name} is not used to divide the examples by: it is not one word or whole number an example.")
        if numbers[name] > 1:
            return Groups(
                notice=f"{name} has fewer than {LEAST_GROUPS} different values, too few to divide the examples by: the same ones are in "
                "training, validation and test, whose metrics hold for them and not for others."
            )
    return Groups()


def _columns_of(path: Path, key: str, target: Any, named: str | None) -> dict[str, list[Any]]:
    """Columns or arrays that may be groups, with a value for each example; no values where they are of another form."""
    if key == "csv":
        table = read_table(path)
        divided = "split" in map(str.lower, table)  # into training and test examples already
        is_target = target is None and len(table) == 2  # the only column beside the paths
        return {} if (divided or is_target) and not named else {name: [cell for _, cell in cells] for name, cells in table.items()}
    if key != "npz":
        return {}
    members = read_members(path)
    if "x_train" in members and not named:  # divided into training and test examples already
        return {}
    counts = {member.shape[0] for member in members.values() if len(member.shape) >= 3}  # of the inputs
    columns = {}
    for name, member in members.items():
        if name == named or name.lower() in GROUP_NAMES:
            is_column = member.shape in {(count,) for count in counts} | {(count, 1) for count in counts}
            values = member.read().reshape(-1) if is_column and member.dtype.kind in "biufUS" else np.zeros(0)
            columns[name] = values.tolist() if values.dtype.kind != "f" or is_whole(values).all() else []
    return columns
