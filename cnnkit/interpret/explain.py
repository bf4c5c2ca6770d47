"""Explain the prediction for one example: filters, feature maps of each convolution, Grad-CAM heatmap and deletion curve."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cnnkit.config.task import Task
from cnnkit.data.images.reader import require_image_reader
from cnnkit.errors import CnnkitError, did_you_mean, format_value
from cnnkit.interpret.deletion_curve import deletion_curve
from cnnkit.interpret.explanation import Explanation
from cnnkit.interpret.gradcam import GradCam
from cnnkit.interpret.plots import plot_explanation, plot_feature_maps, plot_filters, plot_overview
from cnnkit.io.atomic import write_json
from cnnkit.model.unfold import Unfolded, unfold
from cnnkit.prediction.predict import Predictor
from cnnkit.runs.reopen import model_file, reopened

Array = npt.NDArray[Any]


def explain_run(
    run: Path, image: Path | None, index: int | None, *, output: Path | None = None, name: str | None = None, layer: str | None = None
) -> Explanation:
    """Explain a run's prediction for one example; write plots and `explanation.json` into a folder.

    Args:
        run: The run's folder, or a `.keras` file.
        image: An image file, read as in training; None for a test example.
        index: Index of the test example; 0 where None.
        output: The folder to write to; `RUN/explain/NAME` where None.
        name: The class, label or target to explain; the most probable where None.
        layer: The layer whose feature maps Grad-CAM uses; those of the last convolution where None.

    Raises:
        CnnkitError: There is no such run, image, example, class or layer, or the network has no convolution.
    """
    path = model_file(run)
    predictor = Predictor(path)
    task = predictor.metadata.task
    output_index = _output_index(name, task) if name is not None else None
    model = predictor.opened.require_keras("an explanation")
    network = unfold(model)
    cam = GradCam(model, task, layer)
    if image is not None:
        reader = require_image_reader(predictor.image_reader, predictor.input_shape, str(image))
        example, label, stem = reader.read(image), str(image), image.stem
    else:
        split, example = _test_example(path, index or 0)
        label, stem = f"{split} example {index or 0}", f"{split}-{index or 0}"
    folder = output if output is not None else path.parent / "explain" / stem
    _create(folder)
    heatmap = cam(example[None], [output_index] if output_index is not None else None)
    chosen = int(heatmap.outputs[0])
    deletion = deletion_curve(lambda inputs: predictor.outputs(inputs)[:, chosen], example, heatmap.maps[0], falls=not task.is_regression)
    values = predictor.outputs(example[None])[0]
    order = np.arange(len(values)) if task.is_regression else np.argsort(-values, kind="stable")
    predictions = tuple((task.names[i], float(values[i])) for i in order)
    note = predictor.note
    plots = ("grad-cam.png", "layers.png", "filters.png", *_draw_layers(network, example, folder, note))
    result = Explanation(label, predictions, task.names[chosen], heatmap.layer, heatmap.maps[0], deletion, folder, plots, note)
    plot_explanation(result, example, heatmap.over(example.shape[:-1])[0], task, folder / plots[0])
    write_json(folder / "explanation.json", result.as_dict())
    return result


def _draw_layers(network: Unfolded, example: Array, folder: Path, note: str) -> list[str]:
    """Write plots of the filters, an overview and each convolution's feature maps; the file names of the latter."""
    import keras

    steps = [step for step in network.convolutions if len(step.shape) >= 2]
    outputs = keras.Model(network.input, [step.output for step in steps])(example[None], training=False)
    maps = [np.asarray(output, np.float32)[0] for output in (outputs if isinstance(outputs, list) else [outputs])]
    plot_filters(steps[0].layer, folder / "filters.png", note)
    named = [(step.name, each) for step, each in zip(steps, maps, strict=True)]
    plot_overview(example, named, folder / "layers.png", note)
    names = []
    for number, (name, each) in enumerate(named, start=1):
        names.append(f"layer-{number:02}-{name.replace('/', '-')}.png")
        plot_feature_maps(each, name, folder / names[-1], note)
    return names


def _output_index(name: str, task: Task) -> int:
    if name not in task.names:
        known = f"Its {task.noun}: {', '.join(task.names[:12])}" + (" and more." if len(task.names) > 12 else ".")
        raise CnnkitError(f"{format_value(name)} is none of the {task.noun} of this run.{did_you_mean(name, task.names)}", known)
    return task.names.index(name)


def _test_example(model: Path, index: int) -> tuple[str, Array]:
    with reopened(model) as run:
        split, examples = run.held_out
        if not 0 <= index < len(examples):
            raise CnnkitError(
                f"{run.metadata.data}: has no {split} example {index}", f"Name one from 0 to {len(examples) - 1} with --index."
            )
        return split, examples.rows.read(examples.index[index : index + 1])[0]


def _create(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CnnkitError(f"{folder}: the folder cannot be made ({error.strerror})", "Name another with --output.") from error
