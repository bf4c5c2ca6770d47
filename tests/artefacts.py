"""Model files of every format for the tests: exported from small Keras networks, and foreign or hostile ones built by hand."""

import hashlib
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from cnnkit.artifacts.formats import FORMATS, OPENVINO, Format
from cnnkit.artifacts.metadata import ArtifactMetadata
from cnnkit.artifacts.model_metadata import ModelMetadata
from cnnkit.config.task import Kind, Task
from cnnkit.data.images.reader import ImageReader

IMAGE = (8, 8, 3)
CLASSES = ("cat", "dog", "horse")
TASKS: dict[str, tuple[Kind, tuple[str, ...], tuple[int, ...], str | None, int]] = {
    # name: kind, names, input shape, activation, output units
    "classes": ("classification", CLASSES, IMAGE, "softmax", 3),
    "binary": ("classification", ("no", "yes"), IMAGE, "sigmoid", 1),
    "labels": ("multilabel", ("sunny", "indoors"), IMAGE, "sigmoid", 2),
    "numbers": ("regression", ("age in years", "height in cm"), IMAGE, None, 2),
    "signals": ("classification", CLASSES, (12, 2), "softmax", 3),
}


def task_of(name: str) -> Task:
    return Task(*TASKS[name][:2])


def network(name: str) -> Any:
    """A small Keras network for a task, with random weights that make its answers differ."""
    import keras

    _, _, shape, activation, units = TASKS[name]
    keras.utils.set_random_seed(1)
    layers = keras.layers
    convolution = layers.Conv1D(4, 3, activation="relu") if len(shape) == 2 else layers.Conv2D(4, 3, activation="relu")
    scaling = [layers.Rescaling(1 / 255)] if len(shape) == 3 else []
    return keras.Sequential([keras.Input(shape), *scaling, convolution, layers.Flatten(), layers.Dense(units, activation=activation)])


def inputs_of(name: str, count: int = 5) -> Any:
    """Raw inputs `(count, …)` float32."""
    shape, random = TASKS[name][2], np.random.default_rng(3)
    values = random.integers(0, 256, (count, *shape)) if len(shape) == 3 else random.normal(size=(count, *shape))
    return values.astype(np.float32)


def model_metadata(name: str, **changes: Any) -> ModelMetadata:
    shape = TASKS[name][2]
    reader = ImageReader(shape[:2], "rgb", "stretch", 10_000_000) if len(shape) == 3 else None
    return ModelMetadata(**{"data": "animals", "task": task_of(name), "image_reader": reader, **changes})


def metadata(name: str, golden: Any = None, **changes: Any) -> ArtifactMetadata:
    """The metadata of an exported network.

    Args:
        name: The task.
        golden: Outputs `(n, outputs)` for `inputs_of(name, n)`; None for none.
        changes: Other attributes.
    """
    shape = TASKS[name][2]
    values: dict[str, Any] = {
        "model": model_metadata(name),
        "input_shape": shape,
        "value_range": (0.0, 255.0) if len(shape) == 3 else None,
        "parity": {"examples": 200, "split": "test", "largest_difference": 2e-7, "scale": 1.0, "agreement": 1.0, "passed": True},
        "golden_inputs": None if golden is None else inputs_of(name, len(golden)),
        "golden_outputs": golden,
        "source": "ab" * 32,
        "cnnkit": "1.0",
    }
    return ArtifactMetadata(**{**values, **changes})


def export(folder: Path, name: str, formats: Sequence[str]) -> dict[str, Path]:
    """A network of a task as `.keras` with `model.json`, and in some formats with metadata and three golden examples."""
    from dataclasses import asdict

    from cnnkit.export.writers.writer import write_float, writer_of
    from cnnkit.io.atomic import write_json
    from cnnkit.io.quiet import without_output

    model = network(name)
    folder.mkdir(parents=True, exist_ok=True)
    paths = {"keras": folder / "model.keras"}
    model.save(paths["keras"])
    write_json(folder / "model.json", asdict(model_metadata(name)))
    source = hashlib.sha256(paths["keras"].read_bytes()).hexdigest()
    text = metadata(name, np.asarray(model(inputs_of(name, 3)), np.float32), source=source).to_json()
    for each in formats:
        target: Format = FORMATS[each]
        paths[each] = folder / (f"model{target.suffix}" if target.suffix else "saved/1")
        paths[each].parent.mkdir(exist_ok=True)
        with without_output():
            write_float(model, target, paths[each])
            writer_of(target).put_metadata(paths[each], text)
    return paths


def copy_model(path: Path, folder: Path) -> Path:
    """A copy of a model with all its files in another folder."""
    folder.mkdir(parents=True, exist_ok=True)
    if path.is_dir():
        return Path(shutil.copytree(path, folder / path.name))
    if path.suffix == OPENVINO.suffix:
        shutil.copy(path.with_suffix(".bin"), folder)
    return Path(shutil.copy(path, folder))


def onnx_model(
    shape: Sequence[int | str | None] = ("batch", *IMAGE),
    outputs: int = 3,
    *,
    last: str = "Softmax",
    nodes: Sequence[Any] = (),
    weights: Any = None,
    dtype: int = TensorProto.FLOAT,
    output_dtype: int = TensorProto.FLOAT,
    **model: Any,
) -> Any:
    """An ONNX model: Flatten, MatMul with fixed weights, and a last operator.

    Args:
        shape: Of its input, with the batch.
        outputs: Values for one example.
        last: Operator after the MatMul, such as `Softmax` or `Identity`.
        nodes: More nodes, before the others.
        weights: `(values, outputs)` float32; None for random ones.
        dtype: Of its input.
        output_dtype: Of its output.
        model: Arguments of `onnx.helper.make_model`.
    """
    values = int(np.prod([int(size) for size in shape[1:] if isinstance(size, int)]))
    if weights is None:
        weights = np.random.default_rng(0).normal(size=(values, outputs)).astype(np.float32) / 1000
    steps = [
        *nodes,
        helper.make_node("Flatten", ["input"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], ["values"]),
        helper.make_node(last, ["values"], ["output"], **({"to": TensorProto.INT64} if last == "Cast" else {})),
    ]
    graph = helper.make_graph(
        steps,
        "graph",
        [helper.make_tensor_value_info("input", dtype, shape)],
        [helper.make_tensor_value_info("output", output_dtype, [shape[0] if shape else None, outputs])],
        [numpy_helper.from_array(weights, "weights")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8, **model)


def write_onnx(path: Path, text: str | None = None, **options: Any) -> Path:
    """Write such a model, with cnnkit's metadata where `text` is given."""
    made = onnx_model(**options)
    if text is not None:
        helper.set_model_props(made, {"cnnkit": text})
    onnx.save(made, str(path))
    return path
