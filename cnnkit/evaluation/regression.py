"""Metrics of a regressor in the units of its targets, computed by scikit-learn."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cnnkit.errors import CnnkitError
from cnnkit.evaluation.bootstrap import Interval, interval, resampled_sums
from cnnkit.evaluation.outputs import check_outputs, finite

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class TargetRow:
    """Metrics of one target: mean absolute error and root mean squared error in its unit, and R²; with their 95 % intervals."""

    name: str
    mae: float
    rmse: float
    r2: float
    intervals: Mapping[str, Interval]


@dataclass(frozen=True)
class BaselineRow:
    """Metrics of always predicting the mean of the examples' own targets: what R² compares a model with, so that its own is 0."""

    name: str
    mae: float
    rmse: float
    r2: float


@dataclass(frozen=True)
class RegressionMetrics:
    """Metrics of a regressor.

    Attributes:
        examples: Number of examples.
        targets: Metrics by target.
        overall: Means of the targets' MAE, RMSE and R²; not meaningful where their units differ. R² is the mean of those defined.
        baseline: The same metrics, by target, of always predicting the mean.
    """

    examples: int
    targets: tuple[TargetRow, ...]
    overall: TargetRow
    baseline: tuple[BaselineRow, ...]

    def as_dict(self) -> dict[str, Any]:
        """The metrics as JSON values."""
        return asdict(self)


def regression_metrics(targets: Array, predictions: Array, target_names: Sequence[str]) -> RegressionMetrics:
    """Compute the metrics of predicted against true values.

    Args:
        targets: True values `(n,)` or `(n, outputs)`.
        predictions: Predicted values `(n, outputs)` or `(n,)`.
        target_names: Names, with units, of the outputs.

    Raises:
        CnnkitError: Some values are not finite, or the number of outputs differs.
    """
    predicted = finite(predictions)
    check_outputs(predicted, target_names, "numbers to predict")
    true = np.asarray(targets, np.float64).reshape(predicted.shape)
    bad = int((~np.isfinite(true)).any(axis=1).sum())
    if bad:
        raise CnnkitError(f"{bad} of {len(true)} targets are NaN or infinite", "Take those examples out of the data.")
    resampled = _resampled(true, predicted)
    varying = np.ptp(true, axis=0) > 0
    rows = tuple(
        _target_row(target, true[:, i], predicted[:, i], {name: values[:, i] for name, values in resampled.items()})
        for i, target in enumerate(target_names)
    )
    means = {name: values.mean(axis=1) for name, values in resampled.items()}
    means["r2"] = resampled["r2"][:, varying].mean(axis=1) if varying.any() else resampled["r2"][:, 0]
    baseline = tuple(_baseline_row(target, true[:, i]) for i, target in enumerate(target_names))
    return RegressionMetrics(len(true), rows, _target_row("overall", true, predicted, means), baseline)


def _target_row(name: str, true: Array, predicted: Array, resampled: Mapping[str, Array]) -> TargetRow:
    from sklearn import metrics

    true, predicted = true.reshape(len(true), -1), predicted.reshape(len(true), -1)
    varying = np.ptp(true, axis=0) > 0  # R² is 0/0 where all true values are equal, such as those of a single example
    r2 = metrics.r2_score(true[:, varying], predicted[:, varying]) if varying.any() else np.nan
    mae, rmse = metrics.mean_absolute_error(true, predicted), metrics.root_mean_squared_error(true, predicted)
    return TargetRow(name, float(mae), float(rmse), float(r2), {key: interval(values) for key, values in resampled.items()})


def _baseline_row(name: str, true: Array) -> BaselineRow:
    error = true - true.mean()
    return BaselineRow(name, float(np.abs(error).mean()), float(np.sqrt((error**2).mean())), 0.0 if np.ptp(true) > 0 else np.nan)


def _resampled(true: Array, predicted: Array) -> dict[str, Array]:
    """MAE, RMSE and R² of each resample and target `(resamples, outputs)`; R² is NaN where all true values are equal."""
    n, error, centred = len(true), predicted - true, true - true.mean(axis=0)  # centered, to avoid cancellation in the sums of squares
    sums = resampled_sums(np.hstack([np.abs(error), error**2, centred, centred**2]))
    absolute, squared, total, squares = np.split(sums, 4, axis=1)
    variation = squares - total**2 / n
    defined = variation > 1e-12 * squares
    r2 = 1 - np.divide(squared, variation, out=np.full(variation.shape, np.nan), where=defined)
    return {"mae": absolute / n, "rmse": np.sqrt(squared / n), "r2": r2}
