"""`npz:` and `npy:` arrays of images or signals with their targets, read a batch at a time where they are large."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from cnnkit.config.data_spec import DataSpec
from cnnkit.config.schema import Data
from cnnkit.data.divide import split_dataset, split_examples
from cnnkit.data.examples import Dataset, Examples
from cnnkit.data.inputs import StoredArray
from cnnkit.data.rows import ArrayRows, DiskRows, Rows, available_memory
from cnnkit.data.source import Request, Source
from cnnkit.data.sources.array_targets import Targets, check_targets, class_names_in, read_targets, targets_of
from cnnkit.data.sources.npy_format import Member, decoded, is_divided, npy_header, read_members
from cnnkit.data.split import SPELLINGS
from cnnkit.data.target_kinds import is_whole
from cnnkit.errors import CnnkitError, did_you_mean, format_value, named

Array = npt.NDArray[Any]

INPUT_NAMES, TARGET_NAMES = ("x", "X", "images", "inputs", "data", "signals"), ("y", "Y", "labels", "targets")

CHANNELS = (1, 3, 4)  # of usual images


class ArraySource(Source):
    """Inputs with their targets, and optional splits and groups."""

    def __init__(self, data: Data, name: str, rows: Rows, targets: "Targets", splits: Array | None, groups: Array | None) -> None:
        super().__init__(data, _spec(name, rows, targets))
        self._rows, self._targets, self._splits, self._groups = rows, targets.values, splits, groups

    def load(self, request: Request) -> Dataset:
        """The examples, split."""
        examples = Examples(self._rows, np.arange(self._rows.shape[0]), self._targets)
        labels = [str(target) for target in self._targets.tolist()]
        path = getattr(self.data, self.data.source)
        given = _splits_of_manifest(path, labels, request.manifest) if request.manifest else self._splits
        decided = bool(request.manifest)
        parts = split_examples(examples, self.spec.task, self.data, request.seed, given, self._groups, decided=decided)
        manifest = [(str(i), label, str(split)) for i, (label, split) in enumerate(zip(labels, parts.splits, strict=True))]
        return parts.as_dataset(self.spec.name, self.spec.task, manifest, parts.notices)


class DividedArraySource(Source):
    """An npz file with x_train, y_train, x_test and y_test, as Keras's mnist.npz."""

    def __init__(self, data: Data, name: str, train: Examples, test: Examples, targets: "Targets") -> None:
        super().__init__(data, _spec(name, train.rows, targets))
        self._dataset = Dataset(name, targets.task, train, None, test)

    def load(self, request: Request) -> Dataset:
        """The examples, validation held out from the training examples."""
        return split_dataset(self._dataset, self.data, request.seed)


def open_npz(data: Data, fewest_classes: int = 2) -> ArraySource | DividedArraySource:
    """The source of an npz file.

    Raises:
        CnnkitError: The file or an array does not exist, or arrays do not match.
    """
    assert data.npz is not None
    path = Path(data.npz)
    members = read_members(path)
    if is_divided(members) and data.input is None:
        return _open_divided(data, path, members, fewest_classes)
    x_name = array_name(path, members, data.input, INPUT_NAMES, "data.input")
    y_name = array_name(path, members, _one_target(path, data), TARGET_NAMES, "data.target")
    rows = _rows(path, x_name, members)
    targets = targets_of(path, y_name, read_targets(path, y_name, members), class_names_in(members), data, fewest_classes)
    _check_count(path, x_name, rows.shape[0], y_name, len(targets.values))
    groups = _per_example_values(path, members, data.group, "data.group") if data.group else None
    splits = _splits(path, _per_example_values(path, members, data.split, "data.split")) if data.split else None
    for option, array in (("data.group", groups), ("data.split", splits)):
        if array is not None:
            _check_count(path, x_name, rows.shape[0], option, len(array))
    return ArraySource(data, path.stem, rows, targets, splits, groups)


def open_npy(data: Data, fewest_classes: int = 2) -> ArraySource:
    """The source of two npy files: inputs and targets.

    Raises:
        CnnkitError: A file does not exist or is not an npy file, or the two do not match.
    """
    assert data.npy is not None
    path = Path(data.npy)
    target = _one_target(path, data)
    if target is None:
        raise CnnkitError(f"{path}: which file holds the targets is not said", "Name it: `data: {target: targets.npy}`.")
    target_path = path.parent / target
    shape, dtype, offset = npy_header(path)
    _check_inputs(path, path.name, shape, dtype)
    rows = _whole_or_by_row(path, shape, dtype, offset)
    _check_finite(path, path.name, rows)
    target_shape, target_dtype, target_offset = npy_header(target_path)
    check_targets(target_path, target_path.name, target_shape, target_dtype)
    stored = DiskRows(target_path, target_shape, target_dtype, target_offset).read(np.arange(target_shape[0]))
    values = decoded(str(target_path), stored)
    targets = targets_of(target_path, target_path.name, values, (), data, fewest_classes)
    _check_count(path, path.name, rows.shape[0], target_path.name, len(targets.values))
    return ArraySource(data, path.stem, rows, targets, None, None)


def _one_target(path: Path, data: Data) -> str | None:
    """The array or file of targets that `data.target` names; None where it names none.

    Raises:
        CnnkitError: It names several, as only the columns of a table can be.
    """
    names: Sequence[str | None] = [data.target] if isinstance(data.target, str) else data.target or [None]
    if len(names) > 1:
        raise CnnkitError(
            f"{path}: wants one array of targets, got {format_value(names)} (data.target)",
            "Save them as the columns of one, `np.stack([a, b], axis=1)`.",
        )
    return names[0]


def _splits_of_manifest(path: str, labels: Sequence[str], manifest: Sequence[tuple[str, str, str]]) -> Array:
    """The splits in an earlier run's manifest; rows added at the end since get `unused`.

    Raises:
        CnnkitError: Rows are gone, or have other targets: a row is known by its position only.
    """
    rows = {position: (label, split) for position, label, split in manifest}
    changed = [i for i, label in enumerate(labels) if rows.get(str(i), (label, ""))[0] != label]
    if changed or len(labels) < len(rows):
        what = f"targets differ, the first at index {changed[0]}" if changed else ""
        count = f"it had {len(rows):,} rows, it has {len(labels):,}" if len(labels) < len(rows) else ""
        raise CnnkitError(
            f"{path}: has changed since the run was trained: {' and '.join(filter(None, (count, what)))}",
            "Put it back as it was, or train anew.",
        )
    return np.array([rows[str(i)][1] if str(i) in rows else "unused" for i in range(len(labels))], dtype=object)


def npz_inputs(path: Path, column: str | None) -> StoredArray:
    """The array of inputs in an npz file, its only array or the named one.

    Raises:
        CnnkitError: There is none, or it is not numeric.
    """
    members = read_members(path)
    only = next(iter(members)) if len(members) == 1 else None
    name = array_name(path, members, column or only, (*INPUT_NAMES, "x_test"), "--column")
    member = members[name]
    return StoredArray(path, name, member.shape, member.dtype, member.opened)


def npy_inputs(path: Path, column: str | None) -> StoredArray:
    """The array of inputs in an npy file; `column` is ignored, since the file has one unnamed array.

    Raises:
        CnnkitError: It does not exist, or is not numeric.
    """
    shape, dtype, offset = npy_header(path)

    def opened() -> IO[bytes]:
        file = path.open("rb")
        file.seek(offset)
        return file

    return StoredArray(path, path.name, shape, dtype, opened)


def _spec(name: str, rows: Rows, targets: "Targets") -> DataSpec:
    """The data spec, with a notice where axes may be meant otherwise than they are read: images without channels, or channels first."""
    shape = rows.shape[1:]
    doubt = ""
    if len(shape) == 2 and rows.dtype == np.uint8:
        doubt = f"Examples of {shape} are taken for signals of {shape[0]} steps; images have channels, grey ones too: `x[..., np.newaxis]`."
    elif len(shape) == 3 and shape[0] in CHANNELS and shape[-1] not in CHANNELS:
        doubt = f"Examples of {shape} are taken for images of {shape[-1]} channels, which stand last: `np.moveaxis(x, 1, -1)`."
    return DataSpec(name, shape, targets.task, " ".join(text for text in (doubt, targets.interpretation) if text))


def _rows(path: Path, name: str, members: dict[str, Member]) -> Rows:
    member = members[name]
    _check_inputs(path, name, member.shape, member.dtype)
    rows = _whole_or_by_row(path, member.shape, member.dtype, member.offset) if member.stored else _as_rows(member.read())
    _check_finite(path, name, rows)
    return rows


def _whole_or_by_row(path: Path, shape: tuple[int, ...], dtype: np.dtype[Any], offset: int) -> Rows:
    """Rows in memory where they take at most an eighth of the free memory, else read from the file on demand."""
    rows = DiskRows(path, shape, dtype, offset)
    if math.prod(shape) * dtype.itemsize <= available_memory() // 8:
        return _as_rows(rows.read(np.arange(shape[0])))
    return rows


def _as_rows(array: Array) -> ArrayRows:
    return ArrayRows(array if array.dtype in (np.uint8, np.float32) else array.astype(np.float32))


def _check_inputs(path: Path, name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    """Check shape and dtype of an input array, before it is read."""
    if dtype.kind not in "uif" or not 3 <= len(shape) <= 5 or 0 in shape:
        raise CnnkitError(
            f"{path}: {format_value(name)} is {shape} {dtype}",
            "Wanted are images (n, height, width, channels) or signals (n, steps, channels)"
            + ("; signals of one channel are `x[..., np.newaxis]`." if len(shape) == 2 else "."),
        )


def _check_finite(path: Path, name: str, rows: Rows) -> None:
    if isinstance(rows, ArrayRows) and rows.dtype.kind == "f":
        bad = int((~np.isfinite(rows.array.reshape(len(rows.array), -1))).any(axis=1).sum())
        if bad:
            raise CnnkitError(
                f"{path}: {bad} of {len(rows.array)} examples in '{name}' have NaN or infinite values", "Take them out, or fill them in."
            )


def _check_count(path: Path, first: str, count: int, second: str, other: int) -> None:
    if count != other:
        raise CnnkitError(f"{path}: '{first}' has {count:,} rows, '{second}' {other:,}", "Each example needs one of both.")


def array_name(path: Path, members: dict[str, Member], name: str | None, defaults: tuple[str, ...], option: str) -> str:
    """The named array; without a name, the first one with a default name.

    Raises:
        CnnkitError: There is none; the message names `option`, with which to choose one.
    """
    if name is not None:
        if name not in members:
            raise CnnkitError(
                f"{path}: has no array '{name}' ({option}).{did_you_mean(name, members)}",
                f"Its arrays: {named(members)}.",
            )
        return name
    for candidate in defaults:
        if candidate in members:
            return candidate
    raise CnnkitError(
        f"{path}: none of its arrays is called {', '.join(defaults[:4])} or the like",
        f"Name one with `{option}`: {named(members)}.",
    )


def _per_example_values(path: Path, members: dict[str, Member], name: str, option: str) -> Array:
    """The array of groups or splits that an option names, one value per example `(n,)`; whole numbers may be floats, as of `np.loadtxt`."""
    member = members[array_name(path, members, name, (), option)]
    what, wanted = f"{path}: {format_value(name)} ({option})", "Wanted is one word or whole number an example."
    if member.shape not in ((math.prod(member.shape),), (math.prod(member.shape), 1)) or member.dtype.kind not in "biufUS":
        raise CnnkitError(f"{what} is {member.shape} {member.dtype}", wanted)
    values = member.read().reshape(-1)
    if values.dtype.kind != "f":
        return values
    whole = is_whole(values)
    if not whole.all():
        raise CnnkitError(f"{what} has {values[np.argmin(whole)]}", wanted)
    return values.astype(np.int64)


def _splits(path: Path, values: Array) -> Array:
    texts = [str(value).lower() for value in values]
    unknown = [text for text in texts if text not in SPELLINGS]
    if unknown:
        raise CnnkitError(f"{path}: unknown split {format_value(unknown[0])}", "Wanted are train, validation and test.")
    return np.array([SPELLINGS[text] for text in texts], dtype=object)


def _open_divided(data: Data, path: Path, members: dict[str, Member], fewest_classes: int) -> DividedArraySource:
    for option in ("target", "group", "split"):
        if getattr(data, option) is not None:
            raise CnnkitError(
                f"{path}: has x_train, y_train, x_test and y_test, which `data.{option}` does not go with",
                "Leave it out, or name the array of inputs, `data: {input: …}`.",
            )
    forms = {split: (members[f"x_{split}"].shape[1:], members[f"x_{split}"].dtype) for split in ("train", "test")}
    (shape, dtype), (test_shape, test_dtype) = forms["train"], forms["test"]
    if shape != test_shape or dtype.kind != test_dtype.kind or (dtype == np.uint8) != (test_dtype == np.uint8):
        raise CnnkitError(
            f"{path}: an example of x_train is {shape} {dtype}, one of x_test {test_shape} {test_dtype}", "Each has to be of one form."
        )
    rows = {split: _rows(path, f"x_{split}", members) for split in ("train", "test")}
    values = {split: read_targets(path, f"y_{split}", members) for split in rows}
    for split in rows:
        _check_count(path, f"x_{split}", rows[split].shape[0], f"y_{split}", len(values[split]))
    if values["train"].shape[1:] != values["test"].shape[1:]:
        raise CnnkitError(f"{path}: y_train is {values['train'].shape}, y_test {values['test'].shape}", "Each row has to be of one form.")
    converted = targets_of(path, "y_train", np.concatenate(list(values.values())), class_names_in(members), data, fewest_classes)
    count = len(values["train"])
    targets = {"train": converted.values[:count], "test": converted.values[count:]}
    if converted.task.is_classification and targets["test"].max() > targets["train"].max():
        raise CnnkitError(f"{path}: y_test has classes that y_train has not")
    train, test = (Examples(rows[split], np.arange(rows[split].shape[0]), targets[split]) for split in rows)
    return DividedArraySource(data, path.stem, train, test, converted)
