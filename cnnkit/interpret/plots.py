"""Plots that explain the prediction for one example: filters, feature maps, heatmap, deletion curve."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from cnnkit.config.task import Task
from cnnkit.plots.pixels import shaded, value_range
from cnnkit.plots.style import FAINT, INK, SOFT, TRAINING, VALIDATION, WRONG, finish, new_figure, style_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap

    from cnnkit.interpret.deletion_curve import DeletionCurve
    from cnnkit.interpret.explanation import Explanation

Array = npt.NDArray[Any]

MOST_FILTERS = 64  # filters in the plot of the first layer
MOST_MAPS = 32  # channels in the plot of one layer
MOST_ROWS, CHANNELS_A_ROW = 10, 8  # in the overview: layers, and channels of each
MOST_LINES = 4  # input channels up to which a 1D filter is drawn as lines
SIGNS = ("#8a2b06", "#e16f24", "#ffd9a8", "#ffffff", "#9cc6fa", "#1f6feb", "#0a3069")  # from negative to positive


def plot_explanation(result: "Explanation", example: Array, heatmap: Array, task: Task, path: Path) -> None:
    """Plot an example, its heatmap over it, and the deletion curve.

    Args:
        result: The explanation.
        example: `(height, width, channels)` or `(steps, channels)`.
        heatmap: Its upsampled map `(height, width)` or `(steps,)`, 0 to 1.
        task: Kind and names of the outputs.
        path: The PNG to write.
    """
    signal = example.ndim == 2
    figure = new_figure(11.6, 4.3)
    grid = figure.add_gridspec(1, 3, width_ratios=(1, 1, 1.35))
    if signal:
        _draw_signal_heatmap(figure.add_subplot(grid[0, :2]), example, heatmap)
    else:
        _draw_picture(plain := figure.add_subplot(grid[0, 0]), example)
        plain.set_title(_prediction_text(result, task), loc="left", fontsize=10, color=INK)
        _draw_heatmap(figure.add_subplot(grid[0, 1]), example, heatmap)
    axes = figure.axes[0 if signal else 1]
    axes.set_title(
        f"{_prediction_text(result, task)}\n" * signal + f"Heatmap for {result.explained}, from {result.layer}",
        loc="left",
        fontsize=10,
        color=INK,
    )
    _draw_deletion(figure.add_subplot(grid[0, 2]), result.deletion, result.explained, task)
    finish(figure, path, f"{Path(result.example).name}: why {result.explained}?", result.note)


def plot_filters(layer: Any, path: Path, note: str = "") -> None:
    """Plot the weights of a convolution, a panel per filter.

    Filters with three input channels are drawn in RGB; others as their sum over the channels, blue above and orange below zero.
    1D filters are drawn as lines, or as a row per channel where there are many.

    Args:
        layer: A convolution with weights.
        path: The PNG to write.
        note: A warning in a red box; may be empty.
    """
    kernel = filters_of(layer)
    kernel_size, channels, count = kernel.shape[:-2], kernel.shape[-2], min(kernel.shape[-1], MOST_FILTERS)
    columns = min(8, count)
    rows = -(-count // columns)
    figure = new_figure(max(0.85 * columns, 5) + 0.4, 0.85 * rows + 0.9)
    limit = float(np.abs(kernel).max()) or 1.0
    for index in range(count):
        axes = figure.add_subplot(rows, columns, index + 1)
        weights = kernel[..., index]
        if len(kernel_size) == 2 and channels == 3:
            axes.imshow(0.5 + weights / (2 * float(np.abs(weights).max()) or 1.0))
        elif len(kernel_size) == 2:
            total = weights.sum(axis=-1)
            axes.imshow(total, cmap=_diverging_colors(), vmin=-_color_limit(total), vmax=_color_limit(total))
        elif channels <= MOST_LINES:
            axes.axhline(0, color=FAINT, linewidth=0.8)
            axes.plot(weights, linewidth=1.4, color=VALIDATION if channels == 1 else None)
            axes.set_ylim(-1.05 * limit, 1.05 * limit)
        else:
            axes.imshow(weights.T, cmap=_diverging_colors(), vmin=-limit, vmax=limit, aspect="auto")
        _hide_ticks(axes)
    size = " x ".join(map(str, kernel_size))
    shown = f"{count} of {kernel.shape[-1]}" if count < kernel.shape[-1] else str(count)
    finish(figure, path, f"{layer.name}: {shown} filters of {size} over {channels} channel{'s' if channels > 1 else ''}", note)


def filters_of(layer: Any) -> Array:
    """The kernel of a convolution as `(…kernel_size, input channels, filters)`."""
    kernel = np.asarray(layer.get_weights()[0], np.float32)
    kind = type(layer).__name__
    if kind.startswith(("Depthwise", "Separable")):  # (…kernel_size, channels, depth_multiplier): each filter has one input channel
        return kernel.reshape(*kernel.shape[:-2], 1, -1)
    return np.swapaxes(kernel, -1, -2) if kind.endswith("Transpose") else kernel


def plot_feature_maps(maps: Array, name: str, path: Path, note: str = "") -> None:
    """Plot the feature maps of one layer, a panel per channel; of a signal, a row per channel.

    Args:
        maps: `(rows, columns, channels)` or `(steps, channels)`; blue above, orange below zero, on one scale for the layer.
        name: The layer's name.
        path: The PNG to write.
        note: A warning in a red box; may be empty.
    """
    channels = _most_varying(maps, MOST_MAPS)
    limit = _color_limit(maps)
    shape = " x ".join(map(str, maps.shape))
    remark = f", the {len(channels)} channels that vary most" if len(channels) < maps.shape[-1] else ""
    if maps.ndim == 2:
        figure = new_figure(8.4, 0.13 * len(channels) + 1.4)
        axes = figure.add_subplot()
        axes.imshow(maps[:, channels].T, cmap=_diverging_colors(), vmin=-limit, vmax=limit, aspect="auto", interpolation="nearest")
        axes.set_xlabel("step", color=SOFT, fontsize=9)
        axes.set_ylabel("channel", color=SOFT, fontsize=9)
        axes.set_yticks([])
        axes.tick_params(length=0, labelcolor=SOFT, labelsize=8)
        axes.spines[:].set_color(FAINT)
    else:
        columns = min(8, len(channels))
        rows = -(-len(channels) // columns)
        aspect = min(max(maps.shape[0] / maps.shape[1], 0.4), 2.5)  # of a spectrogram, a panel is not as tall and narrow as the map
        figure = new_figure(1.15 * columns + 0.4, 1.15 * rows * aspect + 0.12 * rows + 0.8)
        for index, channel in enumerate(channels):
            axes = figure.add_subplot(rows, columns, index + 1)
            axes.imshow(maps[..., channel], cmap=_diverging_colors(), vmin=-limit, vmax=limit, aspect="auto")
            _hide_ticks(axes)
    finish(figure, path, f"{name}: {shape}{remark}", note)


def plot_overview(example: Array, layers: Sequence[tuple[str, Array]], path: Path, note: str = "") -> None:
    """Plot an example and, in a row per layer, the most varying feature maps of each convolution.

    Args:
        example: `(height, width, channels)` or `(steps, channels)`.
        layers: Name and feature maps of each layer, in order; of many, an evenly spaced selection is drawn.
        path: The PNG to write.
        note: A warning in a red box; may be empty.
    """
    chosen = np.unique(np.linspace(0, len(layers) - 1, min(len(layers), MOST_ROWS)).round().astype(int))
    signal = example.ndim == 2
    height = 0.8 if signal else 1.0
    figure = new_figure(CHANNELS_A_ROW * 1.0 + 1.7, height * (len(chosen) + 1) + 0.7)
    grid = figure.add_gridspec(len(chosen) + 1, CHANNELS_A_ROW + 1, width_ratios=(1.3, *(1,) * CHANNELS_A_ROW))
    _row_title(figure.add_subplot(grid[0, 0]), "input", example.shape)
    _draw_example(figure.add_subplot(grid[0, 1:] if signal else grid[0, 1]), example)
    for row, (name, maps) in enumerate([layers[i] for i in chosen], start=1):
        _row_title(figure.add_subplot(grid[row, 0]), name, maps.shape)
        channels, limit = _most_varying(maps, CHANNELS_A_ROW), _color_limit(maps)
        for index, channel in enumerate(channels, start=1):
            axes = figure.add_subplot(grid[row, index])
            if maps.ndim == 2:
                axes.axhline(0, color=FAINT, linewidth=0.8)
                axes.plot(maps[:, channel], color=VALIDATION, linewidth=0.9)
                axes.set_ylim(-1.05 * limit, 1.05 * limit)
            else:
                axes.imshow(maps[..., channel], cmap=_diverging_colors(), vmin=-limit, vmax=limit)
            _hide_ticks(axes)
    among = f" ({len(chosen)} of {len(layers)})" if len(chosen) < len(layers) else ""
    finish(figure, path, f"Feature maps of the convolutions{among}", note)


def _prediction_text(result: "Explanation", task: Task) -> str:
    if task.is_regression:
        return "  ".join(f"{name} {value:.4g}" for name, value in result.predictions[:3])
    return "  ".join(f"{name} {value:.0%}" for name, value in result.predictions[:2])


def _draw_example(axes: "Axes", example: Array) -> None:
    if example.ndim == 3:
        _draw_picture(axes, example)
        return
    axes.plot(example, linewidth=1, color=VALIDATION if example.shape[-1] == 1 else None)
    _hide_ticks(axes)


def _draw_picture(axes: "Axes", example: Array) -> None:
    axes.imshow(_as_rgb(example))
    _hide_ticks(axes)


def _as_rgb(example: Array) -> Array:
    """Pixels `(height, width, 3)` from 0 to 1."""
    scaled = shaded(example, value_range(example))
    return scaled[..., :3] if example.shape[-1] >= 3 else np.repeat(scaled[..., :1], 3, axis=-1)


def _draw_heatmap(axes: "Axes", example: Array, heatmap: Array) -> None:
    """The heatmap in color over the grayscale image."""
    grey = _as_rgb(example).mean(axis=-1)
    axes.imshow(0.25 + 0.75 * grey, cmap="gray", vmin=0, vmax=1)
    axes.imshow(heatmap, cmap=_heatmap_colors(), vmin=0, vmax=1, interpolation="bilinear")
    _hide_ticks(axes)


def _draw_signal_heatmap(axes: "Axes", example: Array, heatmap: Array) -> None:
    """The signal, with its heatmap as background."""
    low, high = float(example.min()), float(example.max())
    room = 0.08 * ((high - low) or 1.0)
    extent = (-0.5, len(example) - 0.5, low - room, high + room)
    axes.imshow(heatmap[None], cmap=_heatmap_colors(), vmin=0, vmax=1, aspect="auto", extent=extent, interpolation="bilinear")
    axes.plot(example, linewidth=1.4, color=INK if example.shape[-1] == 1 else None)
    axes.set_xlabel("step", color=SOFT, fontsize=9)
    style_axes(axes)
    axes.grid(visible=False)


def _draw_deletion(axes: "Axes", deletion: "DeletionCurve", explained: str, task: Task) -> None:
    """The output over the deleted share: hottest positions first, and random orders as mean and standard deviation."""
    style_axes(axes)
    mean, deviation = deletion.random.mean(axis=0), deletion.random.std(axis=0)
    axes.fill_between(deletion.shares, mean - deviation, mean + deviation, color=TRAINING, alpha=0.25, linewidth=0)
    axes.plot(deletion.shares, mean, color=TRAINING, linewidth=1.8, label="random positions first")
    axes.plot(deletion.shares, deletion.hottest, color=WRONG[2], linewidth=2, label="hottest positions first")
    axes.xaxis.set_major_formatter(lambda share, _: f"{share:.0%}")
    axes.set_xlabel("deleted", color=SOFT, fontsize=9)
    if task.is_regression:
        axes.set_ylabel(explained, color=SOFT, fontsize=9)
    else:
        axes.set_ylim(0, 1.02)
        axes.set_ylabel(f"probability of {explained}", color=SOFT, fontsize=9)
    axes.set_xlim(0, 1)
    axes.legend(frameon=False, fontsize=9, labelcolor=INK, loc="upper right" if not task.is_regression else "best")
    axes.set_title(f"Deletion curves: area between them {deletion.area:.3f} ± {deletion.chance:.3f}", loc="left", fontsize=10, color=INK)


def _row_title(axes: "Axes", name: str, shape: Sequence[int]) -> None:
    axes.axis("off")
    name = name if len(name) <= 22 else f"{name[:12]}…{name[-9:]}"
    axes.text(0, 0.5, f"{name}\n", va="center", fontsize=8, color=INK)
    axes.text(0, 0.5, f"\n{' x '.join(map(str, shape))}", va="center", fontsize=8, color=SOFT)


def _most_varying(maps: Array, count: int) -> Array:
    """Indices of the channels with the largest standard deviation over the positions, in ascending order."""
    variation = maps.reshape(-1, maps.shape[-1]).std(axis=0)
    return np.sort(np.argsort(-variation, kind="stable")[:count])


def _color_limit(values: Array) -> float:
    """Color limit: the 99.5th percentile of the absolute values."""
    return float(np.percentile(np.abs(values), 99.5)) or float(np.abs(values).max()) or 1.0


def _diverging_colors() -> "Colormap":
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("signs", SIGNS)


def _heatmap_colors() -> "Colormap":
    """A color map from transparent over yellow to dark red."""
    from matplotlib.colors import LinearSegmentedColormap

    stops = [(1, 0.85, 0.4, 0), (1, 0.76, 0.3, 0.45), (0.88, 0.43, 0.14, 0.7), (0.64, 0.1, 0.05, 0.85)]
    return LinearSegmentedColormap.from_list("heat", stops)


def _hide_ticks(axes: "Axes") -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_color(FAINT)
