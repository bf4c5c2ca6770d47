"""The file formats of models: how each is called, told from its path, run and checked, and which extra it needs.

A new one is a record here, the class and the function that it names, and its writer in `cnnkit/export/writers`.
"""

import importlib.util
import re
from dataclasses import dataclass
from pathlib import Path

from cnnkit.errors import CnnkitError, did_you_mean

SAVED_MODEL = "saved_model.pb"  # the file by which the folder of a SavedModel is known
TRITON_MODEL = "model.onnx"  # the file in a version folder of a Triton model repository


@dataclass(frozen=True)
class Format:
    """A format of model files.

    Attributes:
        name: As `--format` takes it.
        label: As people call it.
        suffix: Ending of the file; empty for a folder.
        engine: What runs such a file, as people call it.
        distribution: The package whose version is told with it.
        adapter: The class that runs such a file, as `module:class`; empty for Keras's own.
        check: The function that checks a file of unknown origin before it is loaded, as `module:function`.
        extra: The optional extra of cnnkit that installs what it needs; empty where nothing more is needed.
        runtime: Modules that run such a file.
        exporter: Modules that write such a file, beside TensorFlow.
        quantizations: What `--quantize` can do to it.
        has_loops: Whether it can express the loop of a recurrent layer.
    """

    name: str
    label: str
    suffix: str
    engine: str
    distribution: str
    adapter: str = ""
    check: str = ""
    extra: str = ""
    runtime: tuple[str, ...] = ()
    exporter: tuple[str, ...] = ()
    quantizations: tuple[str, ...] = ()
    has_loops: bool = True

    def require(self, *, export: bool = False) -> None:
        """Check that what the format needs is installed.

        Args:
            export: Whether such a file is to be written, not only to be run.

        Raises:
            CnnkitError: Something is missing; the remedy is the pip command.
        """
        wanted = dict.fromkeys((*self.runtime, *(self.exporter if export else ())))
        missing = [name for name in wanted if not _is_installed(name)]
        if missing:
            raise CnnkitError(
                f"{self.label} needs {' and '.join(missing)}, which {'is' if len(missing) == 1 else 'are'} not installed",
                f'pip install "cnnkit[{self.extra}]"',
            )


KERAS = Format("keras", "Keras", ".keras", "Keras", "keras")
ONNX = Format(
    name="onnx",
    label="ONNX",
    suffix=".onnx",
    engine="ONNX Runtime",
    distribution="onnxruntime",
    adapter="cnnkit.artifacts.onnx_runtime:OnnxRuntime",
    check="cnnkit.artifacts.safety.onnx_file:check_onnx",
    extra="onnx",
    runtime=("onnxruntime",),
    exporter=("onnx", "tf2onnx"),
    quantizations=("int8", "float16"),
)
LITERT = Format(
    name="litert",
    label="LiteRT",
    suffix=".tflite",
    engine="LiteRT",
    distribution="ai-edge-litert",
    adapter="cnnkit.artifacts.litert_runtime:LiteRtRuntime",
    check="cnnkit.artifacts.safety.litert_file:check_litert",
    extra="litert",
    runtime=("ai_edge_litert",),
    quantizations=("int8", "float16"),
    has_loops=False,
)
OPENVINO = Format(
    name="openvino",
    label="OpenVINO",
    suffix=".xml",
    engine="OpenVINO",
    distribution="openvino",
    adapter="cnnkit.artifacts.openvino_runtime:OpenVinoRuntime",
    check="cnnkit.artifacts.safety.openvino_file:check_openvino",
    extra="openvino",
    runtime=("openvino",),
    quantizations=("float16",),
    has_loops=False,
)
TF_SAVED_MODEL = Format(
    name="saved_model",
    label="SavedModel",
    suffix="",
    engine="TensorFlow",
    distribution="tensorflow",
    adapter="cnnkit.artifacts.saved_model_runtime:SavedModelRuntime",
    check="cnnkit.artifacts.safety.saved_model_file:check_saved_model",
)

FORMATS = {each.name: each for each in (KERAS, ONNX, LITERT, OPENVINO, TF_SAVED_MODEL)}
EXPORTED = tuple(name for name in FORMATS if name != KERAS.name)


def format_of(path: Path) -> Format | None:
    """The format of a model file or folder by its name, or by what the folder holds; None where it is none."""
    path = newest_version(path)
    if path.is_dir():
        return TF_SAVED_MODEL if (path / SAVED_MODEL).is_file() else None
    suffix = path.suffix.lower()
    return next((each for each in FORMATS.values() if each.suffix and each.suffix == suffix), None)


def newest_version(path: Path) -> Path:
    """The model inside a folder of numbered versions; any other path as it is.

    Args:
        path: A folder as TensorFlow Serving reads it (`PATH/3/saved_model.pb`) or as a Triton model repository has it
            (`PATH/3/model.onnx`). Both servers load the highest number.
    """
    if not path.is_dir() or (path / SAVED_MODEL).is_file():
        return path
    for number in reversed(version_numbers(path)):
        folder = path / str(number)
        if (folder / SAVED_MODEL).is_file():
            return folder
        if (folder / TRITON_MODEL).is_file():
            return folder / TRITON_MODEL
    return path


def version_numbers(path: Path) -> list[int]:
    """The numbers of the versions in a folder, ascending; none where it does not exist."""
    if not path.is_dir():
        return []
    return sorted(int(each.name) for each in path.iterdir() if re.fullmatch("[1-9][0-9]{0,8}", each.name) and each.is_dir())


def format_named(name: str) -> Format:
    """The format of a name that `--format` got.

    Raises:
        CnnkitError: There is none.
    """
    if name not in EXPORTED:
        raise CnnkitError(f"--format {name}: no such format.{did_you_mean(name, EXPORTED)}", f"There are: {', '.join(EXPORTED)}.")
    return FORMATS[name]


def _is_installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def size_of(path: Path) -> int:
    """Bytes of a model with all its files: of the newest version in its folder, or of an OpenVINO model with the `.bin` file beside it."""
    path = newest_version(path)
    files = [file for file in path.rglob("*") if file.is_file()] if path.is_dir() else [path]
    weights = path.with_suffix(".bin")
    if path.suffix.lower() == OPENVINO.suffix and weights.exists():
        files.append(weights)
    return sum(file.stat().st_size for file in files)
