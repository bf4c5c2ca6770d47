import json
import math
import re
import warnings

import numpy as np
import pytest
from sklearn import metrics as reference
from sklearn.dummy import DummyRegressor

from cnnkit.errors import CnnkitError
from cnnkit.evaluation.metrics import ClassRow, classification_metrics, multilabel_metrics, regression_metrics
from cnnkit.io.atomic import without_nan

NAMES = ("cat", "dog", "frog")

# Five examples: cat and cat right, cat taken for a dog, dog right, dog taken for a cat; never a frog.
TARGETS = np.array([0, 0, 0, 1, 1])
PROBABILITIES = np.array([[0.5, 0.25, 0.25], [0.8, 0.1, 0.1], [0.25, 0.5, 0.25], [0.1, 0.8, 0.1], [0.5, 0.4, 0.1]])

NOT_PROBABILITIES_REMEDY = "\n    End the network with `activation: softmax`, or sigmoid for one unit or several labels."
DIVERGED_REMEDY = "\n    The network has diverged, or its input has NaN: train again with a lower learning rate, or look at the data."


def random_predictions(classes, examples=200):
    generator = np.random.default_rng(3)
    return generator.integers(0, classes, examples), generator.dirichlet(np.full(classes, 0.5), examples)


def test_five_examples_give_the_figures_worked_out_by_hand():
    figures = classification_metrics(TARGETS, PROBABILITIES, NAMES)
    assert figures.examples == 5
    assert figures.accuracy == pytest.approx(3 / 5)
    assert figures.balanced_accuracy == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert figures.log_loss == pytest.approx(-math.log(0.5 * 0.8 * 0.25 * 0.8 * 0.4) / 5)
    assert figures.confusion.tolist() == [[2, 1, 0], [1, 1, 0], [0, 0, 0]]
    assert figures.classes[0] == ClassRow(
        "cat", 3, *[pytest.approx(2 / 3)] * 4, pytest.approx(4.5 / 6), pytest.approx((1 + 2 / 3 + 3 / 4) / 3)
    )
    assert figures.classes[1] == ClassRow("dog", 2, *[pytest.approx(1 / 2)] * 4, pytest.approx(5 / 6), pytest.approx((1 + 2 / 3) / 2))


def test_a_class_that_is_nowhere_has_no_figures_rather_than_zeros():
    frog = without_nan(classification_metrics(TARGETS, PROBABILITIES, NAMES).as_dict())["classes"][2]
    assert frog == {
        "name": "frog",
        "support": 0,
        "accuracy": None,
        "precision": None,
        "recall": None,
        "f1": None,
        "roc_auc": None,
        "average_precision": None,
    }


def test_a_class_that_is_always_missed_has_accuracy_and_f1_zero():
    missed = without_nan(classification_metrics(np.array([0, 2]), PROBABILITIES[:2], NAMES).as_dict())["classes"][2]
    assert (missed["support"], missed["accuracy"], missed["recall"], missed["precision"], missed["f1"]) == (1, 0.0, 0.0, None, 0.0)


@pytest.mark.parametrize("classes", [2, 3, 10, 100])
def test_figures_agree_with_scikit_learn(classes):
    targets, probabilities = random_predictions(classes)
    targets[targets == 1] = 0  # no example of class 1
    predicted, labels = probabilities.argmax(axis=1), list(range(classes))
    figures = classification_metrics(targets, probabilities, [f"class {i}" for i in labels])
    assert figures.accuracy == pytest.approx(reference.accuracy_score(targets, predicted), abs=1e-12)
    assert figures.log_loss == pytest.approx(reference.log_loss(targets, probabilities, labels=labels), abs=1e-12)
    assert np.array_equal(figures.confusion, reference.confusion_matrix(targets, predicted, labels=labels))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn's words on the class without examples
        assert figures.balanced_accuracy == pytest.approx(reference.balanced_accuracy_score(targets, predicted), abs=1e-12)
    report = reference.classification_report(targets, predicted, labels=labels, output_dict=True, zero_division=np.nan)
    for label, row in enumerate(figures.classes):
        wanted = report[str(label)]
        assert (row.name, row.support) == (f"class {label}", wanted["support"])
        np.testing.assert_allclose((row.accuracy, row.precision, row.f1), [wanted[k] for k in ("recall", "precision", "f1-score")])


@pytest.mark.parametrize("classes", [2, 3, 10, 100])
def test_rankings_and_averages_agree_with_scikit_learn(classes):
    targets, probabilities = random_predictions(classes, 1000)
    predicted, rest = probabilities.argmax(axis=1), [targets == label for label in range(classes)]
    figures = classification_metrics(targets, probabilities, [f"class {i}" for i in range(classes)])
    scores = probabilities if classes > 2 else probabilities[:, 1]
    assert figures.roc_auc == pytest.approx(reference.roc_auc_score(targets, scores, multi_class="ovr", average="macro"), abs=1e-12)
    precisions = [reference.average_precision_score(rest[label], probabilities[:, label]) for label in range(classes)]
    assert figures.average_precision == pytest.approx(np.mean(precisions) if classes > 2 else precisions[1], abs=1e-12)
    np.testing.assert_allclose([row.average_precision for row in figures.classes], precisions, atol=1e-12)
    areas = [reference.roc_auc_score(rest[label], probabilities[:, label]) for label in range(classes)]
    np.testing.assert_allclose([row.roc_auc for row in figures.classes], areas, atol=1e-12)
    for name in ("macro", "weighted"):
        wanted = reference.precision_recall_fscore_support(targets, predicted, average=name, zero_division=0)[:3]
        average = getattr(figures, name)
        np.testing.assert_allclose((average.precision, average.recall, average.f1), wanted, atol=1e-12)
    assert list(figures.top_k_accuracy) == {2: [], 3: [], 10: ["3", "5"], 100: ["3", "5"]}[classes]
    for k, share in figures.top_k_accuracy.items():
        assert share == pytest.approx(reference.top_k_accuracy_score(targets, probabilities, k=int(k)), abs=1e-12)
    np.testing.assert_allclose(
        figures.as_dict()["confusion_normalized"], reference.confusion_matrix(targets, predicted, normalize="true"), atol=1e-12
    )


def test_averages_are_those_of_scikit_learn_also_where_classes_are_missed_or_nowhere():
    predicted = PROBABILITIES.argmax(axis=1)
    targets = np.array([0, 0, 2, 2, 0])  # frogs are never recognized, there is no dog, and no snake anywhere
    figures = classification_metrics(targets, np.hstack([PROBABILITIES, np.zeros((5, 1))]), (*NAMES, "snake"))
    for name in ("macro", "weighted"):
        wanted = reference.precision_recall_fscore_support(targets, predicted, average=name, zero_division=0)[:3]
        average = getattr(figures, name)
        assert (average.precision, average.recall, average.f1) == pytest.approx(wanted, abs=1e-12)


def test_a_row_without_examples_has_no_shares():
    assert without_nan(classification_metrics(TARGETS, PROBABILITIES, NAMES).as_dict())["confusion_normalized"] == [
        [pytest.approx(2 / 3), pytest.approx(1 / 3), 0],
        [0.5, 0.5, 0],
        [None, None, None],
    ]


@pytest.mark.parametrize("shape", [(-1, 1), (-1,)])
def test_one_sigmoid_unit_is_the_probability_of_the_second_class(shape):
    positive = np.array([0.1, 0.9, 0.6, 0.3])
    targets = np.array([0, 1, 0, 1])
    one_unit = classification_metrics(targets, positive.reshape(shape), ("no", "yes"))
    two_units = classification_metrics(targets, np.stack([1 - positive, positive], axis=1), ("no", "yes"))
    assert one_unit.confusion.tolist() == [[1, 1], [1, 1]]
    assert one_unit.log_loss == pytest.approx(-math.log(0.9 * 0.9 * 0.4 * 0.3) / 4)
    assert without_nan(one_unit.as_dict()) == without_nan(two_units.as_dict())


def test_one_example_has_figures():
    figures = classification_metrics(np.array([1]), np.array([[0.25, 0.75]]), ("no", "yes"))
    assert (figures.examples, figures.accuracy, figures.balanced_accuracy) == (1, 1.0, 1.0)
    assert figures.log_loss == pytest.approx(-math.log(0.75))


def test_float16_probabilities_that_do_not_quite_add_up_to_one_are_accepted():
    targets, probabilities = random_predictions(10)
    rounded = classification_metrics(targets, probabilities.astype(np.float16), NAMES[:1] * 10)
    assert rounded.log_loss == pytest.approx(reference.log_loss(targets, probabilities), rel=1e-2)
    past_one = classification_metrics(np.array([1, 0]), np.array([1.0004, 0.0]), ("no", "yes"))
    assert (past_one.accuracy, past_one.log_loss) == (1.0, pytest.approx(0, abs=1e-9))


def test_a_prediction_of_nothing_favours_no_class():
    figures = classification_metrics(np.array([1]), np.array([[0.0, 0.0, 0.0]]), NAMES)
    assert figures.log_loss == pytest.approx(math.log(3))


def test_predictions_that_are_not_finite_are_counted():
    probabilities = PROBABILITIES.copy()
    probabilities[1] = np.nan
    probabilities[3, 0] = np.inf
    message = "2 of 5 predictions are not finite numbers" + DIVERGED_REMEDY
    for figures, targets in (
        (classification_metrics, TARGETS),
        (multilabel_metrics, PROBABILITIES > 0),
        (regression_metrics, PROBABILITIES),
    ):
        with pytest.raises(CnnkitError, match=f"^{re.escape(message)}$"):
            figures(targets, probabilities, NAMES)


@pytest.mark.parametrize(("values", "said"), [([[0.5, -1.25], [0, 1]], "-1.25 to 1"), ([[0.5, 1.5], [0, 1]], "0 to 1.5")])
def test_raw_scores_are_refused_as_probabilities(values, said):
    message = f"the model gives values from {said}, which are not probabilities{NOT_PROBABILITIES_REMEDY}"
    for figures, targets in ((classification_metrics, [0, 1]), (multilabel_metrics, [[0, 1], [0, 1]])):
        with pytest.raises(CnnkitError, match=f"^{re.escape(message)}$"):
            figures(np.array(targets), np.array(values), ("no", "yes"))


@pytest.mark.parametrize(
    ("figures", "noun"),
    [(classification_metrics, "classes"), (multilabel_metrics, "labels"), (regression_metrics, "numbers to predict")],
)
def test_a_model_for_other_data_is_refused(figures, noun):
    message = f"the model predicts 4 {noun}, but the data has 3\n    Name the data that it was trained on."
    with pytest.raises(CnnkitError, match=f"^{re.escape(message)}$"):
        figures(np.zeros((2, 3), int), np.full((2, 4), 0.25), NAMES)


def test_labels_agree_with_scikit_learn():
    generator = np.random.default_rng(5)
    probabilities = generator.random((50, 3))
    targets = generator.integers(0, 2, (50, 3))
    predicted = probabilities >= 0.5
    figures = multilabel_metrics(targets, probabilities, NAMES)
    assert figures.examples == 50
    assert figures.exact == pytest.approx(reference.accuracy_score(targets, predicted))
    assert figures.accuracy == pytest.approx(1 - reference.hamming_loss(targets, predicted))
    assert figures.macro_f1 == pytest.approx(reference.f1_score(targets, predicted, average="macro"))
    precision, recall, f1, support = reference.precision_recall_fscore_support(targets, predicted)
    for label, row in enumerate(figures.labels):
        assert (row.name, row.support) == (NAMES[label], support[label])
        assert row.accuracy == pytest.approx(reference.accuracy_score(targets[:, label], predicted[:, label]))
        assert (row.precision, row.recall, row.f1) == pytest.approx((precision[label], recall[label], f1[label]))


def test_rankings_and_averages_of_labels_agree_with_scikit_learn():
    generator = np.random.default_rng(5)
    targets, probabilities = generator.integers(0, 2, (200, 3)), generator.random((200, 3)).round(2)  # with ties
    figures = multilabel_metrics(targets, probabilities, NAMES)
    assert figures.roc_auc == pytest.approx(reference.roc_auc_score(targets, probabilities, average="macro"), abs=1e-12)
    assert figures.average_precision == pytest.approx(reference.average_precision_score(targets, probabilities), abs=1e-12)
    areas = reference.roc_auc_score(targets, probabilities, average=None)
    np.testing.assert_allclose([row.roc_auc for row in figures.labels], areas, atol=1e-12)
    for name in ("macro", "weighted"):
        wanted = reference.precision_recall_fscore_support(targets, probabilities >= 0.5, average=name)[:3]
        average = getattr(figures, name)
        assert (average.precision, average.recall, average.f1) == pytest.approx(wanted, abs=1e-12)
    assert figures.log_loss == pytest.approx(np.mean([reference.log_loss(targets[:, i], probabilities[:, i]) for i in range(3)]), abs=1e-12)


def test_a_single_label_is_measured_where_it_is_not_where_it_is_missing():
    figures = multilabel_metrics(np.array([[1], [1], [0], [0], [0]]), np.array([[0.5], [0.4], [0.1], [0.2], [0.9]]), ["rain"])
    (rain,) = figures.labels
    assert (rain.support, rain.accuracy, rain.precision, rain.recall, rain.f1) == (2, 0.6, 0.5, 0.5, 0.5)
    assert (figures.exact, figures.macro_f1) == (0.6, 0.5)


def test_a_label_that_is_nowhere_counts_as_zero_in_the_mean():
    figures = multilabel_metrics(np.array([[1, 0], [0, 0]]), np.array([[0.9, 0.1], [0.2, 0.3]]), ("rain", "snow"))
    assert math.isnan(figures.labels[1].f1)
    assert figures.macro_f1 == 0.5


def test_regression_gives_the_figures_worked_out_by_hand():
    # Errors 1, -1, 2, 0 about a mean of 2.5; errors of 10 everywhere.
    targets = np.array([[1.0, 10], [2, 20], [3, 30], [4, 40]])
    predictions = targets + np.array([[1.0, 10], [-1, 10], [2, 10], [0, 10]])
    figures = regression_metrics(targets, predictions, ("age in years", "price in €"))
    age, price = figures.targets
    assert (figures.examples, age.name, price.name) == (4, "age in years", "price in €")
    assert (age.mae, age.rmse, age.r2) == pytest.approx((1, math.sqrt(6 / 4), 1 - 6 / 5))
    assert (price.mae, price.rmse, price.r2) == pytest.approx((10, 10, 1 - 400 / 500))
    overall = figures.overall
    assert (overall.mae, overall.rmse, overall.r2) == pytest.approx((5.5, (math.sqrt(1.5) + 10) / 2, 0))


def test_the_baseline_is_that_of_a_dummy_regressor_that_predicts_the_mean():
    generator = np.random.default_rng(2)
    targets = np.stack([generator.lognormal(12, 0.5, 40), np.full(40, 3.0)], axis=1)
    price, constant = regression_metrics(targets, generator.normal(size=(40, 2)), ("price", "constant")).baseline
    dummy = DummyRegressor(strategy="mean").fit(np.zeros((40, 1)), targets[:, 0]).predict(np.zeros((40, 1)))
    expected = [
        score(targets[:, 0], dummy) for score in (reference.mean_absolute_error, reference.root_mean_squared_error, reference.r2_score)
    ]
    assert price.name == "price"
    assert (price.mae, price.rmse, price.r2) == pytest.approx(tuple(expected), abs=1e-9)
    assert (constant.mae, constant.rmse) == (0, 0)
    assert math.isnan(constant.r2)


@pytest.mark.parametrize(("targets_shape", "predictions_shape"), [((-1,), (-1, 1)), ((-1, 1), (-1,)), ((-1,), (-1,))])
def test_one_number_may_come_as_a_column_or_flat(targets_shape, predictions_shape):
    targets, predictions = np.array([1.0, 2, 3, 4]), np.array([2.0, 1, 5, 4])
    figures = regression_metrics(targets.reshape(targets_shape), predictions.reshape(predictions_shape), ["age"])
    assert figures.targets[0].mae == figures.overall.mae == 1


def test_r2_of_a_target_that_is_constant_is_undefined_and_left_out_of_the_mean():
    generator = np.random.default_rng(4)
    targets = np.stack([generator.normal(size=30), np.full(30, 0.1)], axis=1)  # their mean is not 0.1 to the last bit
    predictions = targets + generator.normal(0, 0.1, (30, 2))
    figures = regression_metrics(targets, predictions, ("price", "constant"))
    assert [math.isnan(row[1].r2) for row in (figures.targets, figures.baseline)] == [True, True]
    assert figures.overall.r2 == figures.targets[0].r2 == pytest.approx(reference.r2_score(targets[:, 0], predictions[:, 0]))
    assert figures.overall.intervals["r2"] == figures.targets[0].intervals["r2"]
    alone = regression_metrics(targets[:, 1], predictions[:, 1], ["constant"])
    assert math.isnan(alone.overall.r2)
    assert math.isnan(alone.overall.intervals["r2"].low)


def test_r2_of_one_example_is_undefined():
    row = without_nan(regression_metrics(np.array([3.0]), np.array([[5.0]]), ["age"]).as_dict())["targets"][0]
    intervals = {"mae": {"low": 2.0, "high": 2.0}, "rmse": {"low": 2.0, "high": 2.0}, "r2": {"low": None, "high": None}}
    assert row == {"name": "age", "mae": 2.0, "rmse": 2.0, "r2": None, "intervals": intervals}


@pytest.mark.parametrize("figures", [classification_metrics, multilabel_metrics, regression_metrics])
def test_figures_go_through_json_unchanged(figures):
    targets = TARGETS if figures is classification_metrics else (PROBABILITIES > 0.3).astype(int)
    record = without_nan(figures(targets, PROBABILITIES, NAMES).as_dict())
    assert json.loads(json.dumps(record, allow_nan=False)) == record


def test_a_target_that_is_not_a_number_is_told():
    message = "1 of 3 targets are NaN or infinite\n    Take those examples out of the data."
    with pytest.raises(CnnkitError, match=f"^{re.escape(message)}$"):
        regression_metrics(np.array([1.0, np.nan, 2]), np.ones((3, 1)), ["age"])
