"""Validate the archive of an untrusted `.keras` file before Keras reads it: complete, uncompressed, no other members.

Nothing is extracted: members are read into memory, and each is as large as its bytes in the file.
"""

import io
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cnnkit.errors import CnnkitError, format_value
from cnnkit.io.json_file import parse_json

CONFIG, METADATA, WEIGHTS = "config.json", "metadata.json", "model.weights.h5"

MAX_ENTRIES = 30_000  # groups and datasets in the weights; EfficientNetV2L with its optimizer has 10,000

_REMEDY = "A .keras file is a zip archive that Keras's model.save wrote."
_OTHERS = (  # magic bytes of files that are mistaken for a model
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file (.h5), a form that Keras wrote before version 3"),
    (b"\x80", "a Python pickle, which cnnkit never opens"),
    (b"\x08", "a TensorFlow graph"),
    (b"\x93NUMPY", "an npy file of NumPy"),
)
_OTHER_ARCHIVES = (  # member that identifies another kind of zip archive
    ("[Content_Types].xml", "an Office document"),
    ("data.pkl", "a PyTorch file, which holds Python pickles"),
    ("META-INF/MANIFEST.MF", "a Java archive"),
)


@dataclass(frozen=True)
class ArchiveContent:
    """The content of a `.keras` file.

    Attributes:
        config: Model and compile config as plain JSON values; not yet validated.
        weight_count: Number of scalar weights in the file, of the network and its optimizer.
    """

    config: Any
    weight_count: int


def read_archive(path: Path) -> ArchiveContent:
    """Read a `.keras` file and check its archive and its weights: checksums are verified, and nothing larger than the file is allocated.

    Raises:
        CnnkitError: The file is missing, cut short, damaged, not a Keras model, or not as Keras writes one.
    """
    if path.is_dir():
        saved_model = (path / "saved_model.pb").exists()
        raise CnnkitError(f"{path}: is a folder{' (a SavedModel)' if saved_model else ''}, not a .keras file", _REMEDY)
    if not path.is_file():
        raise CnnkitError(f"{path}: no such model file")
    try:
        with path.open("rb") as file:
            start = file.read(8)
        if not start:
            raise CnnkitError(f"{path}: is empty", "Copy it again, or train the run again.")
        if not zipfile.is_zipfile(path):
            raise CnnkitError(f"{path}: {_describe_other_file(start)}", _REMEDY)
        with zipfile.ZipFile(path) as archive:
            _check_members(path, archive)
            config, _, weights = (archive.read(name) for name in (CONFIG, METADATA, WEIGHTS))
    except PermissionError as error:
        raise CnnkitError(f"{path}: cannot be read: permission denied", "Check its permissions.") from error
    except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError, RuntimeError, EOFError) as error:
        raise CnnkitError(f"{path}: is damaged ({format_value(str(error))})", "Copy it again, or train the run again.") from error
    try:
        value = parse_json(config)
    except ValueError as error:
        raise CnnkitError(
            f"{path}: its {CONFIG} is damaged ({format_value(str(error))})", "Copy it again, or train the run again."
        ) from error
    return ArchiveContent(value, _count_weights(path, weights))


def _describe_other_file(start: bytes) -> str:
    if start.startswith(b"PK\x03\x04"):
        return "was cut short: the end of the archive is missing"
    named = next((words for magic, words in _OTHERS if start.startswith(magic)), None)
    return f"is {named}" if named else "is not a .keras file, or was cut short"


def _check_members(path: Path, archive: zipfile.ZipFile) -> None:
    """Refuse archives that Keras does not write, so that member sizes are exact and no member name is a path."""
    members = archive.infolist()
    names = [member.filename for member in members]
    if CONFIG not in names:
        ends = {name: name.rpartition("/")[2] for name in names}
        other = next((words for mark, words in _OTHER_ARCHIVES if mark in names or mark in ends.values()), "another zip archive")
        raise CnnkitError(f"{path}: is {other}, not a .keras file", _REMEDY)
    for name in names:
        if name.startswith("assets/") and ".." not in name:
            reason = f"holds a file of its own, {format_value(name)}, for a layer such as StringLookup"
            raise CnnkitError(f"{path}: {reason}", "cnnkit loads models without such layers only.")
        if name not in (CONFIG, METADATA, WEIGHTS):
            raise CnnkitError(f"{path}: holds {format_value(name)}, which Keras does not write", _REMEDY)
    if len(set(names)) < len(names):
        raise CnnkitError(f"{path}: holds two members of one name", _REMEDY)
    missing = {METADATA, WEIGHTS} - set(names)
    if missing:
        raise CnnkitError(f"{path}: has no {min(missing)}", "Save it with Keras 3's model.save.")
    plain = all(member.compress_type == zipfile.ZIP_STORED and member.compress_size == member.file_size for member in members)
    if not plain or any(member.flag_bits & 0x1 for member in members):
        raise CnnkitError(f"{path}: is compressed or encrypted, which Keras does not do", "Load it with Keras and save it again.")
    if sum(member.file_size for member in members) > path.stat().st_size:
        raise CnnkitError(f"{path}: its members are together larger than the file", _REMEDY)


def _count_weights(path: Path, data: bytes) -> int:
    """Number of scalar weights in the HDF5 data, each verified to be stored in it.

    Raises:
        CnnkitError: It is not an HDF5 file, links to other files, or has a dataset that is not numeric and contiguous.
    """
    import h5py

    count = 0
    seen: set[int] = set()  # addresses in the file: a group that contains itself would recurse for ever
    try:
        with h5py.File(io.BytesIO(data), "r") as file:
            pending = [("", file)]
            while pending:
                where, group = pending.pop()
                for name in group:
                    place = f"{where}/{name}"
                    link = group.get(name, getlink=True)
                    fault = "" if isinstance(link, h5py.HardLink) else f"are a {type(link).__name__}, which may lead to other files"
                    item: Any = None if fault else group[name]
                    if fault := fault or _fault_of_entry(item, len(data), seen):
                        raise CnnkitError(f"{path}: weights {format_value(place)} {fault}", "Keras does not write such files.")
                    if isinstance(item, h5py.Group):
                        pending.append((place, item))
                    else:
                        count += int(item.size)
    except (OSError, KeyError, ValueError, RuntimeError, TypeError, OverflowError, MemoryError, AttributeError) as error:
        raise CnnkitError(
            f"{path}: its weights cannot be read ({format_value(str(error))})", "Copy the file again, or train the run again."
        ) from error
    return count


def _fault_of_entry(item: Any, max_bytes: int, seen: set[int]) -> str:
    """Why an HDF5 object is not one that Keras writes (groups, contiguous numeric datasets in this file); empty where it is."""
    import h5py

    address = h5py.h5o.get_info(item.id).addr
    if address in seen:
        return "are there twice"
    seen.add(address)
    if len(seen) > MAX_ENTRIES:
        return "are too many"
    if isinstance(item, h5py.Group):
        return ""
    return _fault_of_numbers(item, max_bytes) if isinstance(item, h5py.Dataset) else "are neither group nor numbers"


def _fault_of_numbers(dataset: Any, max_bytes: int) -> str:
    if dataset.external or dataset.is_virtual:
        return "are in another file"
    bfloat16 = dataset.dtype.kind == "V" and dataset.dtype.itemsize == 2 and dataset.dtype.names is None
    if dataset.dtype.kind not in "fiub" and not bfloat16:
        return f"are of type {format_value(str(dataset.dtype))}, not numbers"
    if dataset.shape is None or dataset.chunks is not None:
        return "are compressed" if dataset.chunks is not None else "have no shape"
    declared, there = dataset.size * dataset.dtype.itemsize, dataset.id.get_storage_size()
    if declared > max_bytes or declared != there:
        return f"take {declared:,} bytes, but {there:,} are there"
    return ""
