"""`cnnkit init`: inspect a folder, CSV or npz file, and write a commented config that is ready for training."""

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from cnnkit.config.data_spec import DataSpec
from cnnkit.config.schema import Data
from cnnkit.config.yaml_writer import write_yaml
from cnnkit.data.images.faults import ImageFault
from cnnkit.data.images.header import read_header
from cnnkit.data.source import Source, endings, open_source, source_of
from cnnkit.errors import CnnkitError

SAMPLED = 64  # image files whose headers are read to choose the size and color mode of the inputs
LARGEST_SIDE = 128  # pixels: a size at which training from scratch takes reasonable time without an accelerator
TRANSFER_SIDE = 160  # pixels: one of the sizes at which MobileNetV2 was trained
STEPS = 4000  # optimizer steps that the number of epochs is chosen for, without early stopping
IMBALANCE = 3.0  # ratio of the largest to the smallest class from which classes are weighted


@dataclass(frozen=True)
class DataSummary:
    """Shape, task and class balance of the data.

    Attributes:
        key: Key of the source in the `data` section.
        spec: Input shape and task.
        image_files: Whether the examples are image files.
        count: Number of examples.
        imbalance: Size of the largest class over that of the smallest; 1 where there are no classes.
        brings_test: Whether it has a test split of its own.
        smallest_class: Examples of the rarest class; 0 where there are no classes.
    """

    key: str
    spec: DataSpec
    image_files: bool
    count: int
    imbalance: float
    brings_test: bool
    smallest_class: int


def write_init(path: Path, output: Path | None, *, transfer: bool, overrides: dict[str, Any]) -> tuple[Path, DataSummary]:
    """Write a config for a data set.

    Args:
        path: A folder of images, a CSV, an npz or npy file.
        output: The config to write; NAME.yaml in the current folder where None.
        transfer: Whether to use a pretrained base.
        overrides: Further entries of the `data` section, such as a CSV's target column.

    Returns:
        The file written, and the summary of the data.

    Raises:
        CnnkitError: The data is missing or invalid, or the config exists already.
    """
    from cnnkit.io.atomic import write_text

    summary = summarize_data(path, overrides)
    target = output or Path(f"{_file_stem(summary.spec.name)}.yaml")
    if target.exists():
        raise CnnkitError(f"{target}: is there already, and is not overwritten", "Name another with --output.")
    if transfer and (len(summary.spec.input_shape) != 3):
        raise CnnkitError(f"{path}: a pretrained base wants images, but an example is {summary.spec.input_shape}", "Leave --transfer out.")
    written = os.path.relpath(path.resolve(), target.resolve().parent)
    write_text(target, config_text(summary, written, target, transfer, overrides))
    return target, summary


def summarize_data(path: Path, overrides: dict[str, Any]) -> DataSummary:
    """The shape, task and class balance of the data at a path."""
    if not path.exists():
        raise CnnkitError(f"{path}: there is no such file or folder")
    key = source_of(path)
    if key is None:
        raise CnnkitError(f"{path}: is neither a folder nor a {endings()} file")
    source = open_source(Data.model_validate({key: str(path.resolve()), **overrides, "image_size": [1, 1]}))
    spec = source.spec
    if source.image_files:
        height, width, grey = _size_of(source)
        spec = replace(spec, input_shape=(height, width, 1 if grey else 3))
    targets, brings_test = source.all_targets()
    counts = np.bincount(targets.reshape(-1)) if spec.task.is_classification else np.array([])
    present = counts[counts > 0]
    return DataSummary(
        key,
        spec,
        bool(source.image_files),
        len(targets),
        float(present.max() / present.min()) if len(present) else 1.0,
        brings_test,
        int(present.min()) if len(present) else 0,
    )


def config_text(summary: DataSummary, path: str, target: Path, transfer: bool, overrides: dict[str, Any]) -> str:
    """The text of the config, with comments at values that the user may want to change."""
    task = summary.spec.task
    images = len(summary.spec.input_shape) == 3
    description = f"{summary.count:,} examples, " + (task.outputs_text if not task.is_regression else f"predicting {', '.join(task.names)}")
    lines = [
        f"# {'A pretrained base' if transfer else 'A network'} for {summary.spec.name}: {description}.",
        *([f"# {summary.spec.interpretation}"] if summary.spec.interpretation else []),
        "#",
        f"#   cnnkit train {target}",
        "",
        f"name: {_file_stem(summary.spec.name)}",
        "seed: 42",
        "",
        *_data_lines(summary, path, images, transfer, overrides),
        "",
        "model:",
        *(_base_lines(summary) if transfer else _network_lines(summary)),
        "",
        *_train_lines(summary, transfer),
    ]
    return "\n".join(lines) + "\n"


def _data_lines(summary: DataSummary, path: str, images: bool, transfer: bool, overrides: dict[str, Any]) -> list[str]:
    height, width = summary.spec.input_shape[:2]
    lines = ["data:", f"  {summary.key}: {_scalar(path)}"]
    lines += [f"  {key}: {_scalar(value)}" for key, value in overrides.items()]
    if summary.image_files:
        side = f"[{height}, {width}]"
        if transfer:
            side = str(TRANSFER_SIDE)
        elif height == width:
            side = str(height)
        lines.append(f"  image_size: {side:<20}# height and width to which every image is resized")
        if summary.spec.input_shape[-1] == 1 and not transfer:
            lines.append("  color: grey                     # the images have no colour")
    lines.append("  validation: 0.15                # for early stopping; stratified by class, not part of the final evaluation")
    if not summary.brings_test:
        lines.append("  test: 0.15                      # for the final evaluation only")
    lines.append(f"  batch_size: {32 if summary.count >= 640 else 16}")
    if images:
        lines += [
            "  augment:                        # training only; add `RandomFlip: {mode: horizontal}` where a mirror image means the same",
            "    - RandomTranslation: {height_factor: 0.08, width_factor: 0.08}",
            "    - RandomZoom: {height_factor: 0.1}",
            "    - RandomBrightness: {factor: 0.15}",
        ]
        if summary.spec.input_shape[-1] == 3:
            lines.append("    - RandomContrast: {factor: 0.15}")
    return lines


def _network_lines(summary: DataSummary) -> list[str]:
    """Lines for blocks of convolution, normalization and pooling, down to feature maps with sides of about 4 to 7."""
    rank = len(summary.spec.input_shape) - 1
    sides = summary.spec.input_shape[:rank]
    blocks = max(1, min(5, int(np.log2(max(min(sides), 2) / 4)) if min(sides) >= 8 else 1))
    lines = []
    if rank == 2:
        lines += ["  preprocess:", "    - Rescaling: {scale: 1/127.5, offset: -1}"]
    elif rank == 1:
        lines += [
            "  preprocess:",
            "    - LayerNormalization: {axis: [1, 2], center: false, scale: false}   # each signal to mean 0 and standard deviation 1",
        ]
    lines.append("  layers:")
    for block in range(blocks):
        filters = min(32 * 2**block, 128)
        lines += [
            f"    - Conv{rank}D: {{filters: {filters}, kernel_size: {3 if rank > 1 else 5}, padding: same, use_bias: false}}",
            "    - BatchNormalization",
            "    - ReLU",
            f"    - MaxPooling{rank}D: {{pool_size: 2}}",
        ]
    filters = min(32 * 2**blocks, 256)
    lines += [
        f"    - Conv{rank}D: {{filters: {filters}, kernel_size: 3, padding: same, use_bias: false}}",
        "    - BatchNormalization",
        "    - ReLU",
        f"    - GlobalAveragePooling{rank}D",
        "    - Dropout: {rate: 0.3}",
        f"    - {_output(summary)}",
    ]
    return lines


def _base_lines(summary: DataSummary) -> list[str]:
    return [
        "  base: MobileNetV2               # any network of keras.applications; its own scaling is part of the model",
        "  head:",
        "    - GlobalAveragePooling2D",
        "    - Dropout: {rate: 0.3}",
        f"    - {_output(summary)}",
    ]


def _output(summary: DataSummary) -> str:
    activation = summary.spec.task.activation
    return f"Dense: {{units: {summary.spec.task.outputs}{f', activation: {activation}' if activation else ''}}}"


def _train_lines(summary: DataSummary, transfer: bool) -> list[str]:
    held_out = 0.15 if summary.brings_test else 0.28
    batch = 32 if summary.count >= 640 else 16
    steps = max(1, round(summary.count * (1 - held_out) / batch))
    epochs = int(np.clip(round((STEPS / 4 if transfer else STEPS) / steps), 8, 60))
    lines = [
        "train:",
        f"  epochs: {epochs:<24}# at most: it stops when the validation loss no longer falls",
        "  optimizer:",
        f"    Adam: {{learning_rate: {'1e-3' if transfer else '2e-3'}}}",
    ]
    if summary.imbalance >= IMBALANCE:
        lines.append(
            f"  class_weight: balanced          # the largest class has {summary.imbalance:.0f} times the examples of the smallest"
        )
    patience = max(4, epochs // 5)
    lines += [
        "  callbacks:",
        f"    - ReduceLROnPlateau: {{monitor: val_loss, factor: 0.3, patience: {max(2, patience // 2)}}}",
        f"    - EarlyStopping: {{monitor: val_loss, patience: {patience}, restore_best_weights: true}}",
    ]
    return lines


def _size_of(source: Source) -> tuple[int, int, bool]:
    """A height and width that suit the images, and whether all inspected ones are grayscale."""
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
    if (heights == heights[0]).all() and (widths == widths[0]).all() and max(height, width) <= LARGEST_SIDE:
        return int(height), int(width), grey
    longest = min(LARGEST_SIDE, max(32, 16 * round(max(height, width) / 16)))
    ratio = float(np.median(heights / widths))
    if 3 / 4 <= ratio <= 4 / 3:
        return longest, longest, grey
    shorter = max(16, 8 * round(longest * min(ratio, 1 / ratio) / 8))
    return (longest, shorter, grey) if ratio > 1 else (shorter, longest, grey)


def _file_stem(name: str) -> str:
    text = "".join(character if character.isascii() and (character.isalnum() or character in "._-") else "-" for character in name)
    return text.strip("._-")[:64] or "data"


def _scalar(value: Any) -> str:
    """A value as YAML on one line."""
    return write_yaml(value, flow=True, width=10_000).removesuffix("...\n").strip()
