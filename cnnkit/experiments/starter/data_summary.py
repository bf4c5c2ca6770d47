"""Summarize a folder, CSV, npz or npy file: shape, task, class balance, groups, skewness, range of values; no image is decoded."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cnnkit.config.data_check import unread_options
from cnnkit.config.data_spec import DataSpec
from cnnkit.config.schema import Data
from cnnkit.data.images.faults import ImageFault
from cnnkit.data.images.header import read_header
from cnnkit.data.source import Request, Source, endings, open_source, source_of
from cnnkit.errors import CnnkitError
from cnnkit.experiments.starter.groups import groups_in
from cnnkit.experiments.starter.pixel_range import IN_FILES, PixelRange
from cnnkit.experiments.starter.pixel_range import SAMPLED as SAMPLED_IMAGES

Array = npt.NDArray[Any]

SAMPLED = 64  # image files whose headers are read to choose the size and color mode of the inputs
LARGEST_SIDE = 128  # pixels: a size at which training from scratch takes reasonable time without an accelerator
SKEWED = 1.0  # skewness from which the logarithm of positive targets is learned


@dataclass(frozen=True)
class DataSummary:
    """What a config depends on, as far as it can be told without decoding images.

    Attributes:
        key: Key of the source in the `data` section.
        options: Further entries of the `data` section: those of the command line, and a group that was found by its name.
        spec: Input shape and task; for image files the input shape that suits training from scratch.
        image_files: Whether the examples are image files.
        image_side: Median longer side of the images in pixels; 0 for signals.
        count: Number of examples.
        imbalance: Size of the largest class over that of the smallest; 1 where there are no classes.
        own_splits: `validation`, `test` -> number of examples, for each such split that the data brings.
        found_group: The name of the groups that no option named; empty for none.
        skewed: Whether all targets are positive numbers and nearer to a normal distribution on the log scale.
        pixels: The range of pixel values.
        notices: Notices for the user: groups that are not used, axes that may be meant otherwise.
        most_folds: The largest number of folds of a cross-validation: that of the examples of the rarest class, or of groups.
    """

    key: str
    options: Mapping[str, Any]
    spec: DataSpec
    image_files: bool
    image_side: int
    count: int
    imbalance: float
    own_splits: Mapping[str, int]
    found_group: str
    skewed: bool
    pixels: PixelRange = IN_FILES
    notices: tuple[str, ...] = ()
    most_folds: int = 1_000_000


def summarize_data(path: Path, options: Mapping[str, Any]) -> DataSummary:
    """Summarize the data at a path.

    Args:
        path: A folder of images, a CSV, an npz or npy file.
        options: Further entries of the `data` section, such as a CSV's target column.

    Raises:
        CnnkitError: It does not exist, or is no data that a config can name.
    """
    if not path.exists():
        raise CnnkitError(f"{path}: there is no such file or folder")
    key = source_of(path)
    if key is None:
        raise CnnkitError(f"{path}: is neither a folder nor a {endings()} file")
    groups = groups_in(path, key, options)
    found = "" if options.get("group") else groups.name
    options = {**options, "group": found} if found else options
    data = Data.model_validate({key: str(path.resolve()), **options})
    for fault in unread_options(data):
        raise CnnkitError(f"{path}: `data.{fault.path[-1]}` {fault.message}", fault.remedy)
    source = open_source(data.model_copy(update={"image_size": [1, 1]}))
    spec, side = source.spec, max(source.spec.input_shape[:2]) if len(source.spec.input_shape) == 3 else 0
    if source.image_files:
        height, width, side, grey = _size_of(source)
        spec = replace(spec, input_shape=(height, width, 1 if grey else 3))
    targets, splits = source.all_targets()
    own_splits = {name: int((splits == name).sum()) for name in ("validation", "test") if (splits == name).any()}
    divided = targets[splits != "test"]  # into training and validation examples, or folds
    counts = np.bincount(divided.reshape(-1)) if spec.task.is_classification else np.array([])
    present = counts[counts > 0]
    imbalance = float(present.max() / present.min()) if len(present) else 1.0
    rarest = int(present.min()) if len(present) else len(divided)
    skewed = spec.task.is_regression and is_skewed(targets)
    pixels = IN_FILES if source.image_files or len(spec.input_shape) < 3 else _pixels_of(source)
    return DataSummary(
        key=key,
        options=options,
        spec=spec,
        image_files=bool(source.image_files),
        image_side=side,
        count=len(targets),
        imbalance=imbalance,
        own_splits=own_splits,
        found_group=found,
        skewed=skewed,
        pixels=pixels,
        notices=tuple(text for text in (groups.notice, _doubtful_axes(spec.input_shape)) if text),
        most_folds=groups.number or rarest,
    )


def _doubtful_axes(shape: tuple[int, ...]) -> str:
    """A notice for signals with as many channels as steps or more, which may be images without channels, or have the channels first."""
    if len(shape) != 2 or shape[0] > shape[1]:
        return ""
    return (
        f"Examples of {shape} are taken for signals of {shape[0]} steps and {shape[1]} channels. Grey images have a channel "
        "(`x[..., np.newaxis]`); where the channels stand first, move them: `np.moveaxis(x, 1, -1)`."
    )


def is_skewed(targets: Array) -> bool:
    """Whether positive targets `(n, outputs)` are skewed to the right, and their logarithms at most half as much.

    Skewness is the Fisher-Pearson coefficient m3 / m2^1.5.
    """
    values = targets.astype(np.float64)
    if (values <= 0).any():
        return False
    plain, logarithms = _skewness(values), np.abs(_skewness(np.log(values)))
    return bool((plain > SKEWED).all() and (logarithms < plain / 2).all())


def _skewness(values: Array) -> Array:
    centred = values - values.mean(axis=0)
    second = (centred**2).mean(axis=0)
    skewness: Array = (centred**3).mean(axis=0) / np.where(second > 0, second, 1.0) ** 1.5  # 0 of a constant
    return skewness


def _pixels_of(source: Source) -> PixelRange:
    """The range of the values of images in arrays, by a sample."""
    train = source.load(Request(0, Path(), ())).train
    return PixelRange.of(train.rows.read(train.index[:: max(1, len(train) // SAMPLED_IMAGES)]))


def _size_of(source: Source) -> tuple[int, int, int, bool]:
    """A height and width that suit the images, their median longer side, and whether all inspected ones are grayscale."""
    paths = source.image_files
    headers = []
    for path in paths[:: max(1, len(paths) // SAMPLED)]:
        try:
            headers.append(read_header(path, source.data.max_pixels))
        except ImageFault:
            continue
    if not headers:
        raise CnnkitError(f"{source.spec.name}: none of the inspected images can be read", f"Check them, such as {paths[0]}.")
    grey = all(header.mode in ("1", "L", "I;16", "I") for header in headers)
    heights, widths = np.array([h.height for h in headers]), np.array([h.width for h in headers])
    height, width = float(np.median(heights)), float(np.median(widths))
    side = round(max(height, width))
    if (heights == heights[0]).all() and (widths == widths[0]).all() and side <= LARGEST_SIDE:
        return int(height), int(width), side, grey
    longest = min(LARGEST_SIDE, max(32, 16 * round(side / 16)))
    ratio = float(np.median(heights / widths))
    if 3 / 4 <= ratio <= 4 / 3:
        return longest, longest, side, grey
    shorter = max(16, 8 * round(longest * min(ratio, 1 / ratio) / 8))
    return (longest, shorter, side, grey) if ratio > 1 else (shorter, longest, side, grey)
