"""The network and training of a config without a base, as the lines of a config."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cnnkit.experiments.starter.data_summary import DataSummary
from cnnkit.experiments.starter.held_out import HeldOut
from cnnkit.experiments.starter.pixel_range import PixelRange

STEPS = 4000  # optimizer steps that the number of epochs is chosen for, without early stopping
EPOCHS = (8, 60)  # at least and at most
SIGNAL_STEPS = 16  # to which pooling shortens a signal


@dataclass(frozen=True)
class ChannelStatistics:
    """Mean and variance of each channel `(channels,)` over the training signals."""

    mean: Sequence[float]
    variance: Sequence[float]


def batch_size(summary: DataSummary) -> int:
    """Examples in a batch: fewer of a small data set, so that an epoch has steps enough."""
    return 32 if summary.count >= 640 else 16


def augment_lines(summary: DataSummary) -> list[str]:
    """The lines of `data.augment`; none for data that no random layer of Keras suits."""
    if len(summary.spec.input_shape) != 3:
        return []
    lines = [
        "  augment:                        # training only; add `RandomFlip: {mode: horizontal}` where a mirror image means the same",
        "    - RandomTranslation: {height_factor: 0.08, width_factor: 0.08}",
        "    - RandomZoom: {height_factor: 0.1}",
        f"    - RandomBrightness: {{factor: 0.15{summary.pixels.argument}}}",
    ]
    return [*lines, f"    - RandomContrast: {{factor: 0.15{summary.pixels.argument}}}"] if summary.spec.input_shape[-1] == 3 else lines


def model_lines(summary: DataSummary, statistics: ChannelStatistics | None) -> list[str]:
    """The lines of the `model` section.

    Args:
        summary: The data.
        statistics: Of signals of several channels, by which each channel is standardized; else None.
    """
    rank = len(summary.spec.input_shape) - 1
    lines = ["model:", *_preprocess_lines(rank, statistics, summary.pixels), "  layers:"]
    lines += _signal_layers(summary.spec.input_shape[0]) if rank == 1 else _image_layers(rank, summary.spec.input_shape[:rank])
    task = summary.spec.task
    activation = f", activation: {task.activation}" if task.activation else ""
    return [*lines, f"    - Dense: {{units: {task.outputs}{activation}}}"]


def _preprocess_lines(rank: int, statistics: ChannelStatistics | None, pixels: PixelRange) -> list[str]:
    if rank == 2:
        arguments = "scale: 1/127.5, offset: -1" if pixels.is_usual else pixels.rescaling(-1, 1)
        return ["  preprocess:", f"    - Rescaling: {{{arguments}}}"]
    if rank != 1:
        return []
    if statistics is None:
        entry = "LayerNormalization: {axis: [1, 2], center: false, scale: false}   # each signal to mean 0 and standard deviation 1"
        return ["  preprocess:", f"    - {entry}"]
    mean, variance = (", ".join(f"{value:.9g}" for value in values) for values in (statistics.mean, statistics.variance))
    return [
        "  preprocess:                     # each channel to mean 0 and standard deviation 1 over the training examples",
        f"    - Normalization: {{axis: -1, mean: [{mean}], variance: [{variance}]}}",
    ]


def _image_layers(rank: int, sides: Sequence[int]) -> list[str]:
    """Blocks of convolution, normalization and pooling, down to feature maps with sides of about 4 to 7."""
    wide = [side for side in sides if side > 1]  # an axis of one cannot be pooled
    blocks = max(1, min(5, int(np.log2(min(wide) / 4)) if min(wide, default=0) >= 8 else 1))
    window = [min(side, 2) for side in sides]
    pooling = [f"    - MaxPooling{rank}D: {{pool_size: {2 if len(wide) == rank else window}}}"] if wide else []
    lines = []
    for block in range(blocks):
        lines += [*_convolution(rank, min(32 * 2**block, 128), 3), *pooling]
    lines += _convolution(rank, min(32 * 2**blocks, 256), 3)
    return [*lines, f"    - GlobalAveragePooling{rank}D", "    - Dropout: {rate: 0.3}"]


def _signal_layers(steps: int) -> list[str]:
    """Wide kernels first, little pooling: the fully convolutional network of Wang, Yan and Oates 2017, with dropout.

    On windows of a wrist sensor (2,369 of 100 x 6, seven exercises; five folds by person) it has an accuracy of 0.84, where five blocks
    of narrow kernels, on windows that are each standardized as a whole, have 0.77.
    """
    blocks = max(2, min(6, round(np.log2(max(steps, 1) / SIGNAL_STEPS))))
    lines = []
    for block in range(blocks):
        filters, kernel = (64, 9) if block == 0 else (128, 7 if block == 1 else 5)
        kernel = min(kernel, max(1, steps // 2**block))
        pooling = ["    - MaxPooling1D: {pool_size: 2}"] if block < blocks - 1 and steps >= 2 ** (block + 2) else []
        lines += [*_convolution(1, filters, kernel), *pooling]
    return [*lines, "    - GlobalAveragePooling1D", "    - Dropout: {rate: 0.5}"]


def _convolution(rank: int, filters: int, kernel: int) -> list[str]:
    """A convolution with normalization, whose statistics follow within tens of steps.

    Keras's default takes hundreds. Small data has few steps an epoch, so that its first epochs would be judged with statistics that do
    not fit the weights.
    """
    return [
        f"    - Conv{rank}D: {{filters: {filters}, kernel_size: {kernel}, padding: same, use_bias: false}}",
        "    - BatchNormalization: {momentum: 0.9}",
        "    - ReLU",
    ]


def usual_epochs(summary: DataSummary, held_out: HeldOut) -> int:
    """The number of epochs that take about `STEPS` optimizer steps."""
    steps = max(1, round(held_out.train_count / batch_size(summary)))
    return int(np.clip(round(STEPS / steps), *EPOCHS))


def train_lines(summary: DataSummary, epochs: int) -> list[str]:
    """The lines of `train` on epochs, optimizer, loss and callbacks."""
    signals = len(summary.spec.input_shape) == 2
    patience = max(4, epochs // (3 if signals else 5))  # of few people in validation, the loss goes up and down
    optimizer = "AdamW: {learning_rate: 1e-3, weight_decay: 1e-3}" if signals else "Adam: {learning_rate: 2e-3}"
    smoothed = signals and summary.spec.task.is_classification
    return [
        f"  epochs: {epochs:<24}# at most: it stops when the validation loss no longer falls",
        f"  optimizer: {{{optimizer}}}",
        *(["  loss: {CategoricalCrossentropy: {label_smoothing: 0.1}}"] if smoothed else []),
        "  callbacks:",
        f"    - ReduceLROnPlateau: {{monitor: val_loss, factor: 0.3, patience: {max(2, patience // 2)}}}",
        f"    - EarlyStopping: {{monitor: val_loss, patience: {patience}, restore_best_weights: true}}",
    ]
