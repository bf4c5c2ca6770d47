"""The block `whiten`: a convolution fitted on patches of the training images, whose kernels are then frozen.

The kernels are the eigenvectors of the covariance of the patches, each divided by the root of its eigenvalue, and their negatives
(Jordan 2024, "94% on CIFAR-10 in 3.29 Seconds on a Single GPU", section 3.2, after Page 2019). There the mean of the patches is not
subtracted; here the biases begin at the negative outputs for the mean patch, so that inputs of any scale are whitened.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from cnnkit.data.examples import Examples
from cnnkit.data.pipeline import batch_of
from cnnkit.errors import CnnkitError

if TYPE_CHECKING:
    import keras

Array = npt.NDArray[Any]

LAYER = "whiten"  # name of the convolution in the model
MOST_IMAGES = 5000  # that it is fitted on, evenly spaced among the training images


@dataclass(frozen=True)
class Whitening:
    """How a network's convolution `whiten` is fitted and frozen.

    Attributes:
        epsilon: Added to each eigenvalue before its root is taken.
        bias_epochs: Epochs in which its biases are trained, over all phases; None for all.
    """

    epsilon: float
    bias_epochs: int | None

    def fit(self, model: "keras.Model", train: Examples, shared: Callable[[Array], Array]) -> None:
        """Set the weights of the convolution.

        Args:
            model: The network.
            train: Raw training images.
            shared: Turns the weights that this process has computed into those that all workers use.

        Raises:
            CnnkitError: A training image has values that are not finite.
        """
        layer = model.get_layer(LAYER)
        size, *_ = layer.kernel_size
        kernel, bias = whitening_weights(*_moments_of_patches(_pixels_before(model), train, size), self.epsilon)
        weights = shared(np.concatenate([kernel.ravel(), bias]).astype(np.float32))
        layer.kernel.assign(weights[: kernel.size].reshape(layer.kernel.shape))
        layer.bias.assign(weights[kernel.size :])

    def freeze(self, model: "keras.Model", epoch: int) -> bool:
        """Freeze what is not trained in an epoch; the model's layers may have been made trainable before.

        Args:
            model: The network.
            epoch: From 0, over all phases.

        Returns:
            Whether that changed which weights are trained.
        """
        layer = model.get_layer(LAYER)
        before = [weight.trainable for weight in layer.weights]
        layer.kernel.trainable = False
        layer.bias.trainable = layer.trainable and (self.bias_epochs is None or epoch < self.bias_epochs)
        return before != [weight.trainable for weight in layer.weights]


def whitening_weights(mean: Array, covariance: Array, epsilon: float) -> tuple[Array, Array]:
    """Weights that whiten flattened patches `(n, d)`.

    Args:
        mean: `(d,)`.
        covariance: `(d, d)`.
        epsilon: Added to each eigenvalue before its root is taken.

    Returns:
        Directions as columns `(d, 2 * d)`, those of largest variance first, then their negatives; and biases `(2 * d,)`.
        Patches times directions plus biases have mean 0 and covariance eigenvalue / (eigenvalue + epsilon), about 1.
    """
    eigenvalues, eigenvectors = np.linalg.eigh(covariance)
    eigenvalues, eigenvectors = eigenvalues[::-1].clip(min=0), eigenvectors[:, ::-1]
    largest = np.take_along_axis(eigenvectors, np.abs(eigenvectors).argmax(axis=0)[np.newaxis], axis=0)
    directions = eigenvectors * np.sign(largest) / np.sqrt(eigenvalues + epsilon)  # the sign of an eigenvector is arbitrary
    both = np.concatenate([directions, -directions], axis=1)
    return both, -mean @ both


def _pixels_before(model: "keras.Model") -> Callable[[Array], Array]:
    """The part of a network before the convolution, as a function of raw images `(n, height, width, channels)` float32."""
    import keras

    tensor = model.get_layer(LAYER).input
    if tensor is model.input:
        return lambda images: images
    before = keras.Model(model.input, tensor)
    return lambda images: np.asarray(before(images, training=False))


def _moments_of_patches(pixels: Callable[[Array], Array], train: Examples, size: int) -> tuple[Array, Array]:
    """Mean `(d,)` and covariance `(d, d)` float64 of all patches of `MOST_IMAGES` training images, flattened as the kernel is.

    Raises:
        CnnkitError: An image has values that are not finite.
    """
    places = np.unique(np.linspace(0, len(train) - 1, MOST_IMAGES).round().astype(np.int64))
    batch = batch_of(train.input_shape)
    count, total, products = 0, np.zeros(()), np.zeros(())
    for start in range(0, len(places), batch):
        for image in pixels(train.rows.read(train.index[places[start : start + batch]]).astype(np.float32)):
            patches = np.lib.stride_tricks.sliding_window_view(image, (size, size), axis=(0, 1))  # (rows, columns, channels, size, size)
            flat = patches.transpose(0, 1, 3, 4, 2).reshape(-1, size * size * image.shape[-1]).astype(np.float64)
            count, total, products = count + len(flat), total + flat.sum(axis=0), products + flat.T @ flat
    if not np.isfinite(products).all():
        raise CnnkitError("`whiten` is fitted on training images, but some of their values are not finite", "Look: `cnnkit data check`.")
    mean = total / count
    return mean, products / count - np.outer(mean, mean)
