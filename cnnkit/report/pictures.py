"""Examples for the report: images with heatmaps as data URIs, signals as points of lines."""

import base64
import io
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cnnkit.plots.pixels import as_pixels, value_range

Array = npt.NDArray[Any]

LARGEST_SIDE = 256  # pixels of an image in the page; larger ones are downscaled
SMOOTH_SIDE = 160  # smallest side of a heatmap in pixels, so that over tiny images it is still smooth
HEATMAP_SHARE = 0.55  # opacity of the heatmap over the grayscale image
SIGNAL_WIDTH, SIGNAL_HEIGHT = 240, 96  # size of a plotted signal, in units of its SVG
MOST_POINTS = 480  # points per line
MOST_LINES = 6  # channels of a signal that are plotted
MOST_STRIPES = 120  # resolution of the heatmap behind a signal


@dataclass(frozen=True)
class Picture:
    """An image, and the same in grayscale under its heatmap.

    Attributes:
        plain: Data URI.
        heatmap: Data URI; empty where there is none.
        tiny: Whether it is to be shown enlarged with visible pixels.
    """

    plain: str
    heatmap: str
    tiny: bool


@dataclass(frozen=True)
class Signal:
    """A signal in a box of `SIGNAL_WIDTH` by `SIGNAL_HEIGHT`.

    Attributes:
        lines: Points of an SVG polyline for each channel.
        stripes: Stripes of the heatmap behind it: left edge, width and intensity (0 to 1).
    """

    lines: tuple[str, ...]
    stripes: tuple[tuple[float, float, float], ...]


def render_example(example: Array, heatmap: Array | None) -> Picture | Signal:
    """Render an example for the report.

    Args:
        example: An image `(height, width, channels)`; a volume `(depth, height, width, channels)`, whose middle slice is drawn; or a
            signal `(steps, channels)`.
        heatmap: Grad-CAM map in the layer's resolution: `(rows, columns)`, `(layers, rows, columns)` or `(steps,)`, 0 or more; None
            for none.
    """
    if example.ndim == 2:
        return _signal(example, heatmap)
    return _picture(example, heatmap[len(heatmap) // 2] if heatmap is not None and heatmap.ndim == 3 else heatmap)


def data_uri(pixels: Array, *, lossless: bool) -> str:
    """An image of uint8 `(height, width)`, `(height, width, 3)` or, lossless only, `(height, width, 4)` as PNG or JPEG in a URI."""
    from PIL import Image

    buffer = io.BytesIO()
    image = Image.fromarray(pixels)
    if lossless:
        image.save(buffer, "PNG", optimize=True)
    else:
        image.save(buffer, "JPEG", quality=85)
    return f"data:image/{'png' if lossless else 'jpeg'};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _picture(example: Array, heatmap: Array | None) -> Picture:
    from matplotlib import colormaps

    from cnnkit.interpret.gradcam import upsample

    pixels = _pixels(example)
    tiny = max(pixels.shape[:2]) <= 64
    if heatmap is None:
        return Picture(data_uri(pixels, lossless=tiny), "", tiny)
    times = max(1, -(-SMOOTH_SIDE // max(pixels.shape[:2])))
    grey = (pixels if pixels.ndim == 2 else pixels @ (0.299, 0.587, 0.114)).repeat(times, 0).repeat(times, 1)
    strength = upsample(heatmap / heatmap.max() if heatmap.max() > 0 else heatmap, grey.shape)
    colors = colormaps["inferno"](strength)[..., :3] * 255
    over = (1 - HEATMAP_SHARE) * grey[..., None] + HEATMAP_SHARE * colors
    return Picture(data_uri(pixels, lossless=tiny), data_uri(np.rint(over).astype(np.uint8), lossless=False), tiny)


def _pixels(example: Array) -> Array:
    """An example as uint8, grayscale `(height, width)` or RGB `(height, width, 3)`, no larger than `LARGEST_SIDE`."""
    from PIL import Image

    pixels = as_pixels(example, value_range(example))
    if max(pixels.shape[:2]) <= LARGEST_SIDE:
        return pixels
    image = Image.fromarray(pixels)
    image.thumbnail((LARGEST_SIDE, LARGEST_SIDE))
    return np.asarray(image)


def _signal(example: Array, heatmap: Array | None) -> Signal:
    from cnnkit.interpret.gradcam import upsample

    values = np.nan_to_num(example[:, :MOST_LINES].astype(np.float64))
    low, high = float(values.min()), float(values.max())
    heights = (1 - (values - low) / ((high - low) or 1)) * (SIGNAL_HEIGHT - 8) + 4
    lines = tuple(" ".join(f"{x:.1f},{y:.1f}" for x, y in _thinned(heights[:, channel])) for channel in range(heights.shape[1]))
    if heatmap is None:
        return Signal(lines, ())
    count = min(MOST_STRIPES, len(example))
    strengths = upsample(heatmap / heatmap.max() if heatmap.max() > 0 else heatmap, (count,))
    width = SIGNAL_WIDTH / count
    return Signal(lines, tuple((round(i * width, 2), round(width, 2), round(float(each), 3)) for i, each in enumerate(strengths)))


def _thinned(heights: Array) -> list[tuple[float, float]]:
    """The points of a line; a long one is reduced to the minimum and maximum of each segment, so that no peak is lost."""
    indices = np.arange(len(heights))
    if len(heights) > MOST_POINTS:
        segments = np.array_split(indices, MOST_POINTS // 2)
        ends = [sorted((part[heights[part].argmin()], part[heights[part].argmax()])) for part in segments]
        indices = np.unique(np.concatenate(ends))
    across = indices / max(len(heights) - 1, 1) * SIGNAL_WIDTH
    return list(zip(across.tolist(), heights[indices].tolist(), strict=True))
