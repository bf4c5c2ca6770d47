"""Regression targets are learned in standard deviations from their mean; the saved model predicts in the user's unit."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from cnnkit.data.examples import Dataset, Examples

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class TargetScaler:
    """Mean and standard deviation of each number over the training examples `(outputs,)`."""

    mean: npt.NDArray[Any]
    deviation: npt.NDArray[Any]

    @classmethod
    def of(cls, train: Examples) -> "TargetScaler":
        """The scaler of some training examples; a number that never changes gets a deviation of 1."""
        targets = train.targets.reshape(len(train), -1).astype(np.float64)
        deviation = targets.std(axis=0)
        return cls(targets.mean(axis=0), np.where(deviation > 0, deviation, 1.0))

    def standardized(self, dataset: Dataset) -> Dataset:
        """The data set with its training and validation targets `(n, outputs)` in standard deviations from the mean."""

        def convert(examples: Examples) -> Examples:
            targets = (examples.targets.reshape(len(examples), -1) - self.mean) / self.deviation
            return replace(examples, targets=targets.astype(np.float32))

        return replace(dataset, train=convert(dataset.train), validation=convert(dataset.validation) if dataset.validation else None)

    def with_user_units(self, model: "keras.Model") -> "keras.Model":
        """The model with a last layer that turns standard deviations back into the user's unit; it shares all weights."""
        import keras

        layer = keras.layers.Rescaling(self.deviation.tolist(), self.mean.tolist(), name="in_user_units")
        return keras.Model(model.input, layer(model.output), name=model.name)
