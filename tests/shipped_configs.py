"""The shipped configs, with overrides that let each be opened and trained where its data and the ImageNet weights are not there."""

from pathlib import Path

import numpy as np
from PIL import Image

from cnnkit.config.packaged import folder

CONFIGS = sorted(folder().glob("*.yaml"))


def without_downloads(path: Path, scratch: Path) -> list[str]:
    """Overrides that put stand-ins in place of data that is not part of cnnkit, and one epoch of the head in place of several phases.

    Args:
        path: The config.
        scratch: A folder, for pictures in place of the user's.
    """
    text = path.read_text()
    overrides = ["train.phases=[{train: head, epochs: 1}]"] if "\n  phases:" in text else []
    if "\n  folder: " in text:
        pictures = make_pictures(scratch / "pictures")
        return [*overrides, f"data.folder={pictures}", "data.image_size=[32, 32]", "model.base={MobileNetV2: {weights: none}}"]
    overrides.append("data.limit=200")
    if "dataset: fashion_mnist" in text:
        return [*overrides, "data.dataset=digits", "model.input_shape=[8, 8, 1]"]
    return [*overrides, "data.fallback=shapes"] if "dataset: cifar10" in text else overrides


def make_pictures(target: Path) -> Path:
    """A folder of two classes of 20 coloured pictures each."""
    random = np.random.default_rng(0)
    for name, brightness in (("dark", 80), ("light", 200)):
        (target / name).mkdir(parents=True)
        for number in range(20):
            pixels = random.integers(brightness - 50, brightness + 50, (40, 30, 3), np.uint8)
            Image.fromarray(pixels).save(target / name / f"{number}.png")
    return target
