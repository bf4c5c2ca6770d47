"""Folds of a cross-validation: each example is held out once, classes are spread evenly, groups stay whole, in every kind of source."""

import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnnkit.data.binding import load
from cnnkit.data.examples import Dataset
from cnnkit.data.folds import assign_folds
from cnnkit.data.source import Request
from cnnkit.errors import BuildError, CnnkitError


def class_counts(folds: np.ndarray, classes: np.ndarray, number: int) -> np.ndarray:
    return np.array([np.bincount(classes[folds == fold], minlength=classes.max() + 1) for fold in range(number)])


def test_classes_and_sizes_differ_by_at_most_one() -> None:
    for seed in range(20):
        random = np.random.default_rng(seed)
        number = int(random.integers(2, 8))
        classes = random.choice(4, int(random.integers(40, 200)), p=[0.4, 0.3, 0.2, 0.1])
        classes = np.concatenate([classes, np.repeat(np.arange(4), number)])
        counts = class_counts(assign_folds(classes, None, len(classes), number, seed, "abcd"), classes, number)
        assert np.ptp(counts, axis=0).max() <= 1
        assert np.ptp(counts.sum(axis=1)) <= 1


def test_folds_follow_the_seed_and_nothing_else() -> None:
    classes = np.arange(100) % 3
    first, again, other = (assign_folds(classes, None, 100, 5, seed) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    without = assign_folds(None, None, 103, 5, 1)
    assert sorted(np.bincount(without)) == [20, 20, 21, 21, 21]
    assert not np.array_equal(without, np.sort(without))


def test_groups_are_whole_no_fold_is_empty_and_classes_are_far_more_even_than_by_chance() -> None:
    ours, chance = [], []
    for seed in range(30):
        random = np.random.default_rng(seed)
        number = int(random.integers(5, 40))
        groups = np.repeat(np.arange(number), random.integers(1, 30, number))
        classes = (groups + random.integers(0, 2, len(groups))) % 3
        order = random.permutation(len(groups))
        groups, classes = groups[order], classes[order]
        folds = assign_folds(classes, groups, len(groups), 5, seed)
        assert all(len(np.unique(folds[groups == group])) == 1 for group in range(number))
        assert set(folds) == set(range(5))
        ours.append(class_counts(folds, classes, 5).std(axis=0).sum())
        chance.append(class_counts(random.permutation(np.arange(number) % 5)[groups], classes, 5).std(axis=0).sum())
    assert np.mean(ours) < np.mean(chance) / 2


def test_without_classes_groups_are_spread_by_size() -> None:
    groups = np.repeat(np.arange(10), [50, 1, 9, 30, 20, 10, 40, 5, 5, 30])
    folds = assign_folds(None, groups, len(groups), 4, 0)
    assert np.bincount(folds).tolist() == [50, 50, 50, 50]


@pytest.mark.parametrize(
    ("classes", "groups", "folds", "message"),
    [
        ([0] * 9 + [1] * 4, None, 5, "5 folds are too many: the training examples have only 4 examples of class 'b'\n    At most 4 folds are possible."),
        ([0, 1, 1, 1], None, 2, "2 folds are too many: the training examples have only 1 example of class 'a'\n    So there can be no folds."),
        (None, None, 20, "20 folds are too many: the training examples have only 13 examples\n    At most 13 folds are possible."),
        ([0, 1] * 5, [0, 0, 0, 0, 0, 1, 1, 2, 2, 2], 4, "4 folds are too many: the training examples have only 3 groups\n    At most 3 folds are possible."),
    ],
)  # fmt: skip
def test_too_many_folds_are_refused(classes: list[int] | None, groups: list[int] | None, folds: int, message: str) -> None:
    arrays = [None if values is None else np.array(values) for values in (classes, groups)]
    with pytest.raises(BuildError) as caught:
        assign_folds(*arrays, len(classes) if classes is not None else 13, folds, 0, ("a", "b"))
    assert str(caught.value) == f"data.fold: {message}"


CONFIG = """
name: c
data: {SOURCE, fold: {number: NUMBER, of: 4}}
model: {layers: [Flatten, {Dense: {units: outputs OUTPUT}}]}
"""


def loaded(
    folder: Path, source: str, number: int, output: str = ", activation: softmax", manifest: Sequence[tuple[str, str, str]] = ()
) -> Dataset:
    config = folder / "c.yaml"
    config.write_text(CONFIG.replace("SOURCE", source).replace("NUMBER", str(number)).replace(" OUTPUT", output))
    return load([config]).source.load(Request(42, folder, manifest))


def indices(dataset: Dataset) -> dict[str, list[int]]:
    return {name: sorted(part.index.tolist()) for name, part in dataset.splits.items()}


def write_arrays(folder: Path, **more: np.ndarray) -> None:
    np.savez(folder / "a.npz", x=np.random.default_rng(0).random((80, 3, 3, 1)), y=np.arange(80) % 2, **more)


def write_images(folder: Path) -> None:
    """A folder with train, val and test; every picture differs."""
    random = np.random.default_rng(0)
    for split, number in (("train", 12), ("val", 4), ("test", 5)):
        for name in ("cat", "dog"):
            (folder / "images" / split / name).mkdir(parents=True)
            for i in range(number):
                Image.fromarray(random.integers(0, 256, (8, 8, 3), np.uint8)).save(folder / "images" / split / name / f"{i}.png")


def test_every_training_and_validation_example_is_held_out_in_one_fold_and_own_test_examples_in_none(tmp_path: Path) -> None:
    splits = np.array(["train"] * 40 + ["val"] * 20 + ["test"] * 20)
    write_arrays(tmp_path, s=splits, g=np.arange(80) // 4)
    write_images(tmp_path)
    own_test = set(range(60, 80))
    cases = {
        "npz: a.npz": (set(range(80)), 0),
        "npz: a.npz, validation: 0": (set(range(80)), 0),
        "npz: a.npz, group: g": (set(range(80)), 0),
        "npz: a.npz, split: s": (set(range(80)) - own_test, 20),
        "npz: a.npz, split: s, group: g": (set(range(80)) - own_test, 20),
        "folder: images": (set(range(32)), 10),
        "dataset: digits": (set(range(1437)), 360),
        "dataset: digits, validation: test": (set(range(1437)), 360),
    }
    for source, (pool, own) in cases.items():
        seen: list[int] = []
        for number in range(1, 5):
            dataset = loaded(tmp_path, source, number)
            parts = indices(dataset)
            everything = [index for part in parts.values() for index in part]
            if source.startswith("folder"):  # listed class by class, so the positions of its test files are not the last
                names = {dataset.manifest[index][0].partition("/")[0] for index in everything}
                assert names == {"train", "val"}
                everything = [index % 32 for index in range(len(everything))]
            assert sorted(everything) == sorted(pool)
            assert dataset.held_out is not None
            assert dataset.held_out[0] == "test"
            seen += parts["test"]
            assert ("validation" in parts) == ("validation:" not in source)
            notice = f"The data's own {own} test examples are not used: the metrics are of fold {number} of 4 of the training examples."
            assert (notice in dataset.notices) == bool(own)
            if "group" in source:
                groups = [{index // 4 for index in part} for part in parts.values()]
                assert sum(map(len, groups)) == len(set.union(*groups))
        assert len(seen) == len(set(seen)) == len(pool)


def test_the_manifest_of_a_run_gives_the_same_fold_again(tmp_path: Path) -> None:
    write_arrays(tmp_path, s=np.array(["train"] * 50 + ["val"] * 10 + ["test"] * 20))
    first = loaded(tmp_path, "npz: a.npz, split: s", 2)
    assert {split for _, _, split in first.manifest} == {"test", "train", "unused", "validation"}
    again = loaded(tmp_path, "npz: a.npz, split: s", 2, manifest=first.manifest)
    assert indices(again) == indices(first)


def test_a_limit_takes_the_examples_of_a_built_in_set_before_they_are_divided(tmp_path: Path) -> None:
    held_out = [indices(loaded(tmp_path, "dataset: digits, limit: 100", number))["test"] for number in range(1, 5)]
    assert [len(part) for part in held_out] == [25] * 4
    assert len(set(itertools.chain(*held_out))) == 100


def test_numbers_and_several_labels_are_divided_too(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    np.savez(tmp_path / "a.npz", x=random.random((50, 3, 3, 1)), y=random.random(50))
    parts = [indices(loaded(tmp_path, "npz: a.npz", number, ""))["test"] for number in range(1, 5)]
    assert sorted(itertools.chain(*parts)) == list(range(50))
    np.savez(tmp_path / "a.npz", x=random.random((50, 3, 3, 1)), y=(random.random((50, 3)) > 0.5).astype(np.uint8))
    parts = [indices(loaded(tmp_path, "npz: a.npz", number, ", activation: sigmoid"))["test"] for number in range(1, 5)]
    assert sorted(itertools.chain(*parts)) == list(range(50))


def test_a_fold_that_there_is_not_is_an_error_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(CnnkitError) as caught:
        loaded(tmp_path, "dataset: digits", 5)
    assert str(caught.value) == f"{tmp_path / 'c.yaml'}:3:31: data.fold: wants a number from 1 to 4, got 5"
