"""A linear head on features of a frozen base, cross-validated by scikit-learn: what a base, a size or a flip is judged by.

Linear heads on frozen features rank networks as fine-tuning does (Kornblith, Shlens and Le 2019, "Do Better ImageNet Models
Transfer Better?"), and take seconds.
"""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cnnkit.config.task import Task

Array = npt.NDArray[Any]

FOLDS = 5
STRENGTHS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3)  # scikit-learn's C: the inverse of the penalty, weakest last
DEFAULT_STRENGTH = 0.03  # where none was measured, or all are as good
LEAST_PROBABILITY = 1e-6  # of the true class in a log loss
MOST_STEPS = 300  # of the solver
TOLERANCE = 3e-3  # of its gradient: enough for a comparison


@dataclass(frozen=True)
class OutOfFold:
    """Out-of-fold predictions of a linear head, of examples that it was not fitted on.

    Attributes:
        losses: Loss `(n,)` of each example: log loss (of several labels their mean), or squared error of standardized numbers.
        right: `(n,)`: 1 where the prediction is right, else 0 (of several labels the share right); of numbers 1 - loss, whose mean is R².
        mirrored_right: The same of the mirrored examples; empty where there are none.
        strength: The inverse C of the penalty, of `STRENGTHS`, of lowest mean loss.
    """

    losses: Array
    right: Array
    mirrored_right: Array
    strength: float

    @property
    def loss(self) -> float:
        """Mean loss."""
        return float(self.losses.mean())

    @property
    def score(self) -> float:
        """Accuracy (of several labels, the share of single labels right), or R²."""
        return float(self.right.mean())


def cross_validate(features: Array, targets: Array, task: Task, seed: int, mirrored: Array | None = None) -> OutOfFold:
    """Fit a linear head on all folds but one, and predict that one, for each fold and each strength of the penalty.

    Args:
        features: `(n, channels)` float32.
        targets: As in `Examples`, `(n,)` or `(n, outputs)`.
        task: The prediction task.
        seed: Seed of the folds.
        mirrored: Features `(n, channels)` of the same examples mirrored, each predicted by the same head as its example; None for none.
    """
    count = len(features)
    both = features if mirrored is None else np.concatenate([features, mirrored])
    both = _in_row_space(features.astype(np.float64), both.astype(np.float64))
    if task.is_regression:
        values = targets.reshape(count, -1).astype(np.float64)
        targets = (values - values.mean(axis=0)) / np.where(values.std(axis=0) > 0, values.std(axis=0), 1)
    predictions = {strength: np.zeros((len(both), task.outputs)) for strength in STRENGTHS}
    for fold in range(FOLDS):
        held_out = _folds(targets if task.is_classification else None, count, seed) == fold
        if not held_out.any() or held_out.all():
            continue
        rows = np.concatenate([held_out] * (len(both) // count))
        for strength, predicted in _predictions(both[:count][~held_out], targets[~held_out], both[rows], task):
            predictions[strength][rows] = predicted
    losses = {strength: float(_losses(predictions[strength][:count], targets, task).mean()) for strength in STRENGTHS}
    best = min(STRENGTHS, key=lambda strength: (losses[strength], strength != DEFAULT_STRENGTH))
    chosen = predictions[best]
    right = [_right(part, targets, task) for part in (chosen[:count], chosen[count:]) if len(part)]
    return OutOfFold(_losses(chosen[:count], targets, task), right[0], right[1] if len(right) > 1 else np.zeros(0), best)


def penalty(strength: float, count: int, task: Task) -> float:
    """The `l2` of a Keras kernel regularizer under which a head on `count` examples is that of scikit-learn with C = `strength`.

    Scikit-learn minimizes the sum of the losses and |w|²/2C, Keras their mean and l2·|w|². Of two classes, scikit-learn has one
    vector w, and the softmax two, which are w/2 and -w/2 where the penalty is least: |w|²/2 in all. Keras's loss of several labels or
    numbers is a mean over them as well; numbers are fitted by `Ridge(alpha=1/2C)`.
    """
    classes = task.is_classification and task.outputs == 2
    return 1 / (strength * count * (1 if classes else 2 * (1 if task.is_classification else task.outputs)))


def _in_row_space(features: Array, both: Array) -> Array:
    """The coordinates of centred features in the row space of `features`: a penalized linear fit on them is the same, and faster."""
    mean = features.mean(axis=0)
    _, values, directions = np.linalg.svd(features - mean, full_matrices=False)
    rank = max(1, int((values > 1e-9 * values[0]).sum()))  # 0 where all features are the same
    coordinates: Array = (both - mean) @ directions[:rank].T
    return coordinates


def _folds(classes: Array | None, count: int, seed: int) -> Array:
    """The fold of each example `(n,)`: the examples of a class, in random order, are dealt out in turn."""
    order = np.random.default_rng(seed).permutation(count)
    if classes is not None:
        order = order[np.argsort(classes[order], kind="stable")]
    folds = np.empty(count, int)
    folds[order] = np.arange(count) % FOLDS
    return folds


def _predictions(features: Array, targets: Array, others: Array, task: Task) -> list[tuple[float, Array]]:
    """Predictions `(m, outputs)` for other features by heads fitted with each strength."""
    from sklearn.linear_model import Ridge

    if task.is_regression:
        heads = ((strength, Ridge(alpha=1 / (2 * strength)).fit(features, targets)) for strength in STRENGTHS)
        return [(strength, head.predict(others).reshape(len(others), -1)) for strength, head in heads]
    if task.is_classification:
        return [(strength, _aligned(each, task.outputs)) for strength, each in _probabilities(features, targets, others)]
    by_label = [_probabilities(features, targets[:, label].astype(int), others) for label in range(task.outputs)]
    return [
        (strength, np.stack([_aligned(label[index][1], 2)[:, 1] for label in by_label], axis=1)) for index, strength in enumerate(STRENGTHS)
    ]


def _probabilities(features: Array, classes: Array, others: Array) -> list[tuple[float, tuple[Array, Array]]]:
    """For each strength the classes that occur `(k,)` and their probabilities `(m, k)`."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    occurring = np.unique(classes)
    if len(occurring) == 1:
        return [(strength, (occurring, np.ones((len(others), 1)))) for strength in STRENGTHS]
    results = []
    head = LogisticRegression(tol=TOLERANCE, max_iter=MOST_STEPS, warm_start=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # near the optimum is near enough for a comparison
        for strength in STRENGTHS:
            head.set_params(C=strength).fit(features, classes)
            results.append((strength, (occurring, head.predict_proba(others))))
    return results


def _aligned(known: tuple[Array, Array], outputs: int) -> Array:
    """Probabilities `(m, outputs)`, 0 for classes that did not occur in the examples of the fit."""
    occurring, probabilities = known
    every = np.zeros((len(probabilities), outputs))
    every[:, occurring] = probabilities
    return every


def _losses(predicted: Array, targets: Array, task: Task) -> Array:
    losses: Array
    if task.is_regression:
        losses = ((predicted - targets) ** 2).mean(axis=1)
    elif task.is_classification:
        losses = -np.log(np.maximum(predicted[np.arange(len(targets)), targets], LEAST_PROBABILITY))
    else:
        losses = -np.log(np.maximum(np.where(targets > 0.5, predicted, 1 - predicted), LEAST_PROBABILITY)).mean(axis=1)
    return losses


def _right(predicted: Array, targets: Array, task: Task) -> Array:
    right: Array
    if task.is_regression:
        right = 1 - _losses(predicted, targets, task)
    elif task.is_classification:
        right = (predicted.argmax(axis=1) == targets).astype(float)
    else:
        right = ((predicted >= 0.5) == (targets > 0.5)).mean(axis=1)
    return right


def keeps_class(judged: OutOfFold, targets: Array, task: Task, *, likely: bool) -> bool:
    """Whether mirrored examples are predicted as well as the examples themselves, so that a flip keeps what they are.

    That is: the head predicts better than the most frequent class does (else nothing can be told); mirrored, it is right no less
    often, or where that is likely beforehand, less often by no more than 1.64 standard errors (a one-sided 95 %); and no class with
    examples enough loses more than half of those right.

    Args:
        judged: With mirrored examples.
        targets: As in `Examples`.
        task: The prediction task.
        likely: Whether the flip keeps the class of most pictures, as left and right do but not top and bottom.
    """
    lost = judged.right - judged.mirrored_right
    error = float(lost.std() / np.sqrt(len(lost)))
    if judged.score <= _chance(targets, task) + 2 * float(judged.right.std() / np.sqrt(len(lost))):
        return False
    if lost.mean() > (1.64 * error if likely else 0.0):
        return False
    return not (task.is_classification and _a_class_is_lost(judged, targets))


def _chance(targets: Array, task: Task) -> float:
    """The score of the best constant prediction."""
    if task.is_regression:
        return 0.0
    if task.is_classification:
        return float(np.bincount(targets).max() / len(targets))
    share = targets.mean(axis=0)
    return float(np.maximum(share, 1 - share).mean())


def _a_class_is_lost(judged: OutOfFold, targets: Array, least: int = 5) -> bool:
    for each in np.unique(targets):
        right, mirrored = judged.right[targets == each].sum(), judged.mirrored_right[targets == each].sum()
        if right >= least and mirrored < right / 2:
            return True
    return False
