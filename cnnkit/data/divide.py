"""Split examples into training, validation and test, and subsample training examples, as the data section configures."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from cnnkit.config.schema import Data, Fold
from cnnkit.config.task import Task
from cnnkit.data.examples import Dataset, Examples
from cnnkit.data.split import (
    HeldOutFold,
    SplitFractions,
    assign_splits,
    fold_to_hold_out,
    hold_out,
    split_size_notices,
    stratified_sample,
)
from cnnkit.errors import count

Array = npt.NDArray[Any]


def split_dataset(dataset: Dataset, data: Data, seed: int) -> Dataset:
    """The data set with training examples subsampled to `limit`, and validation examples held out or set to the test examples.

    With `data.fold`, a fold of the training examples takes the place of the data's own test examples.
    """
    train, validation, test, notices = dataset.train, dataset.validation, dataset.test, dataset.notices
    classes = stratification_classes(dataset.task, train.targets)
    if data.limit is not None and data.limit < len(train):
        train = train.take(stratified_sample(np.arange(len(train)), classes, data.limit, seed))
        classes = stratification_classes(dataset.task, train.targets)
    after_limit = len(train)
    if data.fold is not None:
        mask = fold_to_hold_out(_held_out_fold(data.fold, dataset.task), np.arange(len(train)), classes, None, seed)
        notices = (*notices, *_fold_notices(data.fold, 0 if test is None else len(test)))
        train, test = train.take(np.flatnonzero(~mask)), train.take(np.flatnonzero(mask))
        classes = stratification_classes(dataset.task, train.targets)
    if data.validation == "test":
        validation = test
    elif validation is None and (share := float(data.validation)) and round(share * len(train)):
        positions = np.arange(len(train))
        held_out = hold_out(positions, classes, None, share, seed + 1)
        train, validation = train.take(np.setdiff1d(positions, held_out)), train.take(held_out)
    return replace(dataset, train=train, validation=validation, test=test, notices=notices, after_limit=after_limit)


@dataclass(frozen=True)
class SplitExamples:
    """Examples split into training, validation and test.

    Attributes:
        train: Training examples.
        validation: Validation examples; the test examples where `data.validation` is test; None for none.
        test: Examples for the final metrics; None for none.
        splits: The split of each of the examples `(n,)`.
        notices: Notices for the user, such as a split size that whole groups cannot reach.
    """

    train: Examples
    validation: Examples | None
    test: Examples | None
    splits: Array
    notices: tuple[str, ...]

    def as_dataset(self, name: str, task: Task, manifest: Sequence[tuple[str, str, str]], notices: tuple[str, ...]) -> Dataset:
        """The data set of these examples; the limit is that of the training examples alone, after the split."""
        return Dataset(name, task, self.train, self.validation, self.test, manifest=manifest, notices=notices, after_limit=len(self.train))


def split_examples(
    examples: Examples, task: Task, data: Data, seed: int, given: Array | None, groups: Array | None, *, decided: bool = False
) -> SplitExamples:
    """Split examples into training, validation and test.

    Args:
        examples: All examples.
        task: The prediction task.
        data: The section with `validation`, `test` and `limit`.
        seed: The run's seed.
        given: The data's own split of each example `(n,)`, empty texts where undecided; None where it has none.
        groups: Group of each example `(n,)`; None for none.
        decided: Whether `given` is the split of an earlier run, in which the fold of `data.fold` is held out already.
    """
    classes, shares = stratification_classes(task, examples.targets), SplitFractions(data.validation, data.test)
    fold = data.fold if not decided else None
    splits = assign_splits(given, classes, groups, shares, len(examples), seed, None if fold is None else _held_out_fold(fold, task))
    parts = {name: examples.take(np.flatnonzero(splits == name)) for name in ("train", "validation", "test")}
    train = parts["train"]
    if data.limit is not None and data.limit < len(train):
        train = train.take(stratified_sample(np.arange(len(train)), stratification_classes(task, train.targets), data.limit, seed))
    test = parts["test"] if len(parts["test"]) else None
    validation = test if data.validation == "test" else (parts["validation"] if len(parts["validation"]) else None)
    made = ["validation"] if fold is not None else [n for n in ("test", "validation") if given is None or not (given == n).any()]
    notices = split_size_notices(splits, shares, made) if groups is not None else []
    if fold is not None:
        notices += _fold_notices(fold, 0 if given is None else int((given == "test").sum()))
    return SplitExamples(train, validation, test, splits, tuple(notices))


def _held_out_fold(fold: Fold, task: Task) -> HeldOutFold:
    return HeldOutFold(fold.number, fold.of, task.names if task.is_classification else ())


def _fold_notices(fold: Fold, own_test: int) -> list[str]:
    """A notice that the data's own test examples are not used, where it has some."""
    if not own_test:
        return []
    examples = count(own_test, "test example")
    return [f"The data's own {examples} are not used: the metrics are of fold {fold.number} of {fold.of} of the training examples."]


def stratification_classes(task: Task, targets: Array) -> Array | None:
    """Classes to stratify by: the class; for several labels their most frequent combinations; None for regression."""
    if task.is_classification:
        return targets
    if task.is_multilabel:
        _, combination, counts = np.unique(targets, axis=0, return_inverse=True, return_counts=True)
        combination = combination.reshape(-1)
        return np.where(counts[combination] >= 5, combination, -1)  # rare combinations are held out together
    return None
