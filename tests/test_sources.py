"""Sources of one's own: folders, CSV tables, npz and npy files, and how they are divided.

Over 300 lines: every source answers the same questions.
"""

import csv
import itertools
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnnkit.api.arrays import arrays_as_npz
from cnnkit.config.schema import Data
from cnnkit.config.task import Task
from cnnkit.data.rows import ComputedRows, DiskRows
from cnnkit.data.source import Request
from cnnkit.data.sources.arrays import open_npy, open_npz
from cnnkit.data.sources.csv_file import open_csv
from cnnkit.data.sources.folder import list_folder, natural, open_folder
from cnnkit.data.split import SplitFractions, assign_splits, stratified_sample
from cnnkit.errors import CnnkitError


def paint(path: Path, colour: tuple[int, int, int], size: tuple[int, int] = (10, 8)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)
    return path


def request_for(folder: Path, manifest: Sequence[tuple[str, str, str]] = ()) -> Request:
    return Request(seed=3, cache_folder=folder, manifest=manifest)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    root = tmp_path / "photos"
    for label, colour in (("class10", (250, 0, 0)), ("class2", (0, 250, 0)), ("class1", (0, 0, 250))):
        for index in range(20):
            paint(root / label / f"{index}.png", colour)
    (root / "empty").mkdir()
    (root / ".hidden").mkdir()
    paint(root / ".hidden" / "x.png", (0, 0, 0))
    (root / "class1" / ".thumb.png").write_bytes(b"")
    (root / "class1" / "notes.txt").write_text("no image")
    return root


def test_folder_orders_classes_naturally_and_passes_over_hidden_and_empty_ones(photos: Path) -> None:
    listing = list_folder(photos, None)
    assert listing.targets.dtype == np.int32
    assert listing.task.names == ("class1", "class2", "class10")
    assert len(listing.paths) == 60
    assert listing.notices == (f"{photos}: these folders have no images and are not classes: empty.",)


def test_where_a_folder_has_one_folder_only_the_one_with_the_classes_is_named(tmp_path: Path) -> None:
    for path in ("set/all/images/cat/a.png", "set/all/images/dog/b.png"):
        paint(tmp_path / path, (0, 0, 0))
    with pytest.raises(CnnkitError) as caught:
        open_folder(Data(folder=str(tmp_path / "set")))
    assert caught.value.message.endswith("two or more folders with images are wanted, a folder a class; there is only one, all")
    assert caught.value.remedy == f"Name the folder that has them: {tmp_path / 'set' / 'all' / 'images'}."
    paint(tmp_path / "one" / "cat" / "a.png", (0, 0, 0))
    with pytest.raises(CnnkitError) as caught:
        open_folder(Data(folder=str(tmp_path / "one")))
    assert caught.value.remedy.startswith("Images end in ")


def test_folders_of_the_same_names_inside_all_class_folders_are_told(tmp_path: Path) -> None:
    def told(*paths: str) -> str:
        for path in paths:
            (tmp_path / "set" / path).parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (8, 8)).save(tmp_path / "set" / path)
        return open_folder(Data(folder=str(tmp_path / "set"))).spec.interpretation

    assert told("day1/cat/a.png", "day1/dog/b.png", "day2/cat/c.png") == (
        "set: the classes are day1, day2; the folders inside them (cat) make no difference. Where those are the classes, have a folder for "
        "each of them."
    )
    assert told("day2/d.png") == ""  # an image of its own


def test_natural_order_counts_numbers() -> None:
    assert sorted(["img10", "img2", "Img1", "a"], key=natural) == ["a", "Img1", "img2", "img10"]


def test_names_that_differ_in_case_or_leading_zeros_only_have_one_order() -> None:
    names = ["01", "1", "A", "a", "a01", "a1"]
    for order in itertools.permutations(names):  # sets iterate in another order in every process
        assert sorted(order, key=natural) == names


def test_classes_choose_and_order(photos: Path) -> None:
    listing = list_folder(photos, ["class10", "class1"])
    assert listing.task.names == ("class10", "class1")
    assert np.bincount(listing.targets).tolist() == [20, 20]
    with pytest.raises(CnnkitError) as caught:
        list_folder(photos, ["clas1", "class2"])
    assert str(caught.value) == (
        f"{photos}: has no images of class 'clas1'. Did you mean 'class1'?\n    Mend `data.classes`, or add images of it."
    )


@pytest.mark.parametrize("validation", ["val", "valid", "validation", "Val"])
def test_folders_of_splits_are_found_in_every_spelling(tmp_path: Path, validation: str) -> None:
    for split in ("train", validation, "test"):
        for label in ("a", "b"):
            paint(tmp_path / split / label / "1.png", (9, 9, 9))
    listing = list_folder(tmp_path, None)
    assert listing.splits is not None
    assert sorted(listing.splits) == ["test", "test", "train", "train", "validation", "validation"]
    dataset = open_folder(Data(folder=str(tmp_path))).load(request_for(tmp_path))
    assert [len(part) for part in (dataset.train, dataset.validation, dataset.test) if part is not None] == [2, 2, 2]


def test_a_class_may_be_called_like_a_split(tmp_path: Path) -> None:
    for name in ("car/1.png", "train/1.png", "truck/1.png"):
        paint(tmp_path / name, (9, 9, 9))
    listing = list_folder(tmp_path, None)
    assert (listing.task.names, listing.splits) == (("car", "train", "truck"), None)


def test_images_beside_each_other_in_folders_of_splits_want_class_folders(tmp_path: Path) -> None:
    for name in ("train/cat.1.png", "train/dog.1.png", "test/1.png"):
        paint(tmp_path / name, (9, 9, 9))
    with pytest.raises(CnnkitError) as caught:
        list_folder(tmp_path, None)
    assert str(caught.value) == (
        f"{tmp_path}: two or more folders with images are wanted, a folder a class; there is none\n"
        f"    Put the images in {tmp_path / 'train'} into a folder a class, such as train/cat; or list them in a CSV file."
    )


@pytest.mark.parametrize("beside", ["test1/1.png", "labels/1.csv", "test/1.png"])
def test_training_and_test_images_are_never_taken_for_two_classes(beside: str, tmp_path: Path) -> None:
    paint(tmp_path / "train" / "cat.1.png", (9, 9, 9))
    (tmp_path / beside).parent.mkdir()
    shutil.copy(tmp_path / "train" / "cat.1.png", tmp_path / beside)
    with pytest.raises(CnnkitError, match="two or more folders with images are wanted, a folder a class; there is none"):
        list_folder(tmp_path, None)


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ("test/test/1.png", "class 'test' has images in test, but none in train."),
        ("val/cat/1.png", "class 'cat' has images in validation, but none in train. Did you mean 'Cat'?"),
    ],
)
def test_a_class_without_training_images_is_refused_unless_the_classes_are_named(tmp_path: Path, extra: str, message: str) -> None:
    for name in ("train/Cat/1.png", "train/dog/1.png", extra):
        paint(tmp_path / name, (9, 9, 9))
    with pytest.raises(CnnkitError) as caught:
        list_folder(tmp_path, None)
    assert str(caught.value) == (f"{tmp_path}: {message}\n    Rename its folder; or leave it out: `data.classes` names the classes to use.")
    assert list_folder(tmp_path, ["Cat", "dog"]).names == ["train/Cat/1.png", "train/dog/1.png"]
    assert list_folder(tmp_path, None, fewest=1).task.outputs == 3  # to evaluate on


def test_images_in_hidden_folders_are_passed_over(tmp_path: Path) -> None:
    for name in ("cats/1.png", "cats/.ipynb_checkpoints/1.png", "dogs/.cache/deep/1.png", "dogs/one/2.png"):
        paint(tmp_path / ".home" / name, (9, 9, 9))
    assert list_folder(tmp_path / ".home", None).names == ["cats/1.png", "dogs/one/2.png"]


def test_folder_pixels_are_the_files_own(photos: Path, tmp_path: Path) -> None:
    dataset = open_folder(Data(folder=str(photos), image_size=4)).load(request_for(tmp_path))
    expected = {0: (0, 0, 250), 1: (0, 250, 0), 2: (250, 0, 0)}
    pixels = dataset.train.rows.read(dataset.train.index)
    assert pixels.shape[1:] == (4, 4, 3)
    assert all((pixels[i] == expected[int(target)]).all() for i, target in enumerate(dataset.train.targets))


def test_split_is_stratified_disjoint_and_the_same_for_the_same_seed(photos: Path, tmp_path: Path) -> None:
    def load() -> dict[str, str]:
        dataset = open_folder(Data(folder=str(photos), test=0.2, validation=0.25)).load(request_for(tmp_path))
        return {name: split for name, _, split in dataset.manifest}

    splits = load()
    assert splits == load()
    counts = {split: sum(1 for name, s in splits.items() if s == split and name.startswith("class2/")) for split in set(splits.values())}
    assert counts == {"train": 12, "validation": 4, "test": 4}


def test_a_manifest_brings_back_the_same_division_though_files_have_come(photos: Path, tmp_path: Path) -> None:
    first = open_folder(Data(folder=str(photos))).load(request_for(tmp_path))
    paint(photos / "class1" / "new.png", (1, 2, 3))
    again = open_folder(Data(folder=str(photos))).load(request_for(tmp_path, first.manifest))
    assert [row for row in again.manifest if row[2] != "unused"] == first.manifest
    assert [name for name, _, split in again.manifest if split == "unused"] == ["class1/new.png"]
    (photos / "class2" / "3.png").unlink()
    with pytest.raises(CnnkitError) as caught:
        open_folder(Data(folder=str(photos))).load(request_for(tmp_path, first.manifest))
    assert str(caught.value) == ("photos: 1 file of the run's manifest is gone, such as class2/3.png\n    Put them back, or train anew.")


@pytest.mark.parametrize("cache", ["memory", "disk", "none"])
def test_every_cache_gives_the_same_pixels_the_second_time(photos: Path, tmp_path: Path, cache: str) -> None:
    dataset = open_folder(Data(folder=str(photos), image_size=[5, 3], cache=cache)).load(request_for(tmp_path))  # type: ignore[arg-type]
    index = dataset.train.index[::-1]
    plain = open_folder(Data(folder=str(photos), image_size=[5, 3], cache="none")).load(request_for(tmp_path))
    expected = plain.train.rows.read(index)
    assert np.array_equal(dataset.train.rows.read(index[:7]), expected[:7])
    assert np.array_equal(dataset.train.rows.read(index), expected)
    assert np.array_equal(dataset.train.rows.read(index), expected)
    assert list(tmp_path.glob("*.cache")) == []


def test_rows_once_made_are_not_made_again(tmp_path: Path) -> None:
    made: list[int] = []

    def make(index: int) -> np.ndarray:
        made.append(index)
        return np.full((2,), index, np.uint8)

    for cache in ("memory", tmp_path):
        made.clear()
        rows = ComputedRows(5, (2,), make, b"", cache)
        rows.read(np.array([3, 1]))
        assert rows.read(np.array([1, 2, 3]))[:, 0].tolist() == [1, 2, 3]
        assert sorted(made) == [1, 2, 3]


def test_disk_rows_equal_the_array_in_the_file(tmp_path: Path) -> None:
    array = np.random.default_rng(0).normal(size=(7, 3, 2)).astype(np.float32)
    (tmp_path / "raw").write_bytes(b"12345" + array.tobytes())
    rows = DiskRows(tmp_path / "raw", array.shape, array.dtype, 5)
    assert np.array_equal(rows.read(np.array([6, 0, 6])), array[[6, 0, 6]])


def write_csv(path: Path, rows: list[list[str]]) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return path


def test_csv_of_classes_with_paths_relative_to_it(photos: Path, tmp_path: Path) -> None:
    rows = [["file", "label"], *[[f"photos/class{c}/{i}.png", f"kind {c}"] for c in (1, 2, 10) for i in range(10)]]
    source = open_csv(Data(csv=str(write_csv(tmp_path / "table.csv", rows))))
    assert source.spec.task.names == ("kind 1", "kind 2", "kind 10")
    assert source.spec.input_shape == (8, 10, 3)
    dataset = source.load(request_for(tmp_path))
    assert dataset.train.rows.read(dataset.train.index).shape[1:] == (8, 10, 3)


def test_labels_with_underscores_are_classes(photos: Path, tmp_path: Path) -> None:
    source = open_csv(Data(csv=write_cells(tmp_path, np.array(["1_1", "11", "1_1", "11"]))))
    assert (source.spec.task.names, source.all_targets()[0].tolist()) == (("1_1", "11"), [0, 1, 0, 1])


def test_csv_of_several_labels(photos: Path, tmp_path: Path) -> None:
    rows = [["path", "label"], ["photos/class1/0.png", "sun|sea"], ["photos/class1/1.png", ""], ["photos/class1/2.png", "sea"]]
    source = open_csv(Data(csv=str(write_csv(tmp_path / "t.csv", rows)), separator="|"))
    assert source.spec.task.kind == "multilabel"
    assert source.spec.task.names == ("sea", "sun")
    assert source.listing.targets.tolist() == [[1, 1], [0, 0], [1, 0]]


def test_csv_of_numbers_is_a_regression(photos: Path, tmp_path: Path) -> None:
    rows = [["path", "height", "width"], *[[f"photos/class1/{i}.png", str(i / 2), str(-i)] for i in range(6)]]
    path = str(write_csv(tmp_path / "t.csv", rows))
    both = open_csv(Data(csv=path, target=["height", "width"]))
    assert both.spec.task.kind == "regression"
    assert both.listing.targets[3].tolist() == [1.5, -3.0]
    assert open_csv(Data(csv=path, target="height")).spec.task.names == ("height",)


def test_the_only_other_column_of_a_csv_is_what_is_predicted(photos: Path, tmp_path: Path) -> None:
    rows = [["photo", "person", "split", "height"], *[[f"photos/class1/{i}.png", f"p{i}", "", str(i / 2)] for i in range(6)]]
    path = str(write_csv(tmp_path / "t.csv", rows))
    assert open_csv(Data(csv=path, input="photo", group="person")).spec.task.names == ("height",)
    with pytest.raises(CnnkitError, match="none of its columns is called label, labels, class, target or the like"):
        open_csv(Data(csv=path, input="photo"))


@pytest.mark.parametrize(
    ("cells", "interpretation"),
    [
        (["x", "y", "x", "y"], ""),
        (["1", "2", "x", "1"], ""),  # a few codes
        (
            ["a|b", "a", "b", "a"],
            (
                "'label' holds 3 different texts in 4 rows, which are taken for classes; for several labels in a cell write "
                "`data: {separator: '|'}`."
            ),
        ),
        (
            [f"${i},000" for i in range(30)],
            (
                "'label' holds 30 different texts in 30 rows, which are taken for classes; numbers to predict are written without currency "
                "signs and separators, as in 1234.5."
            ),
        ),
    ],
    ids=["classes", "codes", "several labels", "prices"],
)
def test_texts_that_hardly_are_classes_are_told(photos: Path, tmp_path: Path, cells: list[str], interpretation: str) -> None:
    source = open_csv(Data(csv=write_cells(tmp_path, np.array(cells))))
    assert (source.spec.task.kind, source.spec.interpretation) == ("classification", interpretation)


def test_arrays_whose_axes_may_be_meant_otherwise_are_told(tmp_path: Path) -> None:
    def told(shape: tuple[int, ...], dtype: type) -> str:
        np.savez(tmp_path / "a.npz", x=np.zeros((4, *shape), dtype), y=np.array(["a", "b", "a", "b"]))
        return open_npz(Data(npz=str(tmp_path / "a.npz"))).spec.interpretation

    pictures = "Examples of (28, 28) are taken for signals of 28 steps; images have channels, grey ones too: `x[..., np.newaxis]`."
    assert told((28, 28), np.uint8) == pictures
    moved = "Examples of (3, 16, 20) are taken for images of 20 channels, which stand last: `np.moveaxis(x, 1, -1)`."
    assert told((3, 16, 20), np.uint8) == moved
    assert told((28, 28), np.float32) == told((28, 28, 3), np.uint8) == told((3, 4, 1), np.uint8) == ""


def test_csv_groups_never_stand_in_two_splits(photos: Path, tmp_path: Path) -> None:
    rows = [["path", "label", "patient"]]
    rows += [[f"photos/class{c}/{i}.png", f"{c}", f"p{i // 2}"] for c in (1, 2) for i in range(20)]
    source = open_csv(Data(csv=str(write_csv(tmp_path / "t.csv", rows)), group="patient", test=0.2, validation=0.2))
    splits = {name: split for name, _, split in source.load(request_for(tmp_path)).manifest}
    by_group: dict[str, set[str]] = {}
    for path, _, group in rows[1:]:
        by_group.setdefault(group, set()).add(splits[path])
    assert all(len(inside) == 1 for inside in by_group.values())
    assert {split for inside in by_group.values() for split in inside} == {"train", "validation", "test"}


@pytest.mark.parametrize(
    ("rows", "options", "message"),
    [
        ([["path", "label"], ["a.png", "x", "y"]], {}, "{path}:2: has 3 cells, the header 2\n    Put quotes around cells with a delimiter inside."),
        ([["path", "label"]], {}, "{path}: has a header but no rows"),
        ([["path", "path"], ["a", "b"]], {}, "{path}:1: the header has to name at least two different columns, got ['path', 'path']"),
        ([["where", "label"], ["a.png", "x"]], {}, "{path}: none of its columns is called path, file, filename, file_name or the like\n    Name one with `data.input`: where, label."),
        ([["path", "label"], ["a.png", "x"]], {"target": "lable"}, "{path}: has no column 'lable' (data.target). Did you mean 'label'?\n    Its columns: path, label."),
        ([["path", "label"], ["a.png", ""]], {}, "{path}:2: the label is empty\n    Write one, or take the row out."),
        ([["path", "label"], ["a.png", "x"], ["b.png", "x"]], {}, "{path}: two or more different labels are wanted, got ['x']"),
        ([["path", "age"], ["a.png", "1.5"], ["b.png", "nan"]], {"target": "age", "task": "regression"}, "{path}:3: 'nan' is not a finite number\n    For classes name one `target` column only."),
        ([["path", "price"], ["a.png", "1.5"], ["b.png", "n/a"], ["c.png", "2.5"]], {}, "{path}:3: 'n/a' is not a finite number, but 2 of 3 cells of 'price' are\n    Fill it in, or take the row out; for classes write `data: {task: classification}`."),
        ([["path", "label"], *[[f"{i}.png", str(7 * i)] for i in range(40)], ["40.png", ""]], {}, "{path}:42: '' is not a finite number, but 40 of 41 cells of 'label' are\n    Fill it in, or take the row out; for classes write `data: {task: classification}`."),
        ([["path", "label", "split"], ["a.png", "x", "trian"], ["b.png", "y", ""]], {}, "{path}:2: unknown split 'trian'. Did you mean 'train'?\n    Write train, validation or test."),
    ],
)  # fmt: skip
def test_csv_mistakes_are_told_with_their_line(tmp_path: Path, rows: list[list[str]], options: dict[str, str], message: str) -> None:
    path = write_csv(tmp_path / "t.csv", rows)
    with pytest.raises(CnnkitError) as caught:
        open_csv(Data.model_validate({"csv": str(path), **options}))
    assert str(caught.value) == message.replace("{path}", str(path))


def test_npz_of_signals_with_class_names_and_groups(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    x = random.normal(size=(60, 16, 2)).astype(np.float32)
    y, subject = (np.arange(60) % 3).astype(np.uint8), np.arange(60) // 6
    np.savez(tmp_path / "s.npz", x=x, y=y, subject=subject, class_names=np.array(["a", "b", "c"]))
    source = open_npz(Data(npz=str(tmp_path / "s.npz"), group="subject"))
    assert source.spec.task.names == ("a", "b", "c")
    dataset = source.load(request_for(tmp_path))
    assert dataset.test is not None
    assert not set(subject[dataset.train.index]) & set(subject[dataset.test.index])
    assert np.array_equal(dataset.train.rows.read(dataset.train.index), x[dataset.train.index])


def test_groups_and_splits_of_arrays_may_be_a_column_and_groups_floats_that_are_whole(tmp_path: Path) -> None:
    subject, parts = np.arange(60) // 6, np.array(["train", "test", "val"] * 20)
    arrays = {
        "whole": subject,
        "floats": subject.astype(float),
        "column": subject.astype(np.float32)[:, None],
        "part": parts,
        "parts": parts[:, None],
    }
    np.savez(tmp_path / "s.npz", x=np.zeros((60, 16, 2), np.float32), y=np.arange(60) % 3, **arrays)

    def splits(**options: str) -> list[str]:
        dataset = open_npz(Data.model_validate({"npz": str(tmp_path / "s.npz"), **options})).load(request_for(tmp_path))
        return [split for _, _, split in dataset.manifest]

    assert splits(group="whole") == splits(group="floats") == splits(group="column") != splits()
    assert splits(split="part") == splits(split="parts") == ["train", "test", "validation"] * 20


def test_a_grouped_run_opens_again_after_rows_of_its_groups_have_come(tmp_path: Path) -> None:
    def save(count: int) -> None:
        subject = np.arange(count) % 60 // 6
        np.savez(tmp_path / "s.npz", x=np.zeros((count, 16, 2), np.float32), y=np.arange(count) % 3, subject=subject)

    data = Data(npz=str(tmp_path / "s.npz"), group="subject")
    save(60)
    first = open_npz(data).load(request_for(tmp_path)).manifest
    save(66)
    again = open_npz(data).load(request_for(tmp_path, first)).manifest
    assert again[:60] == first
    assert [split for _, _, split in again[60:]] == ["unused"] * 6


def test_npz_larger_than_memory_allows_is_read_row_by_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.random.default_rng(0).integers(0, 255, (40, 6, 5, 3), np.uint8)
    np.savez(tmp_path / "big.npz", note=np.zeros(3), x=x, y=np.arange(40) % 4)
    for module in ("arrays", "npy_format"):
        monkeypatch.setattr(f"cnnkit.data.sources.{module}.available_memory", lambda: 1000)
    dataset = open_npz(Data(npz=str(tmp_path / "big.npz"))).load(request_for(tmp_path))
    assert isinstance(dataset.train.rows, DiskRows)
    assert np.array_equal(dataset.train.rows.read(dataset.train.index), x[dataset.train.index])
    np.savez_compressed(tmp_path / "packed.npz", x=x, y=np.arange(40) % 4)
    with pytest.raises(CnnkitError, match=r"Save it with numpy\.savez"):
        open_npz(Data(npz=str(tmp_path / "packed.npz")))


def test_npy_pair_and_keras_own_form(tmp_path: Path) -> None:
    x, y = np.zeros((30, 4, 4, 1), np.uint8), (np.arange(30) % 2).astype(np.int64)
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", y)
    assert open_npy(Data(npy=str(tmp_path / "x.npy"), target="y.npy")).spec.input_shape == (4, 4, 1)
    np.savez(tmp_path / "d.npz", x_train=x, y_train=y, x_test=x[:6], y_test=y[:6])
    dataset = open_npz(Data(npz=str(tmp_path / "d.npz"), validation=0.2)).load(request_for(tmp_path))
    assert [len(part) for part in (dataset.train, dataset.validation, dataset.test) if part is not None] == [24, 6, 6]


def write_arrays(folder: Path, y: np.ndarray, **further: np.ndarray) -> str:
    np.savez(folder / "y.npz", x=np.zeros((len(y), 4, 4, 1), np.uint8), y=y, **further)
    return str(folder / "y.npz")


def write_cells(folder: Path, y: np.ndarray) -> str:
    return str(write_csv(folder / "y.csv", [["path", "label"], *[["photos/class1/1.png", str(value)] for value in y]]))


def test_boolean_targets_are_the_classes_false_and_true_in_arrays_and_tables(photos: Path, tmp_path: Path) -> None:
    y = np.array([True, False, True, True])
    arrays, table = open_npz(Data(npz=write_arrays(tmp_path, y))), open_csv(Data(csv=write_cells(tmp_path, y)))
    for source in (arrays, table):
        assert (source.spec.task.names, source.spec.interpretation) == (("False", "True"), "")
    assert arrays.all_targets()[0].tolist() == table.all_targets()[0].tolist() == [1, 0, 1, 1]
    named = open_npz(Data(npz=write_arrays(tmp_path, y, class_names=np.array(["no", "yes"]))))
    assert named.spec.task.names == ("no", "yes")
    earlier = open_npz(Data(npz=write_arrays(tmp_path, y), task="classification", classes=["0", "1"]))  # as runs of before name them
    assert (earlier.spec.task.names, earlier.all_targets()[0].tolist()) == (("0", "1"), [1, 0, 1, 1])


@pytest.mark.parametrize("value", [0, 1, 7, True, "a"])
def test_targets_of_one_class_are_refused_alike_in_arrays_and_tables_unless_the_classes_are_named(
    photos: Path, tmp_path: Path, value: int | str
) -> None:
    y = np.full(6, value)
    for opening, path in (
        (lambda path: open_npz(Data(npz=path)), write_arrays(tmp_path, y)),
        (lambda path: open_csv(Data(csv=path)), write_cells(tmp_path, y)),
    ):
        with pytest.raises(CnnkitError) as caught:
            opening(path)
        assert str(caught.value) == f"{path}: two or more different labels are wanted, got ['{value}']"
    named = open_npz(Data(npz=write_arrays(tmp_path, y), classes=["other", str(value)]))
    assert named.all_targets()[0].tolist() == [1] * 6
    assert open_npz(Data(npz=write_arrays(tmp_path, y)), fewest_classes=1).spec.task.names == (str(value),)  # to evaluate on
    if not isinstance(value, str) and value is not True:
        assert open_npz(Data(npz=write_arrays(tmp_path, y), task="regression")).spec.task.kind == "regression"


def test_a_column_of_one_whole_number_is_described_in_the_singular(tmp_path: Path) -> None:
    from cnnkit.data.target_kinds import kind_of_column

    _, notice = kind_of_column("y", np.full(9, 4), whole=True, named=False, requested=None)
    assert notice.startswith("'y' holds whole numbers, all of them 4, which are taken for classes")


def test_damaged_and_pickled_arrays_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "p.npz", x=np.array([{"a": 1}], dtype=object), y=np.zeros(1))
    with pytest.raises(CnnkitError) as caught:
        open_npz(Data(npz=str(tmp_path / "p.npz")))
    assert str(caught.value) == (
        f"{tmp_path / 'p.npz'}: 'x.npy': holds pickled Python objects, which cnnkit does not run\n    Save plain numbers or texts."
    )
    np.save(tmp_path / "x.npy", np.zeros((8, 4, 2), np.float32))
    np.save(tmp_path / "y.npy", np.zeros(8, np.int32))
    (tmp_path / "x.npy").write_bytes((tmp_path / "x.npy").read_bytes()[:-10])
    with pytest.raises(CnnkitError, match=r"is cut short: 374 of 384 bytes"):
        open_npy(Data(npy=str(tmp_path / "x.npy"), target="y.npy"))
    x = np.zeros((8, 4, 2), np.float32)
    x[3, 0] = x[5, 0, 0] = np.nan
    np.savez(tmp_path / "nan.npz", x=x, y=np.arange(8))
    with pytest.raises(CnnkitError, match="2 of 8 examples in 'x' have NaN or infinite values"):
        open_npz(Data(npz=str(tmp_path / "nan.npz")))
    np.savez(tmp_path / "y.npz", x=np.zeros((8, 4, 2), np.float32), y=np.array([0, 1, 2, np.nan, 0, 0, 0, 0]))
    with pytest.raises(CnnkitError, match="1 targets in 'y' are NaN or infinite, the first at index 3"):
        open_npz(Data(npz=str(tmp_path / "y.npz")))


def test_take_share_takes_of_each_class_its_part_exactly() -> None:
    classes = np.repeat([0, 1, 2], [70, 20, 10])
    chosen = stratified_sample(np.arange(100), classes, 30, seed=5)
    assert np.bincount(classes[chosen]).tolist() == [21, 6, 3]
    assert len(set(chosen)) == 30


def test_given_splits_are_kept_and_a_torn_group_is_refused() -> None:
    given = np.array(["train", "test", "train", "validation"], dtype=object)
    assert assign_splits(given, None, None, SplitFractions(0.5, 0.5), 4, 0).tolist() == given.tolist()
    with pytest.raises(CnnkitError) as caught:
        assign_splits(given, None, np.array(["a", "a", "b", "c"]), SplitFractions(0.5, 0.5), 4, 0)
    assert str(caught.value) == "group 'a' is in train and in test: the splits leak\n    Put each group into one split."


def test_the_type_of_arrays_is_kept_where_it_is_that_of_pixels_or_signals(tmp_path: Path) -> None:
    for given, kept in ((np.uint8, np.uint8), (np.float32, np.float32), (np.float64, np.float32), (np.int16, np.float32)):
        np.savez(tmp_path / "x.npz", x=np.ones((8, 4, 2), given), y=np.arange(8) % 2)
        dataset = open_npz(Data(npz=str(tmp_path / "x.npz"))).load(request_for(tmp_path))
        assert dataset.train.rows.dtype == kept


@pytest.mark.skipif(sys.platform != "linux", reason="other systems allow no such names")
def test_a_folder_above_may_have_a_name_that_is_no_text(tmp_path: Path) -> None:
    photos = tmp_path / os.fsdecode(b"\xff")
    for label in ("a", "b"):
        paint(photos / label / "1.png", (9, 9, 9))
    source = open_folder(Data(folder=str(photos)))
    dataset = source.load(request_for(tmp_path))
    assert source.identity(dataset, "train", dataset.train) == os.fsencode(photos) + b"\na/1.png\nb/1.png"


def test_texts_as_targets_are_classes_in_natural_order(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", x=np.ones((8, 4, 2), np.float32), y=np.array(["c10", "c2"] * 4))
    dataset = open_npz(Data(npz=str(tmp_path / "x.npz"), validation=0.0, test=0.0)).load(request_for(tmp_path))
    assert dataset.task.names == ("c2", "c10")
    assert dataset.train.targets.tolist() == [1, 0] * 4


def test_targets_in_bytes_are_the_classes_that_they_spell(tmp_path: Path) -> None:
    x, y = np.ones((4, 4, 2), np.float32), np.array(["gr\u00fcn", "c2"] * 2)
    coded = np.char.encode(y, "utf-8")
    np.savez(tmp_path / "x.npz", x=x, y=coded, part=np.array([b"train", b"test"] * 2))
    np.savez(tmp_path / "named.npz", x=x, y=np.array([1, 0] * 2), class_names=np.array([b"c2", b"c3"]))
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", coded[:, None])
    for source in (open_npz(Data(npz=str(tmp_path / "x.npz"), split="part")), open_npy(Data(npy=str(tmp_path / "x.npy"), target="y.npy"))):
        assert source.spec.task.names == ("c2", "gr\u00fcn")
    assert open_npz(Data(npz=str(tmp_path / "named.npz"))).spec.task.names == ("c2", "c3")


def test_objects_that_are_texts_are_evaluated_as_texts_and_others_refused(tmp_path: Path) -> None:
    task, x = Task("classification", ("a", "b")), np.ones((2, 4, 4, 1))
    texts = np.array(["b", "a"], dtype=object)  # a column of pandas
    assert np.load(arrays_as_npz((x, texts), task, tmp_path))["y"].tolist() == ["b", "a"]
    with pytest.raises(CnnkitError) as caught:
        arrays_as_npz((x, np.array([1.5, "a"], dtype=object)), Task("regression", ("a",)), tmp_path)
    assert str(caught.value) == (
        "evaluate: targets are an array of Python objects, such as 1.5\n    Give numbers or texts: `np.asarray(values, dtype=float)`."
    )
