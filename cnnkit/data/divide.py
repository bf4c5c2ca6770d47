"""A data set's training examples limited and divided as the config says; examples with given splits put in their places."""

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from cnnkit.config.schema import Data
from cnnkit.config.task import Task
from cnnkit.data.examples import Dataset, Examples
from cnnkit.data.split import Shares, divide, hold_out, take_share

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


def divide_examples(
    examples: Examples, task: Task, data: Data, seed: int, given: Array | None, groups: Array | None
) -> tuple[Examples, Examples | None, Examples | None, Array]:
    """Examples without a division of their own (or with part of one) as training, validation and test.

    Returns:
        The three, and the split of each example `(n,)`.
    """
    classes = stratify_by(task, examples.targets)
    splits = divide(given, classes, groups, Shares(data.validation, data.test), len(examples), seed)
    parts = {name: examples.take(np.flatnonzero(splits == name)) for name in ("train", "validation", "test")}
    train = parts["train"]
    if data.limit is not None and data.limit < len(train):
        train = train.take(take_share(np.arange(len(train)), stratify_by(task, train.targets), data.limit, seed))
    test = parts["test"] if len(parts["test"]) else None
    validation = test if data.validation == "test" else (parts["validation"] if len(parts["validation"]) else None)
    return train, validation, test, splits


def stratify_by(task: Task, targets: Array) -> Array | None:
    """What to stratify by: the class; for several labels their commonest combinations; nothing for numbers."""
    if task.is_classification:
        return targets
    if task.is_multilabel:
        _, combination, counts = np.unique(targets, axis=0, return_inverse=True, return_counts=True)
        combination = combination.reshape(-1)
        return np.where(counts[combination] >= 5, combination, -1)  # rare combinations are held out together
    return None
