"""`cnnkit data show`: plot of training examples as the network receives them, without and with augmentation."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cnnkit.config.target_encoding import decide
from cnnkit.config.task import Task
from cnnkit.data.augmentation import BatchPreparation
from cnnkit.data.binding import BoundConfig
from cnnkit.data.pipeline import BatchSource
from cnnkit.data.source import Request
from cnnkit.plots.pixels import as_pixels, value_range
from cnnkit.plots.style import FAINT, INK, VALIDATION, finish, new_figure, shorten

Array = npt.NDArray[Any]

VERSIONS = 3  # augmented versions of each example


def draw_contact_sheet(loaded: BoundConfig, path: Path, count: int, cache_folder: Path) -> None:
    """Write a PNG of `count` training examples: a column per example, the original on top, augmented versions below.

    Raises:
        CnnkitError: The data cannot be read.
    """
    import tensorflow as tf

    config = loaded.config
    dataset = loaded.source.load(Request(config.data_seed, cache_folder, ()))
    source = BatchSource(dataset.train, min(count, len(dataset.train))).with_places()
    inputs, targets, places, epochs = next(iter(source.shuffled(config.seed, 0)))
    rows = [(inputs.numpy(), targets.numpy())]
    if config.data.augment:
        encoding, _ = decide(dataset.task, mixes=config.data.mixes_labels)
        preparation = BatchPreparation(config.data.augment, config.seed, dataset.task, None, encoding)
        preparation.check(dataset.train.input_shape)
        for version in range(VERSIONS):
            augmented, mixed = preparation(tf.identity(inputs), targets, places, epochs + version)[:2]
            rows.append((augmented.numpy(), mixed.numpy()))
    note = f"Drawn from {dataset.name}, a stand-in: {dataset.stand_in_for} could not be had." if dataset.stand_in_for else ""
    _draw(rows, dataset.task, path, f"{config.name}: training examples", note)


def _draw(rows: list[tuple[Array, Array]], task: Task, path: Path, title: str, note: str) -> None:
    """Plot rows of `(inputs, targets)`, the first one without augmentation.

    Inputs are images `(n, height, width, channels)`, volumes `(n, depth, height, width, channels)` or signals `(n, steps, channels)`.
    """
    count = len(rows[0][0])
    columns = min(8, count)
    bands = -(-count // columns)
    originals = rows[0][0]
    images = originals.ndim > 3
    limits = value_range(originals) if images else (0.0, 1.0)
    aspect = originals.shape[-3] / originals.shape[-2] if images else 0.6
    figure = new_figure(1.5 * columns + 0.3, bands * len(rows) * (1.4 * min(max(aspect, 0.4), 2.5) + 0.25) + 0.6)
    grid = figure.add_gridspec(bands * len(rows), columns)
    for index in range(count):
        band, column = divmod(index, columns)
        for version, (inputs, targets) in enumerate(rows):
            axes = figure.add_subplot(grid[band * len(rows) + version, column])
            if images:
                axes.imshow(as_pixels(inputs[index], limits), cmap="gray", vmin=0, vmax=255)
            else:
                axes.plot(inputs[index], linewidth=0.8, color=None if inputs.shape[-1] > 1 else VALIDATION)
            axes.set_xticks([])
            axes.set_yticks([])
            axes.spines[:].set_color(FAINT)
            label = _label(targets[index], task)
            color = INK if version == 0 else VALIDATION
            axes.set_xlabel(label, fontsize=7, color=color, parse_math=False)
            if column == 0 and version:
                axes.set_ylabel("augmented", fontsize=7, color=color)
    finish(figure, path, title, note)


def _label(target: Any, task: Task) -> str:
    """The label of an example: its class, the shares of mixed classes, its labels, or its numbers."""
    if task.is_classification and np.ndim(target) == 0:
        return shorten(task.names[int(target)])
    if task.is_regression:
        return ", ".join(f"{value:.3g}" for value in np.ravel(target))
    parts = [(share, name) for share, name in zip(target, task.names, strict=True) if share > 0.005]
    if task.is_multilabel:
        return shorten(", ".join(name for _, name in parts)) or "none"
    return " + ".join(f"{share:.0%} {shorten(name)}" for share, name in sorted(parts, reverse=True)[:2])
