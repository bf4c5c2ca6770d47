"""A run as an object: its model, and a method for each command that takes a run.

Over 300 lines: each method repeats, for the help of a notebook, what its arguments mean.
"""

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from cnnkit.api.arguments import (
    Config,
    FilePath,
    Overrides,
    config_sources,
    given_path,
    number_from_zero,
    one_or_several,
    optional_number,
    optional_path,
    optional_text,
    override_texts,
    whole_number,
)
from cnnkit.api.arrays import arrays_as_npz
from cnnkit.api.display import session_display
from cnnkit.api.prediction_inputs import inputs_of
from cnnkit.api.predictions import Predictions
from cnnkit.api.results import plain
from cnnkit.api.run_files import RunFiles
from cnnkit.api.session import run_session
from cnnkit.artifacts.formats import FORMATS, KERAS, format_named, format_of
from cnnkit.artifacts.opening import open_model
from cnnkit.errors import CnnkitError
from cnnkit.keras_api import quiet_import
from cnnkit.keras_api.global_state import preserved_global_state
from cnnkit.prediction.predict import Prediction, Predictor, predict_outputs
from cnnkit.prediction.tta import Tta, checked_tta
from cnnkit.runs.directory import find_run, run_of

if TYPE_CHECKING:
    import keras

ArraysOrPath = FilePath | tuple[Any, Any]


def load(run_or_model: FilePath | None = None) -> "Run":
    """A run that has been trained before, or a model file.

    Args:
        run_or_model: A run's folder, its name below `runs/`, or a model file of any format; None for the newest run.

    Raises:
        CnnkitError: There is no such run or model.

    Example:
        >>> import cnnkit
        >>> run = cnnkit.train("digits", epochs=1, run_dir="runs/first")
        >>> cnnkit.load("runs/first").metrics["accuracy"] == run.metrics["accuracy"]
        True
    """
    path = optional_path(run_or_model)
    if path is not None and format_of(path) is not None:
        if not path.exists():
            raise CnnkitError("no such model", location=path)
        return Run(path)
    directory = find_run(None) if path is None else run_of(path)
    if not (directory.config.exists() or directory.model.exists() or directory.checkpoints.is_dir()):
        raise CnnkitError(f"{path}: is neither a run nor a model", "See which runs there are: `cnnkit.list_runs()`.")
    return Run(directory.path)


class Run(RunFiles):
    """A run's folder, or a model file with what stands beside it; nothing is read before it is asked for.

    Attributes:
        path: The run's folder; of a model file, the file.

    Example:
        >>> import cnnkit
        >>> run = cnnkit.train("digits", epochs=2)
        >>> [row["epoch"] for row in run.history]
        [1, 2]
        >>> run.keras_model.input_shape
        (None, 8, 8, 1)
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._predictor: Predictor | None = None
        self._keras_model: Any = None
        quiet_import.install()

    @property
    def keras_model(self) -> "keras.Model":
        """The Keras model: raw inputs in the units of the data, `(n, height, width, channels)`; probabilities or numbers out.

        Raises:
            CnnkitError: There is no model yet, or the file is of another format.
        """
        if self._keras_model is None:
            with preserved_global_state():
                self._keras_model = open_model(self.model_file, compiled=True).require_keras("`keras_model`")
        return self._keras_model

    @preserved_global_state()
    def predict(
        self,
        inputs: Any,
        *,
        column: str | None = None,
        top: int = 3,
        on_error: Literal["raise", "keep"] = "raise",
        tta: Tta | None = None,
    ) -> Predictions:
        """Predict images, signals, files or folders, as `cnnkit predict`.

        Args:
            inputs: A path of an image file, a folder, a pattern such as `photos/*.jpg`, a CSV, npz or npy file; an array
                `(n, height, width, channels)` or `(n, steps, channels)` in the units of the training data (for images uint8 or
                float from 0 to 255), or one example of it; a PIL image; or a list of them. Files and PIL images are
                resized as in training, arrays must have the model's input shape.
            column: The column of paths in a CSV, or the array in an npz; None for the usual names.
            top: Number of classes in the dictionary of an input.
            on_error: `raise` for an input that cannot be read, or `keep` it with an `error` in its dictionary.
            tta: Average over views of each image: `flip` or `shift`, as `--tta`; each dictionary then says so.

        Raises:
            CnnkitError: The inputs do not fit the model, one of them cannot be read, or the run has no model yet.

        Example:
            >>> import cnnkit, numpy
            >>> run = cnnkit.train("digits", epochs=1)
            >>> answers = run.predict(numpy.zeros((5, 8, 8, 1), numpy.uint8))
            >>> answers.probabilities.shape
            (5, 10)
            >>> answers.labels[0] in run.names
            True
        """
        if on_error not in ("raise", "keep"):
            raise CnnkitError(f"on_error: {on_error!r} is neither 'raise' nor 'keep'")
        top = whole_number("top", top)
        predictor = self._opened().with_tta(checked_tta(tta))
        task = predictor.metadata.task
        names, predictions, outputs = [], [], []
        for name, row in predict_outputs(predictor, inputs_of(inputs, column)):
            prediction = Prediction(name, error=row) if isinstance(row, str) else predictor.prediction(name, row, top)
            if prediction.error and on_error == "raise":
                raise CnnkitError(prediction.error, 'To predict the others: `on_error="keep"`.', name)
            names.append(name)
            predictions.append(prediction)
            outputs.append(np.full(task.outputs, np.nan, np.float32) if isinstance(row, str) else row)
        found = np.stack(outputs).astype(np.float32) if outputs else np.empty((0, task.outputs), np.float32)
        return Predictions.of(predictions, found, task, tta)

    @preserved_global_state()
    def evaluate(
        self, data: ArraysOrPath | None = None, *, config: FilePath | None = None, set: Overrides = None, tta: Tta | None = None
    ) -> dict[str, Any]:
        """Metrics on the test set, or on other data, as `cnnkit evaluate`.

        Args:
            data: A folder, CSV, npz or npy file, or a config, all examples of which are evaluated; or arrays of inputs `(n, …)`
                in the units of the training data and targets: names or indices of classes `(n,)`, or numbers. None for the test set.
            config: The config that names the data, for a model file outside of a run.
            set: Overrides of that config, by dotted path.
            tta: Average over views of each image: `flip` or `shift`, as `--tta`.

        Returns:
            `measured_on`, the compiled loss and metrics, and those of the task, as in `metrics.json`.

        Raises:
            CnnkitError: There is no model or no such data, or they do not fit each other.
        """
        from cnnkit.prediction.evaluate_run import evaluate_run

        with tempfile.TemporaryDirectory(prefix="cnnkit-") as scratch:
            other = arrays_as_npz(data, self.metadata.task, Path(scratch)) if isinstance(data, tuple | list) else optional_path(data)
            evaluation, _ = evaluate_run(
                self.path,
                optional_path(config),
                override_texts(set),
                other,
                checked_tta(tta),
                usual_names=isinstance(data, tuple | list),
            )
        results: dict[str, Any] = plain(evaluation.as_dict())
        return results

    @preserved_global_state()
    def summary(self) -> dict[str, Any]:
        """Layers, shapes, parameters and receptive fields, as `cnnkit summary --json`."""
        from cnnkit.model.summary.summarize import summarize

        results: dict[str, Any] = plain(summarize(self.keras_model, preprocess=()).as_dict())
        return results

    @preserved_global_state()
    def explain(
        self,
        image: FilePath | None = None,
        *,
        index: int | None = None,
        name: str | None = None,
        layer: str | None = None,
        output: FilePath | None = None,
    ) -> dict[str, Any]:
        """Grad-CAM heatmap and feature maps of one prediction, as `cnnkit explain`.

        Args:
            image: An image file; None for a test example.
            index: Index of the test example; 0 where None.
            name: The class, label or target to explain; the most probable where None.
            layer: The layer whose feature maps are used; the last convolution where None.
            output: The folder to write plots to; `RUN/explain/NAME` where None.

        Returns:
            As `cnnkit explain --json`, with the `folder` and file names of the `plots`.

        Raises:
            CnnkitError: There is no such image, example, class or layer, or the network has no convolution.
        """
        from cnnkit.interpret.explain import explain_run

        index, name, layer = optional_number("index", index, 0), optional_text("name", name), optional_text("layer", layer)
        result = explain_run(self.path, optional_path(image), index, output=optional_path(output), name=name, layer=layer)
        results: dict[str, Any] = plain({**result.as_dict(), "folder": str(result.folder), "plots": list(result.plots)})
        return results

    @preserved_global_state()
    def probe(
        self, *, against: FilePath | Sequence[FilePath] = (), only: str | Sequence[str] = (), limit: int | None = None
    ) -> list[dict[str, Any]]:
        """Metrics on corrupted test examples, as `cnnkit probe`.

        Args:
            against: Further runs or model files.
            only: Names of the corruptions, such as `shift`; empty for all.
            limit: Size of a random sample of the test examples; None for all.

        Returns:
            A dictionary for each run, this one first.

        Raises:
            CnnkitError: There is no such run or corruption, or there are no test examples.
        """
        from cnnkit.robustness.probe import probe_runs

        others = [given_path(each) for each in ([against] if isinstance(against, str | os.PathLike) else against)]
        names = one_or_several("only", only) if only else ()
        probes, _ = probe_runs(self.path, others, only=names, limit=optional_number("limit", limit))
        results: list[dict[str, Any]] = plain([each.as_dict() for each in probes])
        return results

    @preserved_global_state()
    def calibrate(self) -> dict[str, Any]:
        """Fit a temperature on the validation set and write it into the model, as `cnnkit calibrate`.

        Raises:
            CnnkitError: It is a regression, or the validation examples do not determine a temperature.
        """
        from cnnkit.prediction.calibrate import calibrate_run

        results: dict[str, Any] = plain(calibrate_run(self.path).as_dict())
        self._forget_model()
        return results

    @preserved_global_state()
    def export(
        self,
        format: str | Sequence[str],
        *,
        quantize: str = "",
        output: FilePath | None = None,
        config: FilePath | None = None,
        tolerance: float | None = None,
        keep: bool = False,
        layout: str = "",
    ) -> list[dict[str, Any]]:
        """Write the model for other runtimes, each file compared with the Keras model, as `cnnkit export`.

        Args:
            format: `onnx`, `litert`, `openvino` or `saved_model`, or several of them.
            quantize: `int8`, `float16`, or empty for float32.
            output: The file, or a folder; None for beside the model.
            config: The config that names the data, for a `.keras` file outside of a run.
            tolerance: Allowed difference of outputs; of the metric after quantization. None for the defaults.
            keep: Whether to leave a file that failed the comparison.
            layout: `triton` for a model repository of a Triton server.

        Returns:
            A dictionary for each file, with `path`, `bytes` and `parity`.

        Raises:
            CnnkitError: A file could not be written, or failed the comparison.
        """
        from cnnkit.export.export import export_model

        result = export_model(
            self.path,
            [format_named(name) for name in dict.fromkeys(one_or_several("format", format))],
            quantize,
            output=optional_path(output),
            config=optional_path(config),
            tolerance=tolerance,
            keep=keep,
            layout=layout,
        )
        result.raise_failures()
        results: list[dict[str, Any]] = plain([each.as_dict() for each in result.results])
        return results

    @preserved_global_state()
    def benchmark(self, *, formats: str | Sequence[str] = (), config: FilePath | None = None, **options: Any) -> dict[str, Any]:
        """Size, speed, metric and memory of the model in every format, as `cnnkit benchmark`.

        Args:
            formats: Which formats; empty for all.
            config: The config that names the data, for a `.keras` file outside of a run.
            **options: `threads`, `batch`, `rounds` and `seconds`.

        Raises:
            CnnkitError: There is no model, its data is not available, or an option has no such value.
        """
        from cnnkit.export.benchmark import benchmark_run

        for name, least in (("threads", 0), ("batch", 1), ("rounds", 1)):
            if name in options:
                options[name] = whole_number(name, options[name], least)
        if "seconds" in options:
            options["seconds"] = number_from_zero("seconds", options["seconds"])
        names = one_or_several("formats", formats) if formats else []
        chosen = [FORMATS[name] if name == KERAS.name else format_named(name) for name in names]
        results: dict[str, Any] = plain(benchmark_run(self.path, chosen, config=optional_path(config), **options).as_dict())
        return results

    @preserved_global_state()
    def describe(self) -> dict[str, Any]:
        """What the model file carries, and whether it still answers as it did when it was exported, as `cnnkit show --json`."""
        from cnnkit.prediction.description import describe

        results: dict[str, Any] = plain(describe(self.model_file).as_dict())
        return results

    @preserved_global_state()
    def report(self, output: FilePath | None = None) -> Path:
        """Write everything about the run into one HTML page, as `cnnkit report`.

        Args:
            output: The file; `report.html` in the run's folder where None.

        Returns:
            The file written.

        Raises:
            CnnkitError: The run has no model yet.
        """
        from cnnkit.report.write import write_report

        return write_report(self.path, optional_path(output))

    def resume(
        self, *, epochs: int | None = None, config: Config | None = None, set: Overrides = None, force: bool = False, verbose: bool = False
    ) -> "Run":
        """Continue the run where it was interrupted, exactly; or train a finished one further, as `cnnkit train --resume`.

        Args:
            epochs: Total number of epochs; None for those of the config.
            config: A config in place of the run's own.
            set: Overrides, by dotted path.
            force: Whether to resume although the config or the data has changed.
            verbose: Whether to print progress and metrics.

        Returns:
            This run.

        Raises:
            CnnkitError: It has no checkpoint, its config or data has changed, or training fails.
            KeyboardInterrupt: SIGINT interrupted it; everything is saved.
        """
        from cnnkit.training.resume import open_interrupted
        from cnnkit.training.session import resume

        configs = config_sources(config) if config is not None else []
        overrides, epochs = override_texts(set), optional_number("epochs", epochs)

        try:
            run_session(
                lambda cluster: resume(
                    open_interrupted(self.path, configs, overrides, epochs, force=force, is_chief=cluster is None or cluster.is_chief),
                    session_display(verbose=verbose),
                    cluster,
                )
            )
        finally:
            self._forget_model()  # an interrupted run has saved another one, too
        return self

    def _opened(self) -> Predictor:
        if self._predictor is None:
            self._predictor = Predictor(self.model_file)
        return self._predictor

    def _forget_model(self) -> None:
        """Read the model again when it is needed: its file has changed."""
        self._predictor = self._keras_model = None
