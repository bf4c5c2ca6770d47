"""Runs to export, without training: networks with random weights beside the config of their data."""

from pathlib import Path

import numpy as np

from cnnkit.artifacts.model_metadata import ModelMetadata
from cnnkit.data.binding import load
from cnnkit.data.source import Request
from cnnkit.model.compile import build_and_compile
from cnnkit.runs.directory import RunDirectory

LAYERS = "[{Conv2D: {filters: 4, kernel_size: 3, activation: relu}}, MaxPooling2D, Flatten, {Dense: {units: outputs, activation: softmax}}]"

CONFIG = """\
name: {name}
seed: 1
data: {{npz: {data}, test: 0.4, validation: 0, batch_size: 8{task}}}
model:
  preprocess: {preprocess}
  layers: {layers}
"""


def make_run(
    folder: Path,
    inputs: np.ndarray,
    targets: np.ndarray,
    *,
    layers: str = LAYERS,
    preprocess: str = "[{Rescaling: {scale: 1/255}}]",
    task: str = "",
) -> Path:
    """A run's folder as training leaves it, its network with the random weights that the seed gives.

    Args:
        folder: The folder to make.
        inputs: Examples `(n, …)`.
        targets: Their targets.
        layers: The layers of the network, in YAML.
        preprocess: Its preprocessing, in YAML.
        task: More entries of `data`, such as `, task: regression`.
    """
    folder.mkdir(parents=True)
    data = folder / "data.npz"
    np.savez(data, x=inputs, y=targets)
    text = CONFIG.format(name=folder.name, data=data, layers=layers, preprocess=preprocess, task=task)
    return save_run(folder, text)


def save_run(folder: Path, config: str) -> Path:
    """A run's folder with a config, and the network that it describes."""
    (folder / "config.yaml").write_text(config)
    loaded = load([folder / "config.yaml"])
    dataset = loaded.source.load(Request(1, folder, ()))
    model = build_and_compile(loaded).model
    RunDirectory(folder).save_model(model, ModelMetadata(dataset.name, dataset.task, image_reader=loaded.source.image_reader))
    return folder


def images(n: int = 60, shape: tuple[int, ...] = (12, 12, 3), seed: int = 0) -> np.ndarray:
    """Random pixels."""
    return np.random.default_rng(seed).integers(0, 256, (n, *shape), np.uint8)
