"""A data set's training examples limited and divided as the config says; examples with given splits put in their places."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from cnnkit.config.schema import Data
from cnnkit.config.task import Task
from cnnkit.data.examples import Dataset, Examples
from cnnkit.data.split import Shares, divide, hold_out, shares_missed, take_share

Array = npt.NDArray[Any]


def divided(dataset: Dataset, data: Data, seed: int) -> Dataset:
    """The data set with its training examples cut to `limit`, and validation taken from them or from the test examples."""
    train, validation = dataset.train, dataset.validation
    classes = stratify_by(dataset.task, train.targets)
    if data.limit is not None and data.limit < len(train):
        train = train.take(take_share(np.arange(len(train)), classes, data.limit, seed))
        classes = stratify_by(dataset.task, train.targets)
    if data.validation == "test":
        validation = dataset.test
    elif validation is None and (share := float(data.validation)) and round(share * len(train)):
        everyone = np.arange(len(train))
        held_out = hold_out(everyone, classes, None, share, seed + 1)
        train, validation = train.take(np.setdiff1d(everyone, held_out)), train.take(held_out)
    return replace(dataset, train=train, validation=validation)


@dataclass(frozen=True)
class Division:
    """Examples as training, validation and test.

    Attributes:
        train: Examples to learn from.
        validation: Examples to watch; those of test where `data.validation` is test; None for none.
        test: Examples for the final metrics; None for none.
        splits: The split of each of the examples `(n,)`.
        notices: What a user has to be told, such as a share that whole groups did not allow.
    """

    train: Examples
    validation: Examples | None
    test: Examples | None
    splits: Array
    notices: tuple[str, ...]


def divide_examples(examples: Examples, task: Task, data: Data, seed: int, given: Array | None, groups: Array | None) -> Division:
    """Examples without a division of their own (or with part of one) as training, validation and test."""
    classes, shares = stratify_by(task, examples.targets), Shares(data.validation, data.test)
    splits = divide(given, classes, groups, shares, len(examples), seed)
    parts = {name: examples.take(np.flatnonzero(splits == name)) for name in ("train", "validation", "test")}
    train = parts["train"]
    if data.limit is not None and data.limit < len(train):
        train = train.take(take_share(np.arange(len(train)), stratify_by(task, train.targets), data.limit, seed))
    test = parts["test"] if len(parts["test"]) else None
    validation = test if data.validation == "test" else (parts["validation"] if len(parts["validation"]) else None)
    made = [name for name in ("test", "validation") if groups is not None and (given is None or not (given == name).any())]
    return Division(train, validation, test, splits, tuple(shares_missed(splits, shares, made)))


def stratify_by(task: Task, targets: Array) -> Array | None:
    """What to stratify by: the class; for several labels their commonest combinations; nothing for numbers."""
    if task.is_classification:
        return targets
    if task.is_multilabel:
        _, combination, counts = np.unique(targets, axis=0, return_inverse=True, return_counts=True)
        combination = combination.reshape(-1)
        return np.where(counts[combination] >= 5, combination, -1)  # rare combinations are held out together
    return None
