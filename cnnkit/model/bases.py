"""List the networks of the installed `keras.applications`: size, input, preprocessing and weights, by introspection."""

import contextlib
import json
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnnkit.io.atomic import write_text
from cnnkit.keras_api.compat import ReachedWeightsError, preferred_size, smallest_size, stopped_before_weights
from cnnkit.keras_api.downloads import keras_home
from cnnkit.keras_api.signatures import cache_path, signature_table
from cnnkit.model.base import PACKAGED_WEIGHTS, local_weights, preprocessing_of
from cnnkit.model.summary.summarize import bytes_of

if TYPE_CHECKING:
    import keras

FORMAT = 1  # version of the cached list; increase it when `Base` changes
TOP1 = Path(__file__).with_name("imagenet_top1.json")  # not available from the installed Keras


@dataclass(frozen=True)
class Base:
    """One network of keras.applications with its default arguments, without its top.

    Attributes:
        name: Its name in keras.applications.
        parameters: Number of parameters as Keras counts them.
        weight_bytes: Bytes of all its weights; Keras's weights file is a few percent larger.
        smallest: Minimum image side, in pixels.
        preferred: Default image side, in pixels.
        preprocessing: Its preprocessing of pixels in 0..255, as text; cnnkit applies it inside the model.
        weights_file: Name of Keras's file with its ImageNet weights.
    """

    name: str
    parameters: int
    weight_bytes: int
    smallest: int
    preferred: int
    preprocessing: str
    weights_file: str


@dataclass(frozen=True)
class ListedBase:
    """A base and its weights on this machine.

    Attributes:
        base: Its properties in the installed Keras.
        top1_percent: Top-1 accuracy on ImageNet in percent as Keras publishes it; None for a network newer than our copy of that table.
        weights: Path of its ImageNet weights on this machine; None where they would be downloaded.
        packaged: Path of the weights of its smallest variant packaged with cnnkit; None where there are none.
    """

    base: Base
    top1_percent: float | None
    weights: Path | None
    packaged: Path | None

    def as_dict(self) -> dict[str, Any]:
        """The base ready for JSON."""
        paths = {"weights": self.weights, "packaged": self.packaged}
        return {**asdict(self.base), "top1_percent": self.top1_percent, **{key: path and str(path) for key, path in paths.items()}}


def list_bases(on_progress: Callable[[int, int], None] = lambda done, total: None) -> list[ListedBase]:
    """Every base of the installed Keras, smallest first: from the user's cache folder, else by introspection (takes half a minute).

    Args:
        on_progress: Called with the number of networks inspected and the total.
    """
    path = _cache_file()
    bases = _read(path)
    if bases is None:
        bases = _introspect(on_progress)
        with contextlib.suppress(OSError):  # without a writable cache the list is built again next time
            path.parent.mkdir(parents=True, exist_ok=True)
            write_text(path, json.dumps([asdict(base) for base in bases]))
    top1 = json.loads(TOP1.read_text(encoding="utf-8"))["top1_percent"]
    return [_on_this_machine(base, top1.get(base.name)) for base in sorted(bases, key=lambda base: base.parameters)]


def _on_this_machine(base: Base, top1_percent: float | None) -> ListedBase:
    file = keras_home() / "models" / base.weights_file
    weights = local_weights(base.name, 1.0, (base.preferred, base.preferred, 3)) or (file if file.is_file() else None)
    return ListedBase(base, top1_percent, weights, PACKAGED_WEIGHTS if base.name == "MobileNetV2" else None)


def _cache_file() -> Path:
    return cache_path(f"bases-{FORMAT}")


def _read(path: Path) -> list[Base] | None:
    try:
        return [Base(**entry) for entry in json.loads(path.read_text(encoding="utf-8"))]
    except (OSError, ValueError, TypeError):  # absent, truncated or invalid: built again
        return None


def _introspect(on_progress: Callable[[int, int], None]) -> list[Base]:
    names = list(signature_table().objects["applications"])
    bases = []
    for done, name in enumerate(names):
        on_progress(done, len(names))
        bases.append(_introspect_base(name))
    on_progress(len(names), len(names))
    return bases


def _introspect_base(name: str) -> Base:
    model, weights_file = _without_weights(name)
    return Base(
        name,
        model.count_params(),
        bytes_of((weight.shape, weight.dtype) for weight in model.weights) or 0,
        _smallest_size(name),
        preferred_size(name),
        _describe_preprocessing(*preprocessing_of(name)),
        weights_file,
    )


def _without_weights(name: str) -> tuple["keras.Model", str]:
    """A base built for its ImageNet weights, and the name of the weights file, which is not downloaded.

    The variables are not initialized, so that a gigabyte of weights takes neither time nor memory.
    """
    import keras

    with stopped_before_weights(), warnings.catch_warnings(), keras.StatelessScope(initialize_variables=False):
        warnings.filterwarnings("ignore", message="`input_shape` is undefined or non-square")
        try:
            getattr(keras.applications, name)(include_top=False, weights="imagenet")
        except ReachedWeightsError as reached:
            return reached.model, reached.file
        finally:
            keras.utils.clear_session(free_memory=False)  # drops the uninitialized variables
    raise NotImplementedError(f"{name} loads its weights in a new way: extend model/bases.py")


def _smallest_size(name: str) -> int:
    """The minimum image side of a base, from its error for an image of one pixel."""
    import keras

    try:
        getattr(keras.applications, name)(include_top=False, weights=None, input_shape=(1, 1, 3))
    except ValueError as error:
        if (side := smallest_size(str(error))) is not None:
            return side
        raise
    return 1


def _describe_preprocessing(scale: Sequence[float], offset: Sequence[float], reverses_channels: bool) -> str:
    """Text for a preprocessing that is affine in the pixel, such as `-1 to 1`."""
    if reverses_channels:
        return "BGR, centred"
    ends = {(round(low, 3), round(255 * each + low, 3)) for each, low in zip(scale, offset, strict=True)}
    if len(ends) > 1:
        return "standardized"
    low, high = ends.pop()
    return "built in" if (low, high) == (0, 255) else f"{low:g} to {high:g}"
