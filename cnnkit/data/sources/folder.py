"""`folder:` images in a folder a class, with or without train, validation and test folders above the classes."""

import re
from pathlib import Path

import numpy as np

from cnnkit.config.schema import Data
from cnnkit.config.task import Task
from cnnkit.data.images.header import SUFFIXES
from cnnkit.data.inputs import ImageFiles
from cnnkit.data.sources.image_files import ImageFileSource, Listing
from cnnkit.data.split import SPELLINGS, in_split_order
from cnnkit.errors import CnnkitError, did_you_mean, escape_unprintable, named

MOST_LEVELS = 8  # of folders, in which the classes are looked for


def open_folder(data: Data, fewest_classes: int = 2) -> ImageFileSource:
    """The source of a folder of images.

    Raises:
        CnnkitError: The folder does not exist, or has no folders of images.
    """
    assert data.folder is not None
    return ImageFileSource(data, list_folder(Path(data.folder), data.classes, fewest_classes))


def folder_inputs(path: Path, column: str | None) -> ImageFiles:
    """The image files in a folder and its subfolders; `column` is ignored.

    Raises:
        CnnkitError: There are none.
    """
    paths = image_files(path)
    if not paths:
        raise CnnkitError(f"{path}: has no images in it, nor in folders below", f"Images end in {', '.join(SUFFIXES)}.")
    return ImageFiles(paths)


def list_folder(folder: Path, classes: list[str] | None, fewest: int = 2) -> Listing:
    """The image files below a folder with their classes and, where it has split folders, their splits.

    Args:
        folder: With a folder a class; or with train, val (valid, validation) or test folders that have those.
        classes: The classes to use, in this order; None for all, in natural order (2 before 10).
        fewest: Minimum number of classes.
    """
    if not folder.is_dir():
        raise CnnkitError(
            f"{folder}: {'is not a folder' if folder.exists() else 'there is no such folder'}",
            "Name a folder with a folder of images a class.",
        )
    splits = _split_folders(folder)
    notices: list[str] = []
    other_folders = [path.name for path in _folders(folder) if splits and path not in splits]
    if other_folders:
        notices.append(f"{folder}: beside the splits, these folders are passed over: {_few(other_folders)}.")
    found: dict[str, list[tuple[Path, str]]] = {}
    empty: list[str] = []
    for root, split in splits.items() or [(folder, "")]:
        for class_folder in _folders(root):
            files = image_files(class_folder)
            if files:
                found.setdefault(class_folder.name, []).extend((file, split) for file in files)
            else:
                empty.append(str(class_folder.relative_to(folder)))
    if empty:
        notices.append(f"{folder}: these folders have no images and are not classes: {_few(empty)}.")
    unassigned = image_files(folder, deep=False)
    if unassigned and found:
        notices.append(f"{folder}: {len(unassigned)} images lie beside the class folders and are passed over.")
    names = _class_names(folder, sorted(found, key=natural), classes, fewest, splits)
    if splits and classes is None and fewest > 1:
        _require_training(folder, found)
    listed = [(file, split, index) for index, name in enumerate(names) for file, split in found[name]]
    return Listing(
        name=folder.resolve().name,
        paths=[file for file, _, _ in listed],
        names=[file.relative_to(folder).as_posix() for file, _, _ in listed],
        targets=np.array([index for _, _, index in listed], np.int32),
        task=Task("classification", tuple(names)),
        splits=np.array([split for _, split, _ in listed], dtype=object) if splits else None,
        notices=tuple(notices),
        interpretation=_doubt(folder, {name: [file.parent for file, _ in found[name]] for name in names}),
    )


def _split_folders(folder: Path) -> dict[Path, str]:
    """The folders of splits with their splits; none where there are no training images in class folders, as `train` may be a class."""
    folders = _folders(folder)
    splits = {path: SPELLINGS[path.name.lower()] for path in folders if path.name.lower() in SPELLINGS}
    training = [path for path, split in splits.items() if split == "train"]
    if any(image_files(each) for path in training for each in _folders(path)):
        return splits
    classes = [path for path in folders if _without_number(path.name) not in SPELLINGS and image_files(path)]
    return splits if training and len(classes) < 2 else {}  # with two others, `train` is a class


def _without_number(name: str) -> str:
    return name.lower().rstrip("0123456789")  # test1 holds no class either


def _require_training(folder: Path, found: dict[str, list[tuple[Path, str]]]) -> None:
    """Refuse a class without training images, as of a folder `test/test` or of another spelling.

    Raises:
        CnnkitError: There is one.
    """
    trained = [name for name, files in found.items() if any(split == "train" for _, split in files)]
    for name, files in found.items():
        if name not in trained:
            raise CnnkitError(
                f"{folder}: class '{escape_unprintable(name)}' has images in {named(in_split_order(split for _, split in files))}, "
                f"but none in train.{did_you_mean(name, trained)}",
                "Rename its folder; or leave it out: `data.classes` names the classes to use.",
            )


def _doubt(folder: Path, parents: dict[str, list[Path]]) -> str:
    """A notice that the folders inside the class folders may be the classes: all images are in some, of the same names in several classes.

    Args:
        folder: The folder.
        parents: Class -> the folder of each of its images.
    """
    inner = {name: {each.name for each in folders if each.name != name} for name, folders in parents.items()}
    is_direct = any(each.name == name for name, folders in parents.items() for each in folders)
    shared = sorted(
        {each for names in inner.values() for each in names if sum(each in others for others in inner.values()) > 1}, key=natural
    )
    if is_direct or not shared:
        return ""
    return (
        f"{folder.name}: the classes are {_few(list(parents))}; the folders inside them ({_few(shared)}) make no difference. Where those "
        "are the classes, have a folder for each of them."
    )


def natural(name: str) -> tuple[list[tuple[int, int, str]], str]:
    """Sort key for natural order: `2` before `10`, `img2` before `img10`; no two names tie, such as `A` and `a`."""
    parts = [part for part in re.split(r"(\d+)", name) if part]
    return [_as_number(part.lstrip("0")) if part.isdecimal() else (1, 0, part.casefold()) for part in parts], name


def _as_number(digits: str) -> tuple[int, int, str]:
    return (0, len(digits), digits)  # Python refuses to read integers of more than 4,300 digits


def _class_names(folder: Path, names: list[str], classes: list[str] | None, fewest: int, splits: dict[Path, str]) -> list[str]:
    if classes is not None:
        unknown = [name for name in classes if name not in names]
        if unknown:
            meant = did_you_mean(unknown[0], names) or f" There are: {_few(names)}."
            raise CnnkitError(f"{folder}: has no images of class '{unknown[0]}'.{meant}", "Mend `data.classes`, or add images of it.")
        return classes
    if len(names) < fewest:
        got = f"only one, {escape_unprintable(names[0])}" if names else "none"
        unsorted = next((path for path, split in splits.items() if split == "train" and image_files(path, deep=False)), None)
        below = _classes_below(folder)
        remedy = f"Name the folder that has them: {below}." if below else "Images end in " + ", ".join(SUFFIXES) + "."
        if unsorted is not None:
            remedy = f"Put the images in {unsorted} into a folder a class, such as {unsorted.name}/cat; or list them in a CSV file."
        raise CnnkitError(
            f"{folder}: {'two' if fewest > 1 else 'one'} or more folders with images are wanted, a folder a class; there is {got}", remedy
        )
    return names


def _classes_below(folder: Path) -> Path | None:
    """The first folder on the way down from one that has two or more folders of images; None where the way forks before or ends."""
    for _ in range(MOST_LEVELS):
        with_images = [each for each in _folders(folder) if image_files(each)]
        if len(with_images) != 1:
            return folder if with_images else None
        (folder,) = with_images
    return None


def _folders(folder: Path) -> list[Path]:
    return sorted(
        (path for path in folder.iterdir() if path.is_dir() and not path.name.startswith((".", "__MACOSX"))),
        key=lambda path: natural(path.name),
    )


def image_files(folder: Path, *, deep: bool = True) -> list[Path]:
    """Image files by extension, without hidden ones and those in hidden folders, in natural order; `deep` includes subfolders."""
    files = folder.rglob("*") if deep else folder.iterdir()
    visible = (file for file in files if not any(part.startswith(".") for part in file.relative_to(folder).parts))
    images = [file for file in visible if file.suffix.lower() in SUFFIXES and file.is_file()]
    return sorted(images, key=lambda file: natural(file.relative_to(folder).as_posix()))


def _few(names: list[str]) -> str:
    return named(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
