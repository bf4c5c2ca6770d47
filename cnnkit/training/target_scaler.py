"""Scaling of regression targets for training: logarithm, standardization; the saved model predicts in the original units."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from cnnkit.data.examples import Dataset, Examples
from cnnkit.errors import BuildError, Fault, count

if TYPE_CHECKING:
    import keras

Array = npt.NDArray[Any]
Scale = Literal["linear", "log"]


@dataclass(frozen=True)
class TargetScaler:
    """Targets are standardized, on the `log` scale after taking their natural logarithm.

    On the `log` scale a squared error is one of ratios, and predictions are positive. As in scikit-learn's
    `TransformedTargetRegressor(func=np.log, inverse_func=np.exp)`, the inverse is applied to the prediction as it is: it estimates
    the median of a target rather than its mean.

    Attributes:
        mean: Mean `(outputs,)` of each target on its scale, over the training examples.
        deviation: Standard deviation `(outputs,)` likewise; 1 for a constant target.
        scale: `linear` or `log`.
    """

    mean: Array
    deviation: Array
    scale: Scale = "linear"

    @classmethod
    def of(cls, dataset: Dataset, scale: Scale = "linear") -> "TargetScaler":
        """The scaler fitted on the training examples of a data set.

        Raises:
            BuildError: A training or validation target has no logarithm.
        """
        if scale == "log":
            for name, part in (("training", dataset.train), ("validation", dataset.validation)):
                if part is not None:
                    _require_positive(part.targets, name)
        values = on_scale(dataset.train, scale)
        deviation = values.std(axis=0)
        return cls(values.mean(axis=0), np.where(deviation > 0, deviation, 1.0), scale)

    def scaled(self, dataset: Dataset) -> Dataset:
        """The data set with scaled training and validation targets `(n, outputs)` float32."""

        def convert(examples: Examples) -> Examples:
            targets = (on_scale(examples, self.scale) - self.mean) / self.deviation
            return replace(examples, targets=targets.astype(np.float32))

        return replace(dataset, train=convert(dataset.train), validation=convert(dataset.validation) if dataset.validation else None)

    def with_user_units(self, model: "keras.Model") -> "keras.Model":
        """The model with last layers that convert its outputs to the original units; it shares all weights."""
        import keras

        output = keras.layers.Rescaling(self.deviation.tolist(), self.mean.tolist(), name="in_user_units")(model.output)
        if self.scale == "log":
            output = keras.layers.Activation("exponential", name="from_logarithm")(output)
        return keras.Model(model.input, output, name=model.name)


def on_scale(examples: Examples, scale: Scale) -> Array:
    """The targets of regression examples as `(n, outputs)` float64, or their logarithms."""
    values = examples.targets.reshape(len(examples), -1).astype(np.float64)
    return np.log(values) if scale == "log" else values


def _require_positive(targets: Array, split: str) -> None:
    values = targets.reshape(len(targets), -1)
    bad = int((values <= 0).any(axis=1).sum())
    if bad:
        examples = f"{count(bad, f'{split} example')} {'has' if bad == 1 else 'have'}"
        message = f"{examples} a target without a logarithm, the least is {values.min():g}"
        raise BuildError(Fault(("train", "target_scale"), message, "Write `target_scale: linear`, or give positive targets."))
