"""A run reopened after its data has changed: the same examples in the same splits under the same names, or an error that says what."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cnnkit.artifacts.model_metadata import ModelMetadata, read_metadata
from cnnkit.config.task import Task
from cnnkit.errors import CnnkitError
from cnnkit.runs.directory import RunDirectory
from cnnkit.runs.reopen import reopened

MODEL = "model: {layers: [Flatten, {Dense: {units: outputs}}]}\ntrain: {loss: mean_squared_error}\n"


def paint(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (4, 4)).save(path)


def run_on(folder: Path, data: str, task: Task, manifest: list[tuple[str, str, str]]) -> Path:
    """The model of a run as if trained on data in a folder; the model itself is not needed to open its data."""
    run = RunDirectory(folder / "run")
    run.path.mkdir()
    run.write_config(f"data: {{{data}, validation: 0, test: 0}}\n{MODEL}")
    run.write_metadata(ModelMetadata("data", task))
    run.write_manifest(manifest)
    run.model.touch()
    return run.model


def labels(model: Path) -> dict[str, dict[int, Any]]:
    """Split -> row -> the name of its class by the model's names."""
    trained = read_metadata(model)
    assert trained is not None
    with reopened(model) as run:
        names = trained.task.names
        return {
            split: {int(row): names[int(target)] for row, target in zip(part.index, part.targets, strict=True)}
            for split, part in run.dataset.splits.items()
        }


def test_classes_keep_the_order_of_the_run_though_another_class_has_come(tmp_path: Path) -> None:
    for name in ("a/1.png", "B/1.png", "B/2.png", "AA/1.png"):
        paint(tmp_path / "photos" / name)
    manifest = [("a/1.png", "a", "test"), ("B/1.png", "B", "train"), ("B/2.png", "B", "test")]
    with reopened(run_on(tmp_path, f"folder: {tmp_path / 'photos'}", Task("classification", ("B", "a")), manifest)) as run:
        assert run.dataset.task.names == run.metadata.task.names == ("B", "a")
        assert run.dataset.test is not None
        assert run.dataset.test.targets.tolist() == [0, 1]  # B/2.png and a/1.png


@pytest.mark.parametrize("written", ["", ", task: classification"])
def test_labels_of_a_table_keep_the_order_of_the_run(tmp_path: Path, written: str) -> None:
    paint(tmp_path / "x.png")
    rows = [("path", "label"), *((f"./{'./' * i}x.png", label) for i, label in enumerate("baba"))]
    with (tmp_path / "t.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    manifest = [(path, label, "train") for path, label in rows[1:]]
    model = run_on(tmp_path, f"csv: {tmp_path / 't.csv'}{written}", Task("classification", ("b", "a")), manifest)
    assert list(labels(model)["train"].values()) == ["b", "a", "b", "a"]


def test_a_file_that_a_table_lists_twice_keeps_both_its_splits(tmp_path: Path) -> None:
    for name in ("x.png", "y.png"):
        paint(tmp_path / name)
    (tmp_path / "t.csv").write_text("path,label\nx.png,a\ny.png,b\nx.png,b\nx.png,a\n")
    manifest = [("x.png", "a", "test"), ("y.png", "b", "train"), ("x.png", "b", "train")]
    with reopened(run_on(tmp_path, f"csv: {tmp_path / 't.csv'}", Task("classification", ("a", "b")), manifest)) as run:
        assert {split: part.index.tolist() for split, part in run.dataset.splits.items()} == {"train": [1, 2], "test": [0]}
        assert [split for _, _, split in run.dataset.manifest] == ["test", "train", "train", "unused"]


def test_arrays_that_have_changed_since_are_refused_and_rows_at_the_end_are_not_used(tmp_path: Path) -> None:
    def save(*targets: int) -> None:
        np.savez(tmp_path / "d.npz", x=np.zeros((len(targets), 4, 4, 1), np.uint8), y=np.array(targets))

    save(0, 1, 1, 0)
    manifest = [(str(i), str(label), split) for i, (label, split) in enumerate([(0, "train"), (1, "test"), (1, "train"), (0, "test")])]
    model = run_on(tmp_path, f"npz: {tmp_path / 'd.npz'}", Task("classification", ("0", "1")), manifest)
    before = {"train": {0: "0", 2: "1"}, "test": {1: "1", 3: "0"}}
    assert labels(model) == before
    save(0, 1, 1, 0, 1)
    assert labels(model) == before
    for targets, what in (
        ((0, 1, 1), "it had 4 rows, it has 3"),
        ((0, 1, 0, 1), "targets differ, the first at index 2"),
        ((1, 1, 1), "it had 4 rows, it has 3 and targets differ, the first at index 0"),
    ):
        save(*targets)
        with pytest.raises(CnnkitError, match=f"d.npz: has changed since the run was trained: {what}\n"):
            labels(model)


def test_labels_that_are_others_than_in_training_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", x=np.zeros((3, 4, 4, 1), np.uint8), y=np.array([[1, 1], [0, 1], [0, 0]]), class_names=np.array(["a", "b"]))
    model = run_on(tmp_path, f"npz: {tmp_path / 'd.npz'}", Task("multilabel", ("a", "c")), [])
    with pytest.raises(CnnkitError) as caught:
        labels(model)
    assert str(caught.value) == (
        f"{tmp_path / 'run'}: the labels of d have changed since the run was trained: number 2 of 2 is 'b', it was 'c' of 2\n"
        "    Put them back as they were, or train anew."
    )


def test_one_hot_codes_that_an_earlier_version_read_as_labels_are_still_labels(tmp_path: Path) -> None:
    codes = np.eye(3)[[0, 1, 2]]
    np.savez(tmp_path / "d.npz", x=np.zeros((3, 2, 2, 1), np.uint8), y=codes)
    task = Task("multilabel", ("y[0]", "y[1]", "y[2]"))
    manifest = [(str(i), str(row.tolist()), "test") for i, row in enumerate(codes.astype(np.float32))]
    with reopened(run_on(tmp_path, f"npz: {tmp_path / 'd.npz'}, task: classification", task, manifest)) as run:
        assert run.dataset.task == task
        assert run.dataset.test is not None
        assert np.array_equal(run.dataset.test.targets, codes)
