"""Through ONNX, LiteRT and OpenVINO no command imports TensorFlow or Keras: seconds and hundreds of megabytes that nobody asked for."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnnkit.errors import CnnkitError
from tests.artefacts import CLASSES, export, inputs_of, metadata, write_onnx

CONFIG = """
data: {npz: data.npz, validation: 0.2, test: 0.3}
model: {layers: [Flatten, Dense: {units: outputs, activation: softmax}]}
train: {epochs: 1}
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run's folder with an ONNX and a LiteRT file, its config and its data; and pictures by class."""
    folder = tmp_path_factory.mktemp("work") / "run"
    export(folder, "classes", ["onnx", "litert"])
    random = np.random.default_rng(0)
    targets = np.arange(60) % 3
    np.savez(folder / "data.npz", x=random.integers(0, 256, (60, 8, 8, 3), np.uint8), y=np.array(CLASSES)[targets])
    (folder / "config.yaml").write_text(CONFIG.replace("data.npz", str(folder / "data.npz")))
    (folder / "history.csv").write_text("epoch,loss,accuracy,val_loss,val_accuracy,learning_rate,seconds\n1,1.1,0.3,1.2,0.3,0.001,0.5\n")
    for name in CLASSES:
        (folder / "photos" / name).mkdir(parents=True)
        for number in range(3):
            Image.fromarray(random.integers(0, 256, (20, 30, 3), np.uint8)).save(folder / "photos" / name / f"{number}.png")
    rows = [f"{name}/{number}.png,{name}" for name in CLASSES for number in range(3)]
    (folder / "photos" / "list.csv").write_text("path,label\n" + "\n".join(rows) + "\n")
    return folder


def imported(*arguments: object) -> tuple[str, set[str]]:
    """What a command prints, and the heavy packages that its process imported."""
    code = """
import sys
sys.argv[0] = "cnnkit"
from cnnkit.cli import main
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
heavy = ("tensorflow", "keras", "pydantic_core", "matplotlib", "sklearn", "scipy", "onnx", "rich.progress")
print("\\n#imported", *(name for name in heavy if name in sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    printed, _, names = done.stdout.partition("\n#imported")
    return printed, set(names.split())


@pytest.mark.parametrize("model", ["model.onnx", "model.tflite"])
def test_a_picture_is_predicted_without_tensorflow_and_without_what_metrics_need(run: Path, model: str) -> None:
    printed, names = imported("predict", run / model, run / "photos" / "cat" / "0.png")
    assert len(printed.split()) == 7
    assert names & {"tensorflow", "keras", "matplotlib", "sklearn", "scipy", "onnx"} == set()


@pytest.mark.parametrize("model", ["model.onnx", "model.tflite"])
@pytest.mark.parametrize(
    "arguments",
    [
        ("predict", "MODEL", "FOLDER/photos/list.csv"),
        ("predict", "MODEL", "FOLDER/data.npz"),
        ("show", "MODEL"),
        ("evaluate", "MODEL", "--json"),
        ("evaluate", "MODEL", "--json", "--data", "FOLDER/photos"),
        ("evaluate", "MODEL", "--json", "--data", "FOLDER/photos/list.csv"),
        ("evaluate", "MODEL", "--json", "--data", "FOLDER/data.npz"),
        ("compare", "MODEL", "MODEL", "--json"),
        ("probe", "MODEL", "--only", "contrast", "--json"),
    ],
    ids=lambda arguments: " ".join(arguments).replace("FOLDER/", ""),
)
def test_no_command_imports_tensorflow(run: Path, model: str, arguments: tuple[str, ...]) -> None:
    filled = [each.replace("MODEL", str(run / model)).replace("FOLDER", str(run)) for each in arguments]
    printed, names = imported(*filled)
    assert printed.strip()
    assert names & {"tensorflow", "keras"} == set()


def test_openvino_is_imported_without_its_telemetry() -> None:
    """It would report each use over the network."""
    code = """
import sys
from cnnkit.artifacts.formats import OPENVINO
from cnnkit.artifacts.runtimes import import_runtime
import_runtime(OPENVINO)
assert "openvino" in sys.modules
assert sys.modules["openvino_telemetry"] is None
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_evaluate_through_onnx_measures_what_numpy_measures(run: Path) -> None:
    """Independent reference: the accuracy counted here."""
    from cnnkit.artifacts.opening import open_model

    with np.load(run / "data.npz") as data:
        outputs = open_model(run / "model.onnx").run(data["x"].astype(np.float32))
        expected = float((np.array(CLASSES)[outputs.argmax(axis=1)] == data["y"]).mean())
    printed, _ = imported("evaluate", run / "model.onnx", "--json", "--data", run / "data.npz")
    assert json.loads(printed)["accuracy"] == pytest.approx(expected)


def test_a_foreign_classifier_is_measured_on_data_by_the_names_of_the_data(run: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "cnnkit", "evaluate", write_onnx(tmp_path / "found.onnx"), "--json", "--data", run / "data.npz"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    measured = json.loads(done.stdout)
    (notice,) = measured["notices"]
    assert notice == (
        "found.onnx has no metadata of cnnkit: names, preprocessing and training data are not known. Its 3 outputs are taken for the "
        "probabilities of classes; pictures are given as RGB pixels of 0 to 255."
    )
    assert sorted(each["name"] for each in measured["classes"]) == sorted(CLASSES)


def test_logits_are_not_taken_for_probabilities(run: Path, tmp_path: Path) -> None:
    from cnnkit.prediction.evaluate_run import evaluate_run

    path = write_onnx(tmp_path / "logits.onnx", last="Identity", weights=np.full((192, 3), 0.01, np.float32))
    with pytest.raises(CnnkitError, match="which are not probabilities\n    End the network with `activation: softmax`"):
        evaluate_run(path, None, (), run / "data.npz")


def test_predict_says_what_is_not_known_of_a_foreign_file(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", x=inputs_of("classes"))
    done = subprocess.run(
        [sys.executable, "-m", "cnnkit", "predict", write_onnx(tmp_path / "found.onnx"), tmp_path / "x.npz"],
        capture_output=True, text=True, check=True, env={"COLUMNS": "200", "PATH": "/bin"},
    )  # fmt: skip
    assert "Not known" in done.stderr
    assert "found.onnx has no metadata of cnnkit" in done.stderr
    assert len(done.stdout.splitlines()) == 5


def test_commands_that_need_layers_refuse_other_formats(run: Path) -> None:
    from cnnkit.interpret.explain import explain_run
    from cnnkit.runs.directory import find_run

    path = run / "model.onnx"
    with pytest.raises(CnnkitError) as refused:
        explain_run(path, None, 0)
    assert (
        str(refused.value)
        == f"{path}: an explanation needs the layers of a network, which ONNX files do not keep\n    Name the run or its .keras file."
    )
    with pytest.raises(CnnkitError) as refused:  # calibrate, report, summary, transfer
        find_run(path)
    assert str(refused.value) == (
        f"{path}: is neither a run nor a .keras file; files of other formats do not keep the layers of a network\n"
        "    Name the run that it was exported from, or its .keras file."
    )


def test_numbers_are_predicted_in_their_units(tmp_path: Path) -> None:
    path = write_onnx(tmp_path / "m.onnx", metadata("numbers").to_json(), outputs=2, last="Identity")
    np.savez(tmp_path / "x.npz", x=inputs_of("numbers", 1))
    printed, _ = imported("predict", path, tmp_path / "x.npz")
    assert printed.split("\t")[1::2] == ["age in years", "height in cm"]
