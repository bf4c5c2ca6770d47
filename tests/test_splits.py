"""What is held out: shares of whole groups, what final metrics are measured on, and whether targets are classes or numbers."""

import itertools
from pathlib import Path

import numpy as np
import pytest

from cnnkit.config.schema import Data
from cnnkit.config.task import Task
from cnnkit.data.divide import split_examples
from cnnkit.data.examples import Dataset, Examples
from cnnkit.data.group_split import select_groups
from cnnkit.data.rows import ArrayRows
from cnnkit.data.source import Request
from cnnkit.data.sources.arrays import open_npy, open_npz
from cnnkit.data.sources.csv_file import list_csv
from cnnkit.data.split import SplitFractions, assign_splits, hold_out, split_size_notices
from cnnkit.errors import CnnkitError


def examples_of(targets: np.ndarray) -> Examples:
    return Examples(ArrayRows(np.zeros((len(targets), 2, 2, 1), np.uint8)), np.arange(len(targets)), targets)


def nearest(sizes: list[int], wished: float) -> float:
    """The smallest distance of any choice of groups, not none and not all of them."""
    choices = itertools.chain.from_iterable(itertools.combinations(sizes, n) for n in range(1, len(sizes)))
    return min(abs(sum(choice) - wished) for choice in choices)


@pytest.mark.parametrize("number", [2, 7, 13])
@pytest.mark.parametrize("stratified", [False, True])
def test_groups_come_as_near_to_a_share_as_any_choice_of_them(number: int, stratified: bool) -> None:
    for seed, share in itertools.product(range(2), (0.05, 0.15, 0.4, 0.7)):
        random = np.random.default_rng([seed, number])
        sizes = [int(size) for size in random.integers(1, 13, number)]
        groups = random.permutation(np.repeat(np.arange(number), sizes))
        classes = random.integers(0, 2, len(groups)) if stratified else None
        chosen = hold_out(np.arange(len(groups)), classes, groups, share, seed)
        assert not set(groups[chosen]) & set(np.delete(groups, chosen))
        assert 0 < len(chosen) < len(groups)
        assert abs(len(chosen) - share * len(groups)) == pytest.approx(nearest(sizes, share * len(groups)))
        assert np.array_equal(chosen, hold_out(np.arange(len(groups)), classes, groups, share, seed))


def test_of_three_groups_one_is_left_for_each_split_whatever_their_sizes() -> None:
    groups = np.repeat([1, 2, 3], [20, 25, 355])  # the two small ones together are nearest to 15 %
    splits = assign_splits(None, None, groups, SplitFractions(0.15, 0.15), 400, 0)
    assert [set(groups[splits == split]) for split in ("test", "validation", "train")] == [{2}, {1}, {3}]
    test_alone = assign_splits(None, None, groups, SplitFractions(0, 0.15), 400, 0)
    assert set(groups[test_alone == "test"]) == {1, 2}


def test_a_share_of_groups_follows_the_seed_and_keeps_the_classes_in_proportion() -> None:
    groups = np.repeat(np.arange(300), 10)
    classes = np.repeat(np.arange(300) % 3, 10)  # each group is of one class
    first, second = (hold_out(np.arange(3000), classes, groups, 0.4, seed) for seed in (1, 2))
    for chosen in (first, second):
        assert np.bincount(classes[chosen]).tolist() == [400, 400, 400]
    assert not np.array_equal(first, second)
    few = np.repeat(np.arange(10), 5)
    chosen = hold_out(np.arange(50), np.repeat(np.arange(10) % 2, 5), few, 0.4, 0)
    assert np.bincount(np.repeat(np.arange(10) % 2, 5)[chosen]).tolist() == [10, 10]


def test_a_share_that_groups_miss_is_told_and_one_that_they_meet_is_not() -> None:
    task, targets = Task("classification", ("a", "b")), (np.arange(60) % 2).astype(np.int32)

    def notices(groups: np.ndarray, **shares: float) -> tuple[str, ...]:
        return split_examples(examples_of(targets), task, Data.model_validate({"npz": "x", **shares}), 0, None, groups).notices

    assert notices(np.arange(60) // 6, test=0.4, validation=0.0) == ()
    assert notices(np.arange(60) // 20, test=0.45, validation=0.0) == (
        "The test split holds 33.3% of the examples, not 45.0%: whole groups cannot come closer (data.test).",
    )
    with pytest.raises(CnnkitError, match="all examples belong to one group"):
        notices(np.zeros(60), test=0.4, validation=0.0)


def test_metrics_are_measured_on_test_where_there_is_one_else_on_validation() -> None:
    task, (one, two, three) = Task("classification", ("a", "b")), (examples_of(np.arange(n, dtype=np.int32) % 2) for n in (8, 6, 4))
    both, watched, trained = Dataset("d", task, one, two, three), Dataset("d", task, one, two, None), Dataset("d", task, one, None, None)
    assert both.held_out == ("test", three)
    assert watched.held_out == ("validation", two)
    assert trained.held_out is None
    on_test = Dataset("d", task, one, three, three)
    assert on_test.watches_test
    assert not both.watches_test
    assert list(on_test.splits) == ["train", "test"]
    assert list(both.splits) == ["train", "validation", "test"]


COLUMNS = {
    "ten classes": (np.arange(40) % 10, "classification"),
    "a hundred classes": (np.arange(300) % 100, "classification"),
    "codes": (np.array([3, 1, 5, 1, 3, 5] * 5), "classification"),
    "signs": (np.array([-1, 1] * 10), "classification"),
    "ages": (18 + np.arange(60) * 7 % 61, "regression"),
    "places": (np.arange(60), "regression"),
    "lengths": (np.arange(30) / 2, "regression"),
}


@pytest.mark.parametrize("column", COLUMNS)
def test_a_column_is_the_same_task_in_a_csv_an_npz_and_an_npy(column: str, tmp_path: Path) -> None:
    values, kind = COLUMNS[column]
    np.savez(tmp_path / "d.npz", x=np.zeros((len(values), 2, 2, 1), np.uint8), label=values)
    np.save(tmp_path / "x.npy", np.zeros((len(values), 2, 2, 1), np.uint8))
    np.save(tmp_path / "label", values)
    lines = [f"{i}.png,{value}" for i, value in enumerate(values.tolist())]
    (tmp_path / "d.csv").write_text("\n".join(["path,label", *lines]))
    csv, npz, npy = tmp_path / "d.csv", str(tmp_path / "d.npz"), str(tmp_path / "x.npy")
    listing = list_csv(csv, Data(csv=str(csv)))
    arrays = open_npz(Data(npz=npz, target="label"))
    pair = open_npy(Data(npy=npy, target="label.npy"))
    assert {listing.task.kind, arrays.spec.task.kind, pair.spec.task.kind} == {kind}
    if kind == "classification":
        assert listing.task == arrays.spec.task == pair.spec.task
    dataset = arrays.load(Request(0, tmp_path, ()))
    targets = np.empty((len(values), *listing.targets.shape[1:]), np.float32)
    for part in dataset.splits.values():
        targets[part.index] = part.targets
    assert np.array_equal(targets, listing.targets)
    assert (listing.interpretation == "") == (column == "lengths")
    assert listing.interpretation == arrays.spec.interpretation
    other = "regression" if kind == "classification" else "classification"
    if column != "lengths":
        assert f"task: {other}" in listing.interpretation
        for source in (Data(csv=str(csv), task=other), Data(npz=npz, target="label", task=other)):  # type: ignore[arg-type]
            task = list_csv(csv, source).task if source.csv else open_npz(source).spec.task
            assert task.kind == other


def test_columns_of_0_and_1_are_labels_in_a_csv_and_in_an_npz(tmp_path: Path) -> None:
    values = np.array([[0, 1], [1, 1], [1, 0], [0, 0]])
    np.savez(tmp_path / "d.npz", x=np.zeros((4, 2, 2, 1), np.uint8), y=values)
    (tmp_path / "d.csv").write_text("\n".join(["path,cat,dog", *(f"{i}.png,{a},{b}" for i, (a, b) in enumerate(values))]))
    listing = list_csv(tmp_path / "d.csv", Data(csv=str(tmp_path / "d.csv"), target=["cat", "dog"]))
    assert listing.task == Task("multilabel", ("cat", "dog"))
    assert np.array_equal(listing.targets, values)
    assert open_npz(Data(npz=str(tmp_path / "d.npz"))).spec.task.kind == "multilabel"


def test_one_hot_codes_are_classes_where_the_task_says_so_and_are_told_where_it_does_not(tmp_path: Path) -> None:
    order = np.array([2, 0, 1, 2, 1, 0])
    names = ["cat", "dog", "owl"]
    codes = np.eye(3)[order]
    two = np.maximum(codes, [1, 0, 0])
    np.savez(tmp_path / "d.npz", x=np.zeros((6, 2, 2, 1), np.uint8), y=codes, odd=codes * [1, 1, 2], two=two)
    np.savez(tmp_path / "named.npz", x=np.zeros((6, 2, 2, 1), np.uint8), y=np.eye(3)[order], class_names=np.array(names))
    np.savez(
        tmp_path / "halves.npz", x_train=np.zeros((6, 2, 2, 1)), y_train=np.eye(3)[order], x_test=np.zeros((3, 2, 2, 1)), y_test=np.eye(3)
    )
    lines = [f"{i}.png,{','.join(str(int(value)) for value in np.eye(3)[place])}" for i, place in enumerate(order)]
    (tmp_path / "d.csv").write_text("\n".join(["path,owl,cat,dog", *lines]))
    npz, table = str(tmp_path / "d.npz"), Data(csv=str(tmp_path / "d.csv"), target=["owl", "cat", "dog"], task="classification")

    for path, classes in ((npz, ("0", "1", "2")), (str(tmp_path / "named.npz"), tuple(names))):
        source = open_npz(Data(npz=path, task="classification"))
        assert (source.spec.task, source.spec.interpretation) == (Task("classification", classes), "")
        whole = open_npz(Data(npz=path, task="classification", validation=0.0, test=0.0)).load(Request(0, tmp_path, ()))
        assert whole.train.targets.tolist() == order.tolist()
    halves = open_npz(Data(npz=str(tmp_path / "halves.npz"), task="classification")).load(Request(0, tmp_path, ()))
    assert halves.test is not None
    assert halves.test.targets.tolist() == [0, 1, 2]
    listing = list_csv(tmp_path / "d.csv", table)
    assert [listing.task.names[target] for target in listing.targets] == [("owl", "cat", "dog")[place] for place in order]

    notice = "Each row of the targets holds a single 1; the columns are taken for labels, of which an example may have several. "
    for told in (open_npz(Data(npz=npz)).spec, list_csv(tmp_path / "d.csv", table.model_copy(update={"task": None}))):
        assert told.task.kind == "multilabel"
        assert told.interpretation == notice + "For one-hot codes of classes write `data: {task: classification}`."
    assert open_npz(Data(npz=npz, task="multilabel")).spec.interpretation == ""
    for options, message in (
        ({"target": "odd"}, "'odd': several columns of numbers other than 0 and 1 are no classes"),
        ({"target": "two"}, "'two': one-hot codes of classes have a single 1, at index 0 there is [1.0, 0.0, 1.0]"),
        ({"classes": ["a", "b"]}, "'y' has one-hot codes of 3 classes, but there are 2 names"),
    ):
        with pytest.raises(CnnkitError) as caught:
            open_npz(Data.model_validate({"npz": npz, "task": "classification", **options}))
        assert caught.value.message == f"{npz}: {message}"


def test_named_classes_are_the_places_of_their_names_and_gaps_keep_them(tmp_path: Path) -> None:
    x, y = np.zeros((12, 2, 2, 1), np.uint8), np.array([0, 2, 3] * 4)
    np.savez(tmp_path / "named.npz", x=x, y=y, class_names=np.array(["a", "b", "c", "d"]))
    source = open_npz(Data(npz=str(tmp_path / "named.npz"), validation=0.0, test=0.0))
    assert source.spec.task.names == ("a", "b", "c", "d")
    assert np.array_equal(source.load(Request(0, tmp_path, ())).train.targets, y)
    np.savez(tmp_path / "halves.npz", x_train=x, y_train=y, x_test=x[:2], y_test=y[1:3])
    test = open_npz(Data(npz=str(tmp_path / "halves.npz"), validation=0.0)).load(Request(0, tmp_path, ())).test
    assert test is not None
    assert test.targets.tolist() == [1, 2]  # of the classes 0, 2 and 3


def test_a_split_that_whole_groups_bring_less_near_than_asked_is_noted_with_its_share() -> None:
    splits = np.array(["test"] * 5 + ["validation"] * 1 + ["train"] * 4)
    assert split_size_notices(splits, SplitFractions("test", 0.5), ["test", "validation"]) == []
    assert split_size_notices(splits, SplitFractions(0.2, 0.4), ["test", "validation"]) == [
        "The test split holds 50.0% of the examples, not 40.0%: whole groups cannot come closer (data.test)."
    ]
    assert split_size_notices(splits, SplitFractions(0.4, 0.5), ["validation"]) == [
        "The validation split holds 20.0% of the examples that are not test, not 40.0%: whole groups cannot come closer (data.validation)."
    ]


@pytest.mark.parametrize("seed", range(5))
def test_without_classes_no_other_groups_come_nearer_to_the_share(seed: int) -> None:
    random = np.random.default_rng(seed)
    sizes = random.integers(60, 300, 20)
    groups = np.repeat(np.arange(20), sizes)
    desired = 0.3 * len(groups)
    sums = {0}
    for size in sizes:
        sums |= {total + int(size) for total in sums}
    nearest = min(abs(total - desired) for total in sums - {0, len(groups)})
    assert abs(select_groups(groups, None, 0.3, seed).sum() - desired) == nearest
