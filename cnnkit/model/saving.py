"""Save a deployable model: compiled for evaluation, without optimizer state, byte-reproducible."""

import json
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnnkit.model.loading.archive import CONFIG

if TYPE_CHECKING:
    import keras

STATELESS_OPTIMIZER = "sgd"  # has nothing to store; Keras warns when it loads an optimizer whose state was left out


def write_model(model: "keras.Model", path: Path) -> None:
    """Write a `.keras` file with the model's loss and metrics, but without optimizer state.

    Args:
        model: Built; where it is compiled, it is compiled again with plain SGD.
        path: The file, whose name ends in `.keras`.
    """
    if compiled := model.get_compile_config():
        model.compile_from_config({**compiled, "optimizer": STATELESS_OPTIMIZER})
    model.save(path)
    _make_reproducible(path)


def _make_reproducible(path: Path) -> None:
    """Remove memory addresses and file times from an archive; Keras's own `date_saved` remains."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members[CONFIG] = json.dumps(_with_stable_ids(json.loads(members[CONFIG]), {})).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content)


def _with_stable_ids(value: Any, numbers: dict[int, int]) -> Any:
    """A config with shared objects numbered from 1 in order, where Keras writes memory addresses.

    The ids of dtype policies are removed: policies are plain values, and sharing depends on how the model was built.
    """
    if isinstance(value, list):
        return [_with_stable_ids(item, numbers) for item in value]
    if not isinstance(value, dict):
        return value
    result = {key: _with_stable_ids(item, numbers) for key, item in value.items() if key != "shared_object_id"}
    if "shared_object_id" in value and value.get("class_name") != "DTypePolicy":
        result["shared_object_id"] = numbers.setdefault(value["shared_object_id"], len(numbers) + 1)
    return result
