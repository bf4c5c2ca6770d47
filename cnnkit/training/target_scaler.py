"""Standardization of regression targets for training; the saved model predicts in the original units."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from cnnkit.data.examples import Dataset, Examples

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class TargetScaler:
    """Mean and standard deviation `(outputs,)` of each target over the training examples."""

    mean: npt.NDArray[Any]
    deviation: npt.NDArray[Any]

    @classmethod
    def of(cls, train: Examples) -> "TargetScaler":
        """The scaler fitted on training examples; a constant target gets a standard deviation of 1."""
        targets = train.targets.reshape(len(train), -1).astype(np.float64)
        deviation = targets.std(axis=0)
        return cls(targets.mean(axis=0), np.where(deviation > 0, deviation, 1.0))

    def standardized(self, dataset: Dataset) -> Dataset:
        """The data set with standardized training and validation targets `(n, outputs)` float32."""

        def convert(examples: Examples) -> Examples:
            targets = (examples.targets.reshape(len(examples), -1) - self.mean) / self.deviation
            return replace(examples, targets=targets.astype(np.float32))

        return replace(dataset, train=convert(dataset.train), validation=convert(dataset.validation) if dataset.validation else None)

    def with_user_units(self, model: "keras.Model") -> "keras.Model":
        """The model with a last Rescaling layer that converts its outputs to the original units; it shares all weights."""
        import keras

        layer = keras.layers.Rescaling(self.deviation.tolist(), self.mean.tolist(), name="in_user_units")
        return keras.Model(model.input, layer(model.output), name=model.name)
