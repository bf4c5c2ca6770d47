"""The linear head by which init judges sizes and flips: it is scikit-learn's, and its penalty that of the Keras head."""

import numpy as np
import pytest
from scipy.special import expit, softmax
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import log_loss, r2_score
from sklearn.model_selection import PredefinedSplit, cross_val_predict

from cnnkit.config.task import Task
from cnnkit.experiments.starter.linear_head import STRENGTHS, OutOfFold, _folds, cross_validate, keeps_class, penalty

THREE = Task("classification", ("a", "b", "c"))
TWO = Task("classification", ("a", "b"))
LABELS = Task("multilabel", ("x", "y"))
NUMBERS = Task("regression", ("p", "q"))


def features_and_classes(classes: int, count: int = 90, channels: int = 200) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(classes)
    labels = (np.arange(count) % classes).astype(np.int32)
    centres = random.normal(0, 0.35, (classes, channels))
    return (centres[labels] + random.normal(size=(count, channels))).astype(np.float32), labels


@pytest.mark.parametrize(("task", "classes"), [(THREE, 3), (TWO, 2)])
def test_out_of_fold_losses_are_those_of_scikit_learn_on_the_features_themselves(task: Task, classes: int) -> None:
    features, labels = features_and_classes(classes)
    judged = cross_validate(features, labels, task, 7)
    split = PredefinedSplit(_folds(labels, len(labels), 7))
    by_strength = {
        strength: cross_val_predict(
            LogisticRegression(C=strength, max_iter=5000, tol=1e-8), features, labels, cv=split, method="predict_proba"
        )
        for strength in STRENGTHS
    }
    best = min(STRENGTHS, key=lambda strength: log_loss(labels, by_strength[strength]))
    assert judged.strength == best
    assert judged.loss == pytest.approx(log_loss(labels, by_strength[best]), abs=4e-3)  # the solver stops near the optimum
    assert judged.score == pytest.approx((by_strength[best].argmax(axis=1) == labels).mean(), abs=0.02)


def test_numbers_are_judged_by_the_out_of_fold_r2_of_ridge() -> None:
    random = np.random.default_rng(0)
    features = random.normal(size=(100, 20))
    numbers = features[:, :2] * [3.0, 50.0] + random.normal(size=(100, 2)) * [1.0, 20.0] + 7
    judged = cross_validate(features.astype(np.float32), numbers.astype(np.float32), NUMBERS, 1)
    predicted = cross_val_predict(Ridge(alpha=1 / (2 * judged.strength)), features, numbers, cv=PredefinedSplit(_folds(None, 100, 1)))
    assert judged.score == pytest.approx(r2_score(numbers, predicted), abs=0.01)


def test_folds_are_stratified_and_follow_the_seed() -> None:
    labels = np.repeat([0, 1, 2], [50, 25, 10])
    folds = _folds(labels, len(labels), 3)
    assert [np.bincount(folds[labels == each], minlength=5).tolist() for each in range(3)] == [[10] * 5, [5] * 5, [2] * 5]
    assert np.array_equal(folds, _folds(labels, len(labels), 3))
    assert not np.array_equal(folds, _folds(labels, len(labels), 4))


def test_a_class_that_a_fold_has_not_seen_is_no_error() -> None:
    features, labels = features_and_classes(3)
    labels[:] = 0
    labels[0] = 2
    judged = cross_validate(features, labels, THREE, 0)
    assert np.isfinite(judged.losses).all()
    assert judged.right[0] == 0


def gradient_of_keras_objective(weights: np.ndarray, residual: np.ndarray, features: np.ndarray, l2: float) -> np.ndarray:
    """The gradient by the kernel of: mean over examples and outputs of the loss, plus l2 · Σ w²; `residual` is d loss / d logits."""
    return features.T @ residual / len(features) + 2 * l2 * weights


def test_the_penalty_makes_scikit_learns_head_the_optimum_of_the_keras_head() -> None:
    strength, count = 0.05, 60
    features, labels = features_and_classes(3, count, 10)
    head = LogisticRegression(C=strength, max_iter=10_000, tol=1e-10).fit(features, labels)
    residual = softmax(features @ head.coef_.T + head.intercept_, axis=1) - np.eye(3)[labels]
    assert np.abs(gradient_of_keras_objective(head.coef_.T, residual, features, penalty(strength, count, THREE))).max() < 1e-4

    features, labels = features_and_classes(2, count, 10)
    head = LogisticRegression(C=strength, max_iter=10_000, tol=1e-10).fit(features, labels)
    kernel = np.stack([-head.coef_[0] / 2, head.coef_[0] / 2], axis=1)
    logits = features @ kernel + [-head.intercept_[0] / 2, head.intercept_[0] / 2]
    residual = softmax(logits, axis=1) - np.eye(2)[labels]
    assert np.abs(gradient_of_keras_objective(kernel, residual, features, penalty(strength, count, TWO))).max() < 1e-4

    several = np.stack([labels, (np.arange(count) // 7) % 2], axis=1)
    heads = [LogisticRegression(C=strength, max_iter=10_000, tol=1e-10).fit(features, several[:, label]) for label in range(2)]
    kernel = np.stack([each.coef_[0] for each in heads], axis=1)
    residual = (expit(features @ kernel + [each.intercept_[0] for each in heads]) - several) / 2  # binary_crossentropy is a mean
    assert np.abs(gradient_of_keras_objective(kernel, residual, features, penalty(strength, count, LABELS))).max() < 1e-4

    numbers = np.random.default_rng(1).normal(size=(count, 2))
    ridge = Ridge(alpha=1 / (2 * strength)).fit(features, numbers)
    residual = 2 * (ridge.predict(features) - numbers) / 2  # the mean squared error is a mean over both numbers
    assert np.abs(gradient_of_keras_objective(ridge.coef_.T, residual, features, penalty(strength, count, NUMBERS))).max() < 1e-4


def judged(right: list[float], mirrored: list[float]) -> OutOfFold:
    return OutOfFold(np.zeros(len(right)), np.array(right, float), np.array(mirrored, float), 0.1)


def test_a_flip_is_kept_only_where_mirrored_examples_are_told_as_well() -> None:
    labels = np.arange(100) % 2
    good = [1.0] * 95 + [0.0] * 5
    assert keeps_class(judged(good, good), labels, TWO, likely=False)
    assert not keeps_class(judged(good, [1.0] * 94 + [0.0] * 6), labels, TWO, likely=False)  # upside down, without evidence for it
    assert keeps_class(judged(good, [1.0] * 94 + [0.0] * 6), labels, TWO, likely=True)  # one example less: chance
    assert not keeps_class(judged(good, [1.0] * 80 + [0.0] * 20), labels, TWO, likely=True)
    assert not keeps_class(judged(good, (1 - np.array(good)).tolist()), labels, TWO, likely=True)  # left and right


def test_no_flip_is_kept_where_the_head_tells_nothing() -> None:
    labels = np.arange(100) % 2
    guessed = (np.random.default_rng(0).random(100) < 0.5).astype(float).tolist()
    assert not keeps_class(judged(guessed, guessed), labels, TWO, likely=True)


def test_no_flip_is_kept_where_a_single_class_is_lost() -> None:
    labels = np.arange(400) % 40
    right = np.ones(400)
    mirrored = right.copy()
    mirrored[labels == 3] = 0
    gained = right.copy()
    right[(labels > 3) & (labels < 14) & (np.arange(400) < 40)] = 0  # as many others are gained by the flip
    assert right.mean() == pytest.approx(mirrored.mean())
    forty = Task("classification", tuple(map(str, range(40))))
    assert keeps_class(judged(right.tolist(), gained.tolist()), labels, forty, likely=True)
    assert not keeps_class(judged(right.tolist(), mirrored.tolist()), labels, forty, likely=True)


def test_mirrored_examples_are_predicted_by_the_head_that_has_not_seen_the_example() -> None:
    features, labels = features_and_classes(2, 60, 400)
    memorized = cross_validate(np.random.default_rng(0).normal(size=features.shape).astype(np.float32), labels, TWO, 0)
    assert memorized.score < 0.7  # noise cannot be told from unseen examples
    noise = np.random.default_rng(1).normal(size=features.shape).astype(np.float32)
    same = cross_validate(noise, labels, TWO, 0, noise)
    assert np.array_equal(same.right, same.mirrored_right)
