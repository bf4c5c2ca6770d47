"""Grad-CAM heatmaps of uploaded pictures, by the Keras model of the run; it is loaded with the first one that is asked for."""

import base64
import io
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from cnnkit.config.task import Task
from cnnkit.data.images.reader import ImageReader
from cnnkit.errors import CnnkitError
from cnnkit.serving.refusal import Refused, overloaded

if TYPE_CHECKING:
    from cnnkit.interpret.gradcam import GradCam

Array = npt.NDArray[Any]

MOST_WAITING = 8  # heatmaps; one thread computes them
SMALLEST_SIDE = 224  # pixels of the picture in an answer; smaller ones are enlarged by a whole factor
LARGEST_SIDE = 512


class HeatmapSource:
    """Computes heatmaps in a thread of its own.

    TensorFlow is imported and the model loaded with the first heatmap: about ten seconds and half a gigabyte, which a server
    whose clients only predict does not spend.

    Args:
        model: The `.keras` file.
        task: Kind and names of its outputs.
        reader: Reads the pictures.

    Attributes:
        why_none: Why there are no heatmaps of this network, once the first one has shown it; empty before, and where there are.
    """

    def __init__(self, model: Path, task: Task, reader: ImageReader) -> None:
        self._model, self._task, self._reader = model, task, reader
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="heatmap")
        self._cam: GradCam | None = None
        self.why_none = ""
        self._places = threading.BoundedSemaphore(MOST_WAITING)

    def submit(self, picture: bytes) -> "Future[dict[str, Any]]":
        """The heatmap of an image file, for its most probable class.

        Returns:
            An object for JSON: `name` of the class, label or number explained; `layer`; `cells`, the map in the layer's
            resolution, 0 to 1; `picture`, as the network sees it, and `overlay`, the map in colors with transparency, as PNGs in
            data URIs.

        Raises:
            Refused: Too many are waiting (503), or the network has none (501).
        """
        if self.why_none:
            raise Refused(501, self.why_none)
        if not self._places.acquire(blocking=False):
            raise overloaded("too many heatmaps are waiting")
        future = self._thread.submit(self._heatmap, picture)
        future.add_done_callback(lambda _: self._places.release())
        return future

    def close(self) -> None:
        """End the thread once it has finished its heatmap."""
        self._thread.shutdown(cancel_futures=True)

    def _heatmap(self, picture: bytes) -> dict[str, Any]:
        pixels = self._reader.read(picture)
        found = self._loaded()(pixels[None].astype(np.float32))
        cells = found.maps[0] / found.maps[0].max() if found.maps[0].max() > 0 else found.maps[0]
        return {
            "name": self._task.names[int(found.outputs[0])],
            "layer": found.layer,
            "cells": np.round(cells.astype(float), 4).tolist(),
            "picture": _data_uri(_enlarged(pixels)),
            "overlay": _data_uri(_overlay(cells, _enlarged(pixels).shape[:2])),
        }

    def _loaded(self) -> "GradCam":
        """The network, loaded once, also where it has no heatmaps.

        Raises:
            Refused: It has no convolution, or cannot be loaded (501).
        """
        if self._cam is None and not self.why_none:
            from cnnkit.artifacts.opening import open_model
            from cnnkit.interpret.gradcam import GradCam

            try:
                self._cam = GradCam(open_model(self._model).require_keras("a heatmap"), self._task)
            except CnnkitError as error:
                self.why_none = f"There are no heatmaps: {error.message.replace(str(self._model), self._model.name)}."
        if self._cam is None:
            raise Refused(501, self.why_none)
        return self._cam


def _enlarged(pixels: Array) -> Array:
    """Pixels `(height, width, channels)` uint8 repeated so that small pictures are seen, or every n-th of a large one."""
    side = max(pixels.shape[:2])
    if side > LARGEST_SIDE:
        step = -(-side // LARGEST_SIDE)
        return pixels[::step, ::step]
    times = max(1, SMALLEST_SIDE // side)
    return pixels.repeat(times, 0).repeat(times, 1)


def _overlay(cells: Array, shape: tuple[int, ...]) -> Array:
    """A heatmap in colors, whose opacity is its strength: `(height, width, 4)` uint8."""
    from matplotlib import colormaps

    from cnnkit.interpret.gradcam import upsample

    strength = upsample(cells, shape)
    colors = colormaps["inferno"](strength)
    colors[..., 3] = 0.25 + 0.55 * strength
    rounded: Array = np.rint(255 * colors).astype(np.uint8)
    return rounded


def _data_uri(pixels: Array) -> str:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(buffer, "PNG")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"
