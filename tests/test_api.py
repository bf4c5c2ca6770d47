"""The Python interface is the twin of the commands: the same runs and figures, as values, silent, and it leaves the process as it was.

Over 300 lines: each function of the interface is held against its command, or against plain Keras.
"""

import asyncio
import json
import logging
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from PIL import Image

import cnnkit
from cnnkit import cli
from cnnkit.api.display import StandInWarning
from cnnkit.errors import CnnkitError, ConfigError

ROOT = Path(__file__).parent.parent

TINY: dict[str, Any] = {
    "name": "tiny",
    "seed": 3,
    "data": {"dataset": "digits", "limit": 200, "validation": 0.2},
    "model": {
        "preprocess": [{"Rescaling": {"scale": "1/255"}}],
        "layers": [{"Conv2D": {"filters": 4, "kernel_size": 3}}, "Flatten", {"Dense": {"units": 10, "activation": "softmax"}}],
    },
    "train": {"epochs": 2, "metrics": ["accuracy"]},
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> cnnkit.Run:
    return cnnkit.train(TINY, run_dir=tmp_path_factory.mktemp("api") / "tiny")


def holding_itself() -> dict[str, Any]:
    layer: dict[str, Any] = {}
    layer["Conv2D"] = layer
    return {**TINY, "model": {"layers": [layer]}}


def digits(count: int) -> Any:
    return np.random.default_rng(0).integers(0, 256, (count, 8, 8, 1), np.uint8)


def command(*arguments: object, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr("sys.argv", ["cnnkit", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return int(ended.value.code or 0)


def weights_of(run: cnnkit.Run) -> list[Any]:
    return [np.asarray(each) for each in run.keras_model.get_weights()]


def test_importing_cnnkit_imports_nothing_else() -> None:
    """In a process of its own: neither TensorFlow nor Keras, nor even NumPy and pydantic."""
    code = (
        "import sys, cnnkit; print([name for name in ('tensorflow', 'keras', 'numpy', 'pydantic', 'rich', 'typer') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    assert done.stdout == "[]\n"


def test_a_wrong_config_is_refused_without_tensorflow() -> None:
    code = """
import sys, cnnkit
try:
    cnnkit.train("digits", set={"train.epoch": 2})
except cnnkit.errors.ConfigError as error:
    print(error.problems[0].path, "tensorflow" in sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    assert done.stdout == "train.epoch False\n"


def test_all_names_are_there_and_an_unknown_one_is_an_attribute_error() -> None:
    assert all(getattr(cnnkit, name) is not None for name in cnnkit.__all__)
    assert set(cnnkit.__all__) <= set(dir(cnnkit))
    with pytest.raises(AttributeError, match=r"^module 'cnnkit' has no attribute 'trian' Did you mean 'train'\?$|Did you mean 'train'"):
        cnnkit.trian  # type: ignore[attr-defined]  # noqa: B018


def test_train_gives_the_weights_of_the_command(run: cnnkit.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("tiny.yaml").write_text(json.dumps(TINY))
    assert command("train", "tiny.yaml", monkeypatch=monkeypatch) == 0
    by_command = cnnkit.load("runs/tiny")
    assert all((ours == theirs).all() for ours, theirs in zip(weights_of(run), weights_of(by_command), strict=True))
    assert run.metrics == by_command.metrics
    assert run.config == by_command.config
    without_times = [{key: row[key] for key in row if key not in ("seconds", "images_per_second")} for row in run.history]
    assert without_times == [{key: row[key] for key in row if key not in ("seconds", "images_per_second")} for row in by_command.history]


def test_overrides_change_what_is_trained(tmp_path: Path, run: cnnkit.Run) -> None:
    changed = cnnkit.train(
        [TINY, {"train": {"epochs": 1}}], set={"model.layers[0].Conv2D.filters": np.int64(6)}, run_dir=tmp_path / "changed"
    )
    assert [row["epoch"] for row in changed.history] == [1]
    assert changed.keras_model.layers[-3].filters == 6
    assert cnnkit.train(TINY, epochs=1, run_dir=tmp_path / "short").history[0]["loss"] == run.history[0]["loss"]


def test_a_config_as_a_mapping_takes_what_python_has(tmp_path: Path) -> None:
    """Tuples, paths and NumPy's values become what YAML would hold."""
    np.savez(tmp_path / "data.npz", x=digits(40), y=np.arange(40) % 4)
    config = {
        "data": {"npz": tmp_path / "data.npz", "validation": np.float32(0.25)},
        "model": {"input_shape": (8, 8, 1), "layers": ("Flatten", {"Dense": {"units": np.int32(4), "activation": "softmax"}})},
        "train": {"epochs": 1},
    }
    trained = cnnkit.train(config, run_dir=tmp_path / "run")
    assert trained.config["data"]["npz"] == str(tmp_path / "data.npz")
    assert trained.config["model"]["input_shape"] == [8, 8, 1]
    assert trained.config["name"] == "run"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: cnnkit.train(3), "3 is not a config\n    Name a YAML file, a packaged config, or give a mapping."),
        (lambda: cnnkit.train([]), "[] is not a config\n    Name a YAML file, a packaged config, or give a mapping."),
        (lambda: cnnkit.train("digts"), "digts: there is no such file. Did you mean 'digits'?\n    Name a YAML file; `cnnkit configs` lists those that come with cnnkit."),
        (lambda: cnnkit.train({**TINY, "train": {"epochs": True}}), "config: train.epochs: wants an integer, got true"),
        (lambda: cnnkit.train({**TINY, "model": {"layers": [{1: 2}]}}), "config: model.layers[0]: the key 1 is an int, not a text\n    Put quotes around it."),
        (
            lambda: cnnkit.train({**TINY, "train": {"optimizer": keras.optimizers.Adam}}),
            "config: train.optimizer: is a type, which a config cannot hold\n    Write Keras's objects as in a YAML file: `{'Adam': {'learning_rate': 0.001}}`.",
        ),
        (lambda: cnnkit.train(TINY, set={"train.epochs=1": 2}), "set: 'train.epochs=1' is not a path to an entry\n    Write it as in `set={\"train.epochs\": 3}`."),
        (lambda: cnnkit.train(TINY, set="train.epochs=1"), "set: 'train.epochs=1' is not a mapping\n    Write it as in `set={\"train.epochs\": 3}`."),
        (lambda: cnnkit.train(TINY, epochs=0), "epochs: 0 is not a whole number of 1 or more"),
        (lambda: cnnkit.transfer(epochs=0), "epochs: 0 is not a whole number of 1 or more"),
        (lambda: cnnkit.transfer(fine_tune=1.5), "fine_tune: 1.5 is not a whole number of 1 or more"),
        (lambda: cnnkit.transfer(fine_tune=2, fine_tune_epochs=0), "fine_tune_epochs: 0 is not a whole number of 1 or more"),
        (lambda: cnnkit.train(b"digits"), "b'digits' is not a config\n    Name a YAML file, a packaged config, or give a mapping."),
        (lambda: cnnkit.train(TINY, run_dir=3), "3 is not a path\n    Give it as a text or a `pathlib.Path`."),
        (lambda: cnnkit.train(TINY, run_dir=""), "'' is not a path\n    Give it as a text or a `pathlib.Path`."),
        (lambda: cnnkit.load(3), "3 is not a path\n    Give it as a text or a `pathlib.Path`."),
        (lambda: cnnkit.check(holding_itself()), "config: model.layers[0]: lists and mappings are nested more than 32 deep\n    Nest them less."),
        (lambda: cnnkit.repeat(TINY, folds=1), "folds: 1 is not a whole number of 2 or more"),
        (lambda: cnnkit.repeat(TINY, seeds=2.5), "seeds: 2.5 is not a whole number of 1 or more"),
        (lambda: cnnkit.repeat(TINY, seeds=[1, "2"]), "seeds: '2' is not a whole number of 0 or more"),
        (lambda: cnnkit.repeat(TINY, seeds=2, workers=0), "workers: 0 is not a whole number of 1 or more"),
        (lambda: cnnkit.load("nowhere"), "nowhere: no such run\n    See which there are: `cnnkit runs`."),
        (lambda: cnnkit.load("nowhere.onnx"), "nowhere.onnx: no such model"),
        (lambda: cnnkit.init(None), "null is not a path\n    Give it as a text or a `pathlib.Path`."),
        (lambda: cnnkit.init(".", time=10), "--time: wants a time, got '10'\n    Write it as in `--time 10m`, `90s` or `1h30m`."),
        (lambda: cnnkit.init(".", time="1m", measure=False), "measure: False does not go with `time`, which is a matter of measuring\n    Leave one of them out."),
        (lambda: cnnkit.init(".", download=True), "download: goes with `transfer=True`\n    Leave it out."),
        (lambda: cnnkit.list_runs(3), "3 is not a path\n    Give it as a text or a `pathlib.Path`."),
        (lambda: cnnkit.repeat(TINY), "give either seeds or folds\n    `seeds=5` trains with five seeds, `folds=5` cross-validates."),
        (lambda: cnnkit.repeat(TINY, seeds=[5]), "seeds: [5]: fewer than two runs have no spread\n    Give a number of seeds, or two or more of them."),
    ],
)  # fmt: skip
def test_errors_are_those_of_the_commands(call: Any, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CnnkitError) as refused:
        call()
    assert str(refused.value) == message
    assert not Path("runs").exists()


def test_nothing_is_printed_unless_asked(tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    quiet = cnnkit.train(TINY)
    quiet.predict(digits(3))
    quiet.evaluate()
    assert capfd.readouterr() == ("", "")
    cnnkit.train(TINY, verbose=True)
    printed = capfd.readouterr().out
    assert "epoch 2/2" in printed
    assert printed.endswith("Run: runs/tiny-2\n")


def test_several_trainings_in_one_process_do_not_touch_each_other(
    run: cnnkit.Run, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither another precision nor other seeds in between change a weight; the user's own state is as it was."""
    random.seed(1)
    np.random.seed(2)
    before = random.getstate(), np.random.get_state()[1].tolist()  # type: ignore[index]
    keras.config.set_dtype_policy("mixed_bfloat16")
    logging.getLogger("tensorflow").propagate = True
    try:
        cnnkit.train(TINY, set={"train.precision": "mixed_float16", "seed": 9}, run_dir=tmp_path / "other")
        again = cnnkit.train(TINY, run_dir=tmp_path / "again")
        again.predict(digits(2))
        assert keras.config.dtype_policy().name == "mixed_bfloat16"
    finally:
        keras.config.set_dtype_policy("float32")
    assert (random.getstate(), np.random.get_state()[1].tolist()) == before  # type: ignore[index]
    assert all((ours == theirs).all() for ours, theirs in zip(weights_of(run), weights_of(again), strict=True))
    assert "retracing" not in caplog.text


@pytest.mark.parametrize("where", ["a thread", "an event loop"])
def test_training_works_off_the_main_thread_and_in_a_running_loop(run: cnnkit.Run, where: str, tmp_path: Path) -> None:
    """As in a notebook, whose kernel runs an event loop; a thread may set no signal handlers."""
    found: list[cnnkit.Run] = []
    handler = signal.getsignal(signal.SIGINT)

    def train() -> None:
        found.append(cnnkit.train(TINY, run_dir=tmp_path / "run"))

    async def in_loop() -> None:
        train()

    if where == "a thread":
        thread = threading.Thread(target=train)
        thread.start()
        thread.join()
    else:
        asyncio.run(in_loop())
    assert found[0].metrics == run.metrics
    assert signal.getsignal(signal.SIGINT) is handler


def test_an_interruption_is_raised_and_what_was_trained_is_resumed_exactly(run: cnnkit.Run, tmp_path: Path) -> None:
    """SIGINT as a notebook's stop button sends it: KeyboardInterrupt, and the resumed run ends with the uninterrupted weights."""
    folder = tmp_path / "stopped"

    def interrupt() -> None:
        while not (folder / "history.csv").exists():
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    sender = threading.Thread(target=interrupt, daemon=True)
    sender.start()
    with pytest.raises(KeyboardInterrupt, match=r"everything is saved; continue with cnnkit\.resume"):
        cnnkit.train(TINY, epochs=200, run_dir=folder)
    sender.join()
    stopped = cnnkit.load(folder)
    assert stopped.state == "interrupted"
    assert stopped.metrics == {}
    done = len(stopped.history)
    assert 1 <= done < 200
    resumed = cnnkit.resume(folder, epochs=done + 2)
    assert resumed.state == "finished"
    twin = cnnkit.train(TINY, epochs=done + 2, run_dir=tmp_path / "twin")
    assert all((ours == theirs).all() for ours, theirs in zip(weights_of(resumed), weights_of(twin), strict=True))


def test_a_run_that_is_resumed_predicts_with_its_new_weights(tmp_path: Path) -> None:
    trained = cnnkit.train(TINY, epochs=1, run_dir=tmp_path / "run")
    before = trained.predict(digits(4)).outputs
    after = trained.resume(epochs=2).predict(digits(4)).outputs
    assert np.abs(before - after).max() > 1e-4
    assert np.allclose(after, keras.models.load_model(tmp_path / "run" / "model.keras").predict(digits(4), verbose=0), atol=1e-6)


def test_a_resume_that_is_interrupted_has_new_weights_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained = cnnkit.train(TINY, epochs=1, run_dir=tmp_path / "run")
    trained.predict(digits(4))
    weights = [np.zeros_like(each) for each in weights_of(trained)]

    def interrupted(*_: object) -> None:
        model = keras.models.load_model(tmp_path / "run" / "model.keras")
        model.set_weights(weights)
        model.save(tmp_path / "run" / "model.keras")
        raise KeyboardInterrupt

    monkeypatch.setattr("cnnkit.api.run.run_session", interrupted)
    with pytest.raises(KeyboardInterrupt):
        trained.resume(epochs=2)
    assert np.allclose(trained.predict(digits(4)).outputs, 0.1)


def test_resume_or_start_leaves_a_finished_run_alone_and_unlocked(tmp_path: Path) -> None:
    first = cnnkit.train(TINY, run_dir=tmp_path / "run", resume_or_start=True)
    modified = first.model_file.stat().st_mtime_ns
    again = cnnkit.train(TINY, run_dir=tmp_path / "run", resume_or_start=True)
    assert again.model_file.stat().st_mtime_ns == modified
    assert len(again.resume(epochs=3).history) == 3


def test_devices_that_tensorflow_takes_no_more_are_an_error_and_leave_no_lock(run: cnnkit.Run) -> None:
    with pytest.raises(ConfigError) as refused:
        run.resume(epochs=3, set={"train.devices": 2})
    assert str(refused.value) == (
        "--set train.devices=2: train.devices: TensorFlow has begun to run in this process, and takes no other devices any more "
        "(Virtual devices cannot be modified after being initialized)\n    Train it in a new process, or restart the notebook's kernel."
    )
    assert run.state == "finished"
    from cnnkit.runs.lock import is_locked

    assert not is_locked(run.path)


def test_predictions_of_arrays_are_those_of_plain_keras(run: cnnkit.Run) -> None:
    inputs = digits(7)
    expected = keras.models.load_model(run.path / "model.keras").predict(inputs, verbose=0)
    answers = run.predict(inputs, top=2)
    assert np.allclose(answers.probabilities, expected, atol=1e-6)
    assert answers.probabilities.dtype == np.float32
    assert answers.labels == [run.names[i] for i in expected.argmax(axis=1)]
    assert [row["input"] for row in answers] == [f"inputs[{i}]" for i in range(7)]
    first = np.argsort(-expected[0])[:2]
    assert [each["name"] for each in answers[0]["classes"]] == [run.names[i] for i in first]
    assert [each["probability"] for each in answers[0]["classes"]] == pytest.approx(expected[0][first].tolist(), abs=1e-6)
    assert repr(answers) == "<Predictions: 7 inputs, 10 classes>"
    with pytest.raises(AttributeError, match=r"^this model predicts probabilities, not numbers: see `\.probabilities`$"):
        _ = answers.numbers


@pytest.mark.parametrize("form", ["one example", "without channels", "float", "list", "tensor"])
def test_arrays_may_come_in_several_forms(run: cnnkit.Run, form: str) -> None:
    inputs = digits(3)
    expected = run.predict(inputs).outputs
    given: Any = {
        "one example": inputs[0],
        "without channels": inputs[..., 0],
        "float": inputs.astype(np.float64),
        "list": [inputs[0], inputs[1, ..., 0], inputs[2]],
        "tensor": keras.ops.convert_to_tensor(inputs),
    }[form]
    outputs = run.predict(given).outputs
    assert np.allclose(outputs, expected[: len(outputs)], atol=1e-6)
    assert len(outputs) == (1 if form == "one example" else 3)


def test_pil_images_files_and_folders_give_the_same_answers(run: cnnkit.Run, tmp_path: Path) -> None:
    """Larger than the input, so that they are resized; as PNG, so that no pixel is lost."""
    pictures = [Image.fromarray(each) for each in np.random.default_rng(1).integers(0, 256, (3, 20, 30, 3), np.uint8)]
    for number, picture in enumerate(pictures):
        picture.save(tmp_path / f"{number}.png")
    expected = run.predict(tmp_path).outputs
    assert np.array_equal(run.predict(pictures).outputs, expected)
    assert np.allclose(run.predict(pictures[0]).outputs, expected[:1], atol=1e-6)
    assert np.array_equal(run.predict([tmp_path / "0.png", pictures[1], str(tmp_path / "2.png")]).outputs, expected)
    assert run.predict(str(tmp_path / "*.png")).inputs == tuple(str(tmp_path / f"{number}.png") for number in range(3))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK"])
def test_a_pil_image_is_read_as_its_file_and_not_changed(run: cnnkit.Run, mode: str, tmp_path: Path) -> None:
    """With its EXIF orientation."""
    picture = Image.fromarray(np.random.default_rng(2).integers(0, 256, (20, 30, 4), np.uint8), "RGBA")
    picture = picture.convert("RGB" if mode == "CMYK" else mode).convert(mode)
    exif = Image.Exif()
    exif[0x0112] = 6
    path = tmp_path / ("picture.tiff" if mode == "CMYK" else "picture.png")
    picture.save(path, exif=exif)
    with Image.open(path) as opened:
        before = (opened.size, opened.mode)
        answer = run.predict(opened)
        assert (opened.size, opened.mode) == before
    assert np.array_equal(answer.outputs, run.predict(path).outputs)


def test_what_cannot_be_predicted_is_an_error_or_a_row(run: cnnkit.Run, tmp_path: Path) -> None:
    Image.new("L", (8, 8)).save(tmp_path / "good.png")
    (tmp_path / "bad.png").write_bytes(b"no picture")
    with pytest.raises(CnnkitError) as refused:
        run.predict(tmp_path)
    assert refused.value.location == str(tmp_path / "bad.png")
    assert refused.value.remedy == 'To predict the others: `on_error="keep"`.'
    answers = run.predict(tmp_path, on_error="keep")
    assert answers.labels[0] is None
    assert answers.labels[1] in run.names
    assert answers[0] == {"input": str(tmp_path / "bad.png"), "error": refused.value.message}
    assert np.isnan(answers.outputs[0]).all()
    assert run.predict([]).outputs.shape == (0, 10)
    for given, message in (
        (digits(2)[:, :4], "inputs: is (2, 4, 8, 1) uint8, but the model takes (8, 8, 1)"),
        (digits(2).astype(str), "inputs: is (2, 8, 8, 1) <U3, but the model takes (8, 8, 1)"),
        (3, "3 cannot be predicted"),
        ([digits(1)[0], None], "null cannot be predicted"),
        (np.full((1, 8, 8, 1), np.nan), "has NaN or infinite values"),
    ):
        with pytest.raises(CnnkitError) as refused:
            run.predict(given)
        assert refused.value.message == message


def test_regressions_and_labels_have_their_own_answers(tmp_path: Path) -> None:
    """In the user's units, and as lists of labels; the reference is the Keras model."""
    x = np.random.default_rng(0).normal(size=(60, 6, 2)).astype(np.float32)
    np.savez(tmp_path / "numbers.npz", x=x, y=(1000 + 50 * x.mean(axis=(1, 2))).astype(np.float32))
    np.savez(tmp_path / "labels.npz", x=x, y=(x.mean(axis=1) > 0).astype(np.int32))
    model = {"layers": ["Flatten", {"Dense": {"units": "outputs"}}]}
    numbers = cnnkit.train({"data": {"npz": tmp_path / "numbers.npz"}, "model": model, "train": {"epochs": 1}}, run_dir=tmp_path / "n")
    answers = numbers.predict(x[:5])
    assert np.allclose(answers.numbers, keras.models.load_model(numbers.model_file).predict(x[:5], verbose=0), rtol=1e-5)
    assert 500 < answers.numbers.mean() < 1500
    assert list(answers[0]) == ["input", "numbers"]
    with pytest.raises(AttributeError, match=r"^this model predicts numbers, not probabilities: see `\.numbers`$"):
        _ = answers.labels
    model = {"layers": ["Flatten", {"Dense": {"units": "outputs", "activation": "sigmoid"}}]}
    labels = cnnkit.train({"data": {"npz": tmp_path / "labels.npz"}, "model": model, "train": {"epochs": 1}}, run_dir=tmp_path / "l")
    found = labels.predict(x[:9])
    assert found.labels == [[labels.names[i] for i in np.flatnonzero(row >= 0.5)] for row in found.probabilities]


def test_evaluate_is_the_stored_evaluation_and_counts_right_on_arrays(run: cnnkit.Run) -> None:
    assert run.evaluate() == run.metrics
    inputs = digits(50)
    predicted = run.predict(inputs).probabilities.argmax(axis=1)
    targets = predicted.copy()
    targets[:20] = (targets[:20] + 1) % 10
    assert run.evaluate((inputs, targets))["accuracy"] == pytest.approx(0.6)
    assert run.evaluate((inputs, [run.names[i] for i in targets]))["accuracy"] == pytest.approx(0.6)
    with pytest.raises(
        CnnkitError, match=r"^evaluate: a target is the class index 10, but the model has 10 classes\n    Count them from 0\.$"
    ):
        run.evaluate((inputs[:2], [0, 10]))
    assert run.evaluate([inputs, targets.astype(np.float32)])["accuracy"] == pytest.approx(0.6)  # a list of both, floats of whole numbers
    with pytest.raises(CnnkitError, match=r"^evaluate: has 50 inputs, but 2 targets\n"):
        run.evaluate((inputs, [0, 1]))


def test_arrays_are_evaluated_as_a_file_of_them_would_be(tmp_path: Path) -> None:
    """Codes that are the names of the classes, arrays column by column, and a training file whose arrays have names of their own."""
    x = np.random.default_rng(0).normal(size=(60, 6, 2)).astype(np.float32)
    codes = 1 + np.arange(60) % 3
    np.savez(tmp_path / "a.npz", signals=x, activity=codes)
    data = {"npz": tmp_path / "a.npz", "input": "signals", "target": "activity"}
    model = {"layers": ["Flatten", {"Dense": {"units": "outputs", "activation": "softmax"}}]}
    trained = cnnkit.train({"data": data, "model": model, "train": {"epochs": 1}}, run_dir=tmp_path / "run")
    assert list(trained.names) == ["1", "2", "3"]
    answers = trained.predict(x).probabilities.argmax(axis=1)
    some = codes < 3  # without the last, the codes could be indices as well
    expected = pytest.approx((answers[some] + 1 == codes[some]).mean())
    assert trained.evaluate((np.asfortranarray(x[some]), codes[some]))["accuracy"] == expected
    assert trained.evaluate((x[some], codes[some] - 1))["accuracy"] == expected  # 0 is no name, so these are indices


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        (None, "evaluate: inputs are (2, 8, 8, 1), targets ()\n    Give an array of each, of one example or more."),
        (
            np.eye(10)[:2],
            (
                "evaluate: the model predicts classes, but targets are (2, 10)\n"
                "    Give a name or an index for each input: of one-hot targets `y.argmax(axis=1)`."
            ),
        ),
        ([0.5, 1], "evaluate: the model predicts classes, but targets are neither names nor whole numbers"),
        ([0, -1], "evaluate: a target is the class index -1, but the model has 10 classes\n    Count them from 0."),
    ],
    ids=["none", "one-hot", "fractions", "negative"],
)
def test_arrays_of_targets_that_do_not_fit_are_told(run: cnnkit.Run, targets: Any, message: str) -> None:
    with pytest.raises(CnnkitError) as refused:
        run.evaluate((digits(2), targets))
    assert str(refused.value) == message


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda run: run.explain(name=5), "name: 5 is not a text\n    Put quotes around it: `name='5'`."),
        (lambda run: run.explain(layer=2), "layer: 2 is not a text\n    Put quotes around it: `layer='2'`."),
        (lambda run: run.benchmark(rounds=0), "rounds: 0 is not a whole number of 1 or more"),
        (lambda run: run.benchmark(batch=1.5), "batch: 1.5 is not a whole number of 1 or more"),
        (lambda run: run.benchmark(threads=-1), "threads: -1 is not a whole number of 0 or more"),
        (lambda run: run.benchmark(seconds=float("nan")), "seconds: nan is not a number of 0 or more"),
        (
            lambda run: cnnkit.list_runs(run.path, sort="epoch"),
            "sort: 'epoch' is no order. Did you mean 'epochs'?\n    There are when, name, data, metric, epochs, time, state.",
        ),
        (lambda run: run.predict(digits(1), top=0), "top: 0 is not a whole number of 1 or more"),
        (lambda run: run.predict(digits(1), top=1.5), "top: 1.5 is not a whole number of 1 or more"),
        (lambda run: run.predict(digits(1), tta="flp"), "tta: 'flp' is unknown. Did you mean 'flip'?\n    There are flip and shift."),
        (lambda run: run.evaluate(tta=3), "tta: 3 is unknown.\n    There are flip and shift."),
        (lambda run: run.predict(digits(1), tta=["flip"]), "tta: ['flip'] is unknown.\n    There are flip and shift."),
        (lambda run: run.probe(only=3), "only: 3 is neither a text nor a list of texts"),
        (lambda run: run.benchmark(formats=[3]), "formats: [3] is neither a text nor a list of texts"),
        (lambda run: run.evaluate({"x": 1}), "{'x': 1} is not a path\n    Give it as a text or a `pathlib.Path`."),
        (lambda run: run.probe(limit=0), "limit: 0 is not a whole number of 1 or more"),
        (lambda run: run.explain(index=-1), "index: -1 is not a whole number of 0 or more"),
        (lambda run: run.resume(epochs="3"), "epochs: '3' is not a whole number of 1 or more"),
    ],
)  # fmt: skip
def test_wrong_arguments_of_methods_are_told(run: cnnkit.Run, call: Any, message: str) -> None:
    with pytest.raises(CnnkitError) as refused:
        call(run)
    assert str(refused.value) == message


def test_a_whole_number_of_numpy_counts_as_one(run: cnnkit.Run, tmp_path: Path) -> None:
    assert len(cnnkit.train(TINY, epochs=np.int64(1), run_dir=tmp_path / "run").history) == 1
    assert len(run.predict(digits(1), top=np.uint8(2))[0]["classes"]) == 2


@pytest.mark.parametrize("tta", ["flip", "shift"])
def test_test_time_augmentation_is_that_of_the_commands(
    run: cnnkit.Run, tta: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    np.savez(tmp_path / "x.npz", x=digits(9))
    assert command("predict", run.path, tmp_path / "x.npz", "--tta", tta, "-o", tmp_path / "x.jsonl", monkeypatch=monkeypatch) == 0
    rows = [json.loads(line) for line in (tmp_path / "x.jsonl").read_text().splitlines()]
    answers = run.predict(digits(9), tta=tta)
    assert [row["tta"] for row in answers] == [row["tta"] for row in rows] == [tta] * 9
    assert [row["classes"] for row in answers] == [row["classes"] for row in rows]
    assert not np.allclose(answers.probabilities, run.predict(digits(9)).probabilities, atol=1e-4)  # which averages nothing
    capsys.readouterr()
    assert command("evaluate", run.path, "--tta", tta, "--json", monkeypatch=monkeypatch) == 0
    assert json.loads(capsys.readouterr().out) == run.evaluate(tta=tta)


def test_other_methods_give_what_their_command_prints(
    run: cnnkit.Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def as_json(*arguments: object) -> Any:
        assert command(*arguments, "--json", monkeypatch=monkeypatch) == 0
        return json.loads(capsys.readouterr().out)

    assert run.summary() == as_json("summary", run.path)
    probe = run.probe(only=["contrast"], limit=20)
    assert probe == as_json("probe", run.path, "--only", "contrast", "--limit", "20")
    explained = run.explain(index=2)
    folder, plots = Path(explained.pop("folder")), explained.pop("plots")
    assert plots
    assert all((folder / name).is_file() for name in plots)
    assert explained == as_json("explain", run.path, "--index", "2")
    assert run.describe() == as_json("show", run.path)
    listed = cnnkit.list_runs(run.path.parent)
    assert listed == as_json("runs", run.path.parent)
    assert listed[0]["name"] == "tiny"
    assert cnnkit.check_data("digits") == as_json("data", "check", "digits")
    assert cnnkit.schema() == json.loads((ROOT / "configs" / "schema.json").read_text())


def test_an_exported_file_answers_as_its_run(run: cnnkit.Run) -> None:
    (exported,) = run.export("onnx")
    model = cnnkit.load(exported["path"])
    assert np.allclose(model.predict(digits(3)).outputs, run.predict(digits(3)).outputs, atol=1e-5)
    assert model.names == run.names
    with pytest.raises(CnnkitError, match="`keras_model` needs the layers of a network, which ONNX files do not keep"):
        _ = model.keras_model
    with pytest.raises(CnnkitError, match=r"^no such format|unknown format|onx"):
        run.export("onx")
    for wrong in (None, [], ["onnx", 3]):
        with pytest.raises(CnnkitError, match=r"format: .* is neither a text nor a list of texts"):
            run.export(wrong)  # type: ignore[arg-type]


def test_compare_and_report_and_check(run: cnnkit.Run, tmp_path: Path) -> None:
    other = cnnkit.train(TINY, set={"seed": 4, "data.seed": 3}, run_dir=tmp_path / "other")
    compared = cnnkit.compare(run, other.path, picture=tmp_path / "curves.png")
    assert [each["name"] for each in compared["runs"]] == ["tiny", "other"]
    assert compared["differences"]["seed"] == [3, 4]
    assert run.report(tmp_path / "page.html").read_text().startswith("<!DOCTYPE html>")
    assert cnnkit.check(TINY) == {"layers": 5, "parameters": 4 * 10 + (6 * 6 * 4 + 1) * 10, "notices": []}
    with pytest.raises(ConfigError) as refused:
        cnnkit.check(TINY, set={"train.optimizer": "adm", "train.epochs": -1})
    assert [each.path for each in refused.value.problems] == ["train.epochs", "train.optimizer"]


def test_init_writes_a_config_that_trains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    np.savez("shots.npz", x=digits(80), y=np.arange(80) % 4)
    written = cnnkit.init("shots.npz")
    assert written == Path("shots.yaml")
    assert cnnkit.train(written, epochs=1).names == ("0", "1", "2", "3")


def test_stand_in_data_is_a_warning(tmp_path: Path) -> None:
    config = {**TINY, "data": {"dataset": "cifar10", "fallback": "shapes", "limit": 100}}
    with pytest.warns(StandInWarning, match="cifar10 could be had neither from"):
        trained = cnnkit.train(config, epochs=1, run_dir=tmp_path / "run")
    assert trained.metadata.stand_in_for == "cifar10"


def test_a_warning_that_is_made_an_error_leaves_no_lock(tmp_path: Path) -> None:
    """pytest makes each warning an error here, as `python -W error` does."""
    from cnnkit.runs.lock import is_locked

    with pytest.raises(StandInWarning):
        cnnkit.train({**TINY, "data": {"dataset": "cifar10", "fallback": "shapes", "limit": 100}}, run_dir=tmp_path / "run")
    assert not is_locked(tmp_path / "run")


def test_a_damaged_file_is_an_error_and_a_missing_one_is_empty(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "config.yaml").write_text("name: x\n")
    broken = cnnkit.load(folder)
    assert (broken.metrics, broken.environment) == ({}, {})
    (folder / "metrics.json").write_text("[1]")
    with pytest.raises(CnnkitError, match=r"metrics\.json: is damaged"):
        _ = broken.metrics
    (tmp_path / "empty").mkdir()
    with pytest.raises(CnnkitError, match=r"empty: is neither a run nor a model\n    See which runs there are: `cnnkit.list_runs\(\)`\.$"):
        cnnkit.load(tmp_path / "empty")
