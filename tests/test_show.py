"""`cnnkit show`: everything that travels with a model file, and whether it still answers as it did."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnnkit import cli
from cnnkit.artifacts.formats import size_of
from cnnkit.errors import CnnkitError
from cnnkit.prediction.description import describe
from tests.artefacts import copy_model, export, inputs_of, metadata, model_metadata, network, task_of, write_onnx


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that no line is wrapped."""
    monkeypatch.setenv("COLUMNS", "300")


def show(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    """The exit status, and what is printed on both streams."""
    status = cli.app(["show", *arguments], prog_name="cnnkit", standalone_mode=False)
    printed = capsys.readouterr()
    return status or 0, printed.out + printed.err


def own_outputs(path: Path) -> Any:
    """What a file without metadata answers for the golden examples, found by its runtime alone."""
    import onnxruntime

    (outputs,) = onnxruntime.InferenceSession(str(path)).run(None, {"input": inputs_of("classes", 3)})
    return outputs


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    return write_onnx(tmp_path / "plain.onnx")


def described(path: Path, golden: Any, **changes: Any) -> Path:
    return write_onnx(path, metadata("classes", golden, **changes).to_json())


def test_a_file_that_answers_as_stored_passes(plain: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = described(plain.with_name("m.onnx"), own_outputs(plain))
    status, text = show(capsys, str(path))
    assert status == 0
    assert "answers as when exported: 3 stored examples, outputs differ by up to 0 (0.0001 allowed)" in text


def test_a_file_that_answers_otherwise_fails(plain: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = described(plain.with_name("m.onnx"), own_outputs(plain) + np.float32([[0, 0, 2e-4]]))
    status, text = show(capsys, str(path))
    assert status == 1
    assert "does NOT answer as when exported: 3 stored examples, outputs differ by up to 0.0002 (0.0001 allowed)" in text
    assert "Error: the file does not answer as it did when it was exported." in text
    status, text = show(capsys, str(path), "--json")
    assert (status, json.loads(text)["golden"]["passed"]) == (1, False)


@pytest.mark.parametrize(("largest", "passed"), [(3e-4, True), (1e-4, False), (None, False)])
def test_an_int8_file_may_differ_as_it_did_at_its_export(plain: Path, largest: float | None, passed: bool) -> None:
    parity = {"largest_difference": largest, "scale": 1.0}
    golden = own_outputs(plain) + np.float32([[0, 0, 2e-4]])
    assert describe(described(plain.with_name("a.onnx"), golden, parity=parity, quantization="int8")).golden.passed == passed  # type: ignore[union-attr]
    assert not describe(described(plain.with_name("b.onnx"), golden, parity=parity)).golden.passed  # type: ignore[union-attr]


def test_numbers_may_differ_by_rounding_in_their_unit(plain: Path) -> None:
    parity = {"scale": 50.0}
    golden = own_outputs(plain) + np.float32([[0, 0, 2e-3]])
    check = describe(described(plain.with_name("m.onnx"), golden, parity=parity)).golden
    assert check is not None
    assert (check.passed, check.allowed) == (True, pytest.approx(5e-3))


@pytest.mark.parametrize("golden", [np.zeros((3, 2), np.float32), np.zeros((2, 3), np.float32)])
def test_stored_outputs_of_another_number_do_not_pass(tmp_path: Path, golden: Any) -> None:
    path = write_onnx(tmp_path / "m.onnx", metadata("classes", golden, golden_inputs=inputs_of("classes", 3)).to_json())
    check = describe(path).golden
    assert check is not None
    assert (check.passed, check.largest_difference) == (False, float("inf"))


def test_json_has_all_that_travels(plain: Path, capsys: pytest.CaptureFixture[str]) -> None:
    calibration = {"examples": 512, "split": "train", "seed": 0, "of": 45000}
    path = described(
        plain.with_name("m.onnx"),
        own_outputs(plain),
        model=model_metadata("classes", stand_in_for="cifar10", notices=("Beware.",)),
        temperature=1.25,
        quantization="int8",
        calibration=calibration,
    )
    stored = json.loads(show(capsys, str(path), "--json")[1])
    assert stored.pop("runtime").startswith("ONNX Runtime 1.")
    assert stored.pop("bytes") == path.stat().st_size
    assert stored == {
        "path": str(path),
        "format": "onnx",
        "data": "animals",
        "stand_in_for": "cifar10",
        "notices": ["Beware."],
        "task": "classification",
        "names": ["cat", "dog", "horse"],
        "input": {"shape": [8, 8, 3], "size": [8, 8], "resize": "stretch", "color_order": "rgb", "value_range": [0.0, 255.0]},
        "temperature": 1.25,
        "quantization": "int8",
        "calibration": calibration,
        "parity": {"examples": 200, "split": "test", "largest_difference": 2e-7, "scale": 1.0, "agreement": 1.0, "passed": True},
        "golden": {"examples": 3, "largest_difference": 0.0, "allowed": 1e-4, "passed": True},
        "source_sha256": "ab" * 32,
        "cnnkit": "1.0",
        "unknown": None,
    }


def test_a_foreign_file_says_what_is_not_known(plain: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, text = show(capsys, str(plain))
    assert status == 0
    assert "plain.onnx has no metadata of cnnkit" in text
    assert "check now" not in text
    stored = json.loads(show(capsys, str(plain), "--json")[1])
    assert (stored["data"], stored["golden"], stored["unknown"][:37]) == (None, None, "plain.onnx has no metadata of cnnkit:")


def test_a_keras_file_is_shown_with_its_temperature(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import keras

    from cnnkit.model.temperature import logits_model, with_temperature

    path = export(tmp_path, "classes", [])["keras"]
    model = network("classes")
    functional = keras.Model(model.inputs[0], model.outputs[0])
    with_temperature(logits_model(functional, "softmax"), 1.6, "softmax").save(path)
    stored = json.loads(show(capsys, str(path), "--json")[1])
    assert (stored["format"], stored["names"], stored["data"]) == ("keras", ["cat", "dog", "horse"], "animals")
    assert stored["temperature"] == pytest.approx(1.6)
    (tmp_path / "model.json").unlink()
    stored = json.loads(show(capsys, str(path), "--json")[1])
    assert stored["unknown"] == "model.keras has no model.json beside it: names and training data are not known."


@pytest.mark.parametrize("target", ["litert", "openvino", pytest.param("saved_model", marks=pytest.mark.slow)])
def test_every_format_passes_on_its_own_examples_and_its_size_counts_all_files(tmp_path: Path, target: str) -> None:
    path = export(tmp_path / "run", "classes", [target])[target]
    description = describe(path)
    assert description.golden is not None
    assert description.golden.passed
    alone = copy_model(path, tmp_path / "alone")
    files = [each for each in alone.parent.rglob("*") if each.is_file()]
    assert description.size == size_of(path) == sum(each.stat().st_size for each in files)


def test_hostile_texts_reach_the_terminal_as_escapes(plain: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from cnnkit.config.task import Task

    task = Task("classification", ("\x1b[31mred", "[bold]x[/]", "a\nb\u202e"))
    model = model_metadata("classes", task=task, data="\x1b]0;title\x07", notices=("\x1b[2J",))
    path = described(
        plain.with_name("m.onnx"), own_outputs(plain), model=model, parity={"examples": "\x1b[31m", "metric": "\x07"}, cnnkit="\x1b[5m"
    )
    text = show(capsys, str(path))[1] + show(capsys, str(path), "--json")[1]
    assert not any(character in text for character in "\x1b\x07\u202e")
    assert "\\x1b[31mred, [bold]x[/], a\\nb\\u202e" in text


def test_of_a_thousand_classes_the_first_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from cnnkit.config.task import Task

    names = tuple(f"class {i}" for i in range(1000))
    path = write_onnx(
        tmp_path / "m.onnx",
        metadata("classes", model=model_metadata("classes", task=Task("classification", names))).to_json(),
        outputs=1000,
    )
    assert "class 10, class 11 and 988 more (all with --json)" in show(capsys, str(path))[1]
    assert json.loads(show(capsys, str(path), "--json")[1])["names"] == list(names)


def test_a_file_that_is_missing_is_told() -> None:
    with pytest.raises(CnnkitError, match=r"^missing\.onnx: no such model$"):
        describe(Path("missing.onnx"))


def test_the_task_of_a_file_is_that_of_its_metadata(tmp_path: Path) -> None:
    path = write_onnx(tmp_path / "m.onnx", metadata("numbers").to_json(), outputs=2, last="Identity")
    assert describe(path).opened.metadata.task == task_of("numbers")
