"""Predictions: those of plain Keras on pixels that Pillow gives, from whatever the user names, with a word for what is broken.

Over 300 lines: all that a user may name is predicted with the same few models.
"""

import csv
import io
import json
import os
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from cnnkit import cli
from cnnkit.config.task import Task
from cnnkit.console.predictions import Tally, print_tables
from cnnkit.data.images.reader import ImageReader
from cnnkit.errors import CnnkitError
from cnnkit.io.atomic import write_json
from cnnkit.prediction.files import write_predictions
from cnnkit.prediction.inputs import find_inputs
from cnnkit.prediction.predict import Prediction, Predictor, predict, split_arguments

NAMES = ("ant", "bee", "cat", "dog")
SIZE = 12


@pytest.fixture(scope="module")
def classifier() -> keras.Model:
    keras.utils.set_random_seed(3)
    layers = [keras.layers.Conv2D(3, 3, activation="relu"), keras.layers.Flatten(), keras.layers.Dense(4, "softmax")]
    return keras.Sequential([keras.Input((SIZE, SIZE, 3)), keras.layers.Rescaling(1 / 255), *layers])


@pytest.fixture
def run(tmp_path: Path, classifier: keras.Model, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run `runs/kinds` in the folder in which the test works; its data are gone."""
    monkeypatch.chdir(tmp_path)
    return make_run(Path("runs/kinds"), classifier, "classification", NAMES)


def make_run(folder: Path, model: keras.Model, kind: str, names: tuple[str, ...], stand_in_for: str = "", data: str = "") -> Path:
    folder.mkdir(parents=True)
    model.save(folder / "model.keras")
    metadata = {"data": "zoo", "stand_in_for": stand_in_for, "task": {"kind": kind, "names": names}, "notices": []}
    write_json(folder / "model.json", metadata)
    (folder / "config.yaml").write_text(f"data: {{folder: gone{data}}}\nmodel: {{layers: [Flatten]}}\n")
    return folder


def pictures(folder: Path, count: int = 5, size: tuple[int, int] = (SIZE, SIZE)) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(count)
    paths = [folder / f"{index}.png" for index in range(count)]
    for path in paths:
        Image.fromarray(random.integers(0, 256, (*size, 3), np.uint8)).save(path)
    return paths


def command(*arguments: str, monkeypatch: pytest.MonkeyPatch, status: int = 0) -> None:
    monkeypatch.setattr("sys.argv", ["cnnkit", "predict", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == status


def refusal(*arguments: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    command(*arguments, monkeypatch=monkeypatch, status=1)
    told = capsys.readouterr()
    assert told.out == ""
    return told.err.rstrip("\n")


def predicted(model: Path, *names: str, top: int = 4) -> dict[str, dict[str, float]]:
    answers = predict(Predictor(model, top), find_inputs(names, None, []))
    return {each.name: dict(zip(each.names, each.values, strict=True)) for each in answers}


def expected(model: keras.Model, pixels: Any, names: tuple[str, ...] = NAMES) -> list[dict[str, float]]:
    return [dict(zip(names, map(float, row), strict=True)) for row in model.predict(np.stack(pixels), verbose=0)]


def same(ours: dict[str, float], theirs: dict[str, float]) -> None:
    assert ours == pytest.approx(theirs, abs=1e-6)
    assert list(ours) == sorted(theirs, key=lambda name: -theirs[name])


@pytest.mark.parametrize("count", [1, 5, 600])
def test_pictures_are_answered_as_by_plain_keras(run: Path, classifier: keras.Model, count: int) -> None:
    paths = pictures(Path("photos"), count)
    answers = predicted(run / "model.keras", "photos")
    plain = expected(classifier, [np.asarray(Image.open(path)) for path in paths])
    assert list(answers) == [str(path) for path in paths]
    for ours, theirs in zip(answers.values(), plain, strict=True):
        same(ours, theirs)


def test_a_picture_of_another_size_and_mode_is_brought_to_the_model_as_in_training(run: Path, classifier: keras.Model) -> None:
    make_run(Path("cut"), classifier, "classification", NAMES, data=", resize: crop")
    (path,) = pictures(Path("photos"), 1, (30, 40))
    original = Image.open(path).convert("L")
    original.save("grey.png")
    stretched = original.resize((SIZE, SIZE), Image.Resampling.BILINEAR).convert("RGB")
    middle = original.resize((SIZE, SIZE), Image.Resampling.BILINEAR, (5, 0, 35, 30)).convert("RGB")
    same(predicted(run / "model.keras", "grey.png")["grey.png"], expected(classifier, [np.asarray(stretched)])[0])
    same(predicted(Path("cut/model.keras"), "grey.png")["grey.png"], expected(classifier, [np.asarray(middle)])[0])


def test_files_folders_patterns_tables_and_lists_are_one_stream(run: Path) -> None:
    pictures(Path("a/b"), 2)
    Path("list.csv").write_text("name;path\nx;a/b/1.png\ny;a/b/0.png\n")
    answers = [
        each.name
        for each in predict(
            Predictor(run / "model.keras"),
            find_inputs(["a/b/1.png", "a", "a/*/0*", "a/**/*.png", "list.csv", "-"], None, [b"a/b/0.png\n", b"\n"]),
        )
    ]
    first, second = "a/b/0.png", "a/b/1.png"
    assert answers == [second, first, second, first, first, second, second, first, first]


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed, lambda path, images: np.save(path.with_suffix(".npy"), images)])
def test_rows_of_arrays_are_answered_as_by_plain_keras(run: Path, classifier: keras.Model, save: Any) -> None:
    images = np.random.default_rng(1).integers(0, 256, (300, SIZE, SIZE, 3), np.uint8)
    save(Path("x.npz"), images=images)
    (path,) = Path().glob("x.np*")
    answers = predicted(run / "model.keras", str(path))
    assert list(answers)[::299] == [f"{path}[0]", f"{path}[299]"]
    for ours, theirs in zip(answers.values(), expected(classifier, images), strict=True):
        same(ours, theirs)


def test_signals_are_answered_and_a_row_with_nan_is_a_row_with_an_error(tmp_path: Path) -> None:
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [keras.Input((20, 2)), keras.layers.Conv1D(3, 3), keras.layers.GlobalAveragePooling1D(), keras.layers.Dense(2)]
    )
    folder = make_run(tmp_path / "run", model, "regression", ("speed [m/s]", "angle"))
    signals = np.random.default_rng(0).normal(size=(9, 20, 2))
    signals[4, 3, 1] = np.nan
    np.savez(tmp_path / "x.npz", x=signals)
    answers = list(predict(Predictor(folder / "model.keras"), find_inputs([str(tmp_path / "x.npz")], None, [])))
    assert [each.error for each in answers] == ["", "", "", "", "has NaN or infinite values", "", "", "", ""]
    (source,) = find_inputs([str(tmp_path / "x.npz")], None, [])
    with pytest.raises(CnnkitError) as caught:
        list(source.examples((20, 2), None))[4].read()
    assert str(caught.value) == f"{tmp_path}/x.npz[4]: has NaN or infinite values"
    plain = model.predict(signals.astype(np.float32), verbose=0)
    for index in (0, 3, 5, 8):
        assert answers[index].names == ("speed [m/s]", "angle")
        assert answers[index].values == pytest.approx(tuple(plain[index]), abs=1e-6)


def test_one_sigmoid_unit_tells_both_classes_and_several_the_labels_that_are_there(tmp_path: Path) -> None:
    keras.utils.set_random_seed(1)
    outputs = {
        units: keras.Sequential([keras.Input((4, 4, 3)), keras.layers.Flatten(), keras.layers.Dense(units, "sigmoid")]) for units in (1, 3)
    }
    images = np.random.default_rng(0).normal(size=(6, 4, 4, 3)).astype(np.float32)
    np.save(tmp_path / "x.npy", images)
    binary = make_run(tmp_path / "binary", outputs[1], "classification", ("no", "yes"))
    for ours, (yes,) in zip(
        predicted(binary / "model.keras", str(tmp_path / "x.npy")).values(), outputs[1].predict(images, verbose=0), strict=True
    ):
        same(ours, {"no": 1 - float(yes), "yes": float(yes)})
    several = make_run(tmp_path / "several", outputs[3], "multilabel", ("a", "b", "c"))
    for ours, row in zip(
        predicted(several / "model.keras", str(tmp_path / "x.npy")).values(), outputs[3].predict(images, verbose=0), strict=True
    ):
        same(ours, {name: float(value) for name, value in zip("abc", row, strict=True) if value >= 0.5})


def test_a_model_outside_a_run_gives_its_own_input_shape_and_numbers_for_names(tmp_path: Path, classifier: keras.Model) -> None:
    classifier.save(tmp_path / "loose.keras")
    (path,) = pictures(tmp_path, 1)
    answer = predicted(tmp_path / "loose.keras", str(path))[str(path)]
    same(answer, expected(classifier, [np.asarray(Image.open(path))], ("0", "1", "2", "3"))[0])


def test_broken_files_are_rows_with_errors_and_the_exit_status_says_so(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    good = pictures(Path("photos"), 2)
    Path("photos/0a.png").write_bytes(good[1].read_bytes()[:300])
    command("kinds", "photos", "none.jpg", "--top", "1", monkeypatch=monkeypatch, status=1)
    told = capsys.readouterr()
    rows = [line.split("\t") for line in told.out.splitlines()]
    assert [row[0] for row in rows] == ["photos/0.png", "photos/0a.png", "photos/1.png", "none.jpg"]
    assert rows[1][1:] == ["error: truncated (the file ends within its IDAT chunk)"]
    assert rows[3][1:] == ["error: missing"]
    assert len(rows[0]) == 3
    assert told.err == "Error: 2 of 4 inputs could not be read: the reason is in their rows.\n"


@pytest.mark.parametrize(
    ("prediction", "heading"),
    [
        (Prediction("a.png", ("cat", "dog"), (0.75, 0.25)), ["input", "class", "probability", "then"]),
        (Prediction("a.png", ("cat",), (0.75,)), ["input", "class", "probability"]),
        (Prediction("a.png", error="missing"), ["input", "class", "probability", "then"]),
    ],
)
def test_a_terminal_has_a_column_of_other_classes_where_there_are_any(
    prediction: Prediction, heading: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    screen = io.StringIO()
    monkeypatch.setattr("cnnkit.console.predictions.output", lambda: Console(file=screen, force_terminal=True, width=80, color_system=None))
    task = Task("classification", ("cat", "dog"))
    tally = Tally([prediction], task)
    list(tally)
    print_tables(tally, task, None)
    lines = [line.split() for line in screen.getvalue().splitlines() if line.strip()]
    assert lines[0] == heading
    assert lines[2][:3] == (["a.png", "—", "missing"] if prediction.error else ["a.png", "cat", "75.0%"])


def test_files_of_predictions_hold_a_row_an_input(run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    pictures(Path("photos"), 2)
    Path("photos/a, b.png").write_bytes(b"nothing")
    answers = predicted(run / "model.keras", "photos")
    for name in ("out.csv", "out.jsonl"):
        command("kinds", "photos", "--top", "2", "--output", name, monkeypatch=monkeypatch, status=1)
        assert capsys.readouterr().out == f"Wrote {name}: 3 inputs.\n"
    with Path("out.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    lines = [json.loads(line) for line in Path("out.jsonl").read_text().splitlines()]
    error = "not a JPEG, PNG, GIF, BMP, WebP or TIFF image"
    assert rows[2] == {"input": "photos/a, b.png", "class": "", "probability": "", "class_2": "", "probability_2": "", "error": error}
    assert lines[2] == {"input": "photos/a, b.png", "error": error}
    for row, line in zip(rows[:2], lines[:2], strict=True):
        (first, p), (second, q) = list(answers[row["input"]].items())[:2]
        assert (row["class"], row["class_2"], row["error"]) == (first, second, "")
        assert float(row["probability"]) == pytest.approx(p, abs=1e-5)
        assert line["classes"] == [{"name": first, "probability": pytest.approx(p)}, {"name": second, "probability": pytest.approx(q)}]
    assert sorted(path.name for path in Path().iterdir()) == ["out.csv", "out.jsonl", "photos", "runs"]


def test_targets_called_like_other_columns_of_a_file_are_renamed(tmp_path: Path) -> None:
    task = Task("regression", ("error", "input", "age", "error_predicted"))
    write_predictions(tmp_path / "out.csv", [Prediction("a.png", task.names, (1.5, 2.0, 3.0, 4.0))], task, 1, "Beware.")
    assert (tmp_path / "out.csv").read_text() == (
        "input,error_predicted_predicted,input_predicted,age,error_predicted,error,note\na.png,1.5,2,3,4,,Beware.\n"
    )


def test_a_full_disk_is_told_and_leaves_the_old_file(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    pictures(Path("photos"), 1)
    Path("out.csv").write_text("old")
    monkeypatch.setattr(os, "fsync", full)
    told = refusal("kinds", "photos", "-o", "out.csv", monkeypatch=monkeypatch, capsys=capsys)
    assert told == ("Error: out.csv: cannot be written (No space left on device)\n    Make room on the disk, or make the folder writable.")
    assert Path("out.csv").read_text() == "old"
    assert sorted(path.name for path in Path().iterdir()) == ["out.csv", "photos", "runs"]


def test_a_stand_in_is_told_wherever_the_answers_are(
    run: Path, classifier: keras.Model, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make_run(Path("runs/other"), classifier, "classification", NAMES, stand_in_for="cifar10")
    pictures(Path("photos"), 1)
    note = "The model was trained on zoo, a stand-in: cifar10 could not be had. It predicts the classes of zoo."
    command("other", "photos", "-o", "out.jsonl", monkeypatch=monkeypatch)
    assert json.loads(Path("out.jsonl").read_text())["note"] == note
    assert " ".join(capsys.readouterr().err.replace("│", " ").split()).count(note) == 1
    command("other", "photos", "-o", "out.csv", monkeypatch=monkeypatch)
    with Path("out.csv").open(newline="") as file:
        assert [row["note"] for row in csv.DictReader(file)] == [note]


def test_a_name_that_is_not_text_is_kept_as_it_is(run: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    (path,) = pictures(Path("photos"), 1)
    odd = os.fsdecode(b"photos/\xff\x1b[31m.png")
    path.rename(odd)
    command("kinds", "photos", monkeypatch=monkeypatch)
    assert capfd.readouterr().out.split("\t")[0] == r"photos/\udcff\x1b[31m.png"
    command("kinds", "photos", "-o", "out.csv", monkeypatch=monkeypatch)
    assert b"photos/\xff" in Path("out.csv").read_bytes()
    command("kinds", "photos", "-o", "out.jsonl", monkeypatch=monkeypatch)
    assert json.loads(Path("out.jsonl").read_text())["input"] == odd


def test_the_newest_run_answers_where_none_is_named(run: Path, classifier: keras.Model, monkeypatch: pytest.MonkeyPatch) -> None:
    older = make_run(Path("runs/older"), classifier, "classification", NAMES)
    os.utime(older / "model.keras", (1, 1))
    Path("photos").mkdir()
    assert split_arguments(["photos"]) == (run / "model.keras", ["photos"])
    assert split_arguments(["older", "photos"]) == (older / "model.keras", ["photos"])
    assert split_arguments(["runs/older", "photos"]) == (older / "model.keras", ["photos"])


def test_an_answer_that_is_no_number_is_a_row_with_an_error(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((2, 1)), keras.layers.Flatten(), keras.layers.Dense(1, kernel_initializer="ones")])
    folder = make_run(tmp_path / "run", model, "regression", ("sum",))
    np.save(tmp_path / "x.npy", np.array([[[1], [2]], [[3e38], [3e38]]], np.float32))
    first, second = predict(Predictor(folder / "model.keras"), find_inputs([str(tmp_path / "x.npy")], None, []))
    assert (first.values, first.error) == ((3.0,), "")
    assert (second.values, second.error) == ((), "the model gives no finite numbers for it")


def test_memory_holds_a_few_batches_only(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alive = most = 0

    class Lines:
        def __iter__(self) -> Any:
            nonlocal alive, most
            for _ in range(5000):
                alive += 1
                most = max(most, alive)
                yield b"photos/0.png\n"

    pictures(Path("photos"), 1)
    predictor = Predictor(run / "model.keras")
    for _ in predict(predictor, find_inputs(["-"], None, Lines())):
        alive -= 1
    assert alive == 0
    assert most <= 4 * predictor.batch_size


def no_run(_: keras.Model) -> list[str]:
    return ["nosuch", "photos"]


def run_without_model(_: keras.Model) -> list[str]:
    Path("runs/half").mkdir()
    Path("runs/half/config.yaml").write_text("")
    return ["half", "photos"]


def empty_folder(_: keras.Model) -> list[str]:
    Path("empty").mkdir()
    return ["empty"]


def nothing_matches(_: keras.Model) -> list[str]:
    return ["photos/*.gif"]


def no_inputs(_: keras.Model) -> list[str]:
    return ["kinds"]


def unknown_ending(_: keras.Model) -> list[str]:
    return ["photos", "-o", "out.txt"]


def no_folder(_: keras.Model) -> list[str]:
    return ["photos", "-o", "none/out.csv"]


def no_path_column(_: keras.Model) -> list[str]:
    Path("x.csv").write_text("where,what\n1.png,a\n")
    return ["x.csv"]


def no_such_column(_: keras.Model) -> list[str]:
    Path("x.csv").write_text("where,what\n1.png,a\n")
    return ["x.csv", "--column", "wher"]


def wrong_shape(_: keras.Model) -> list[str]:
    np.savez("x.npz", x=np.zeros((3, 8, 8, 3), np.uint8))
    return ["x.npz"]


def no_array(_: keras.Model) -> list[str]:
    np.savez("x.npz", first=np.zeros(3), second=np.zeros(3))
    return ["x.npz"]


def texts(_: keras.Model) -> list[str]:
    np.save("x.npy", np.array(["a", "b"]))
    return ["x.npy"]


def damaged_array(_: keras.Model) -> list[str]:
    np.savez_compressed("x.npz", x=np.random.default_rng(0).integers(0, 256, (100, SIZE, SIZE, 3), np.uint8))
    data = bytearray(Path("x.npz").read_bytes())
    data[4000:4100] = bytes(100)
    Path("x.npz").write_bytes(data)
    return ["x.npz"]


def pictures_for_signals(_: keras.Model) -> list[str]:
    network = keras.Sequential([keras.Input((20, 2)), keras.layers.Flatten(), keras.layers.Dense(2)])
    return [str(make_run(Path("signals"), network, "regression", ("a", "b")) / "model.keras"), "photos/0.png"]


def open_size(_: keras.Model) -> list[str]:
    keras.Sequential([keras.Input((None, None, 3)), keras.layers.GlobalAveragePooling2D()]).save("open.keras")
    return ["open.keras", "photos"]


def other_names(model: keras.Model) -> list[str]:
    make_run(Path("runs/torn"), model, "classification", ("a", "b"))
    return ["torn", "photos"]


def two_inputs(_: keras.Model) -> list[str]:
    first, second = keras.Input((4,)), keras.Input((4,))
    keras.Model([first, second], keras.layers.Add()([first, second])).save("two.keras")
    return ["two.keras", "photos"]


def damaged_config(_: keras.Model) -> list[str]:
    Path("runs/kinds/config.yaml").write_text("data: {folder: gone, resize: bend}\n")
    return ["kinds", "photos"]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (no_run, "nosuch: no such run, file or folder\n    See which runs there are: `cnnkit runs`."),
        (
            run_without_model,
            "half: has no model.keras, so it is not a run that got to its end\n    Train it again, or name another run.",
        ),
        (
            empty_folder,
            ("empty: has no images in it, nor in folders below\n"
            "    Images end in .jpg, .jpeg, .jpe, .jfif, .png, .gif, .bmp, .webp, .tif, .tiff."),
        ),
        (nothing_matches, "photos/*.gif: no file matches the pattern\n    `*` stands for any letters, `**` for folders within folders."),
        (no_inputs, "kinds: is a model, but nothing is named for it to predict\n    cnnkit predict kinds PICTURES"),
        (unknown_ending, "--output out.txt: unknown file extension\n    Supported are .csv and .jsonl."),
        (no_folder, "--output none/out.csv: there is no folder none\n    Make it, or name another."),
        (
            no_path_column,
            "x.csv: none of its columns is called path, file, filename, file_name or the like\n    Name one with `--column`: where, what.",
        ),
        (no_such_column, "x.csv: has no column 'wher' (--column). Did you mean 'where'?\n    Its columns: where, what."),
        (
            wrong_shape,
            ("x.npz: 'x' has examples of (8, 8, 3), but the model takes (12, 12, 3)\n"
            "    Give it arrays of that shape; pictures in files are brought to it."),
        ),
        (no_array, "x.npz: none of its arrays is called x, X, images, inputs or the like\n    Name one with `--column`: first, second."),
        (texts, "x.npy: 'x.npy' is (2,) <U1\n    Wanted are images (n, height, width, channels) or signals (n, steps, channels)."),
        (
            pictures_for_signals,
            "photos/0.png: the model takes arrays of (20, 2), not pictures\n    Give it an npz or npy file of such arrays.",
        ),
        (
            open_size,
            "open.keras: takes inputs of (None, None, 3), which leaves their size open\n    Save it with a fixed input shape.",
        ),
        (two_inputs, "two.keras: has 2 inputs and 1 output\n    A model with one of each is wanted."),
        (damaged_config, "runs/kinds/config.yaml: its `data` section is damaged (ValidationError)\n    Train the run again."),
        (other_names, "runs/torn/model.keras: gives 4 values, but its model.json names 2\n    Train the run again."),
    ],
)  # fmt: skip
def test_what_cannot_be_predicted_is_told(
    run: Path, classifier: keras.Model, wrong: Any, message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pictures(Path("photos"), 1)
    assert refusal(*wrong(classifier), monkeypatch=monkeypatch, capsys=capsys) == f"Error: {message}"


def test_a_damaged_array_is_told(
    run: Path, classifier: keras.Model, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told = refusal(*damaged_array(classifier), monkeypatch=monkeypatch, capsys=capsys)
    assert told.startswith("Error: x.npz: 'x' is damaged (")
    assert told.endswith(")\n    Save it again.")


def test_a_run_reads_pictures_by_its_own_data_section(run: Path) -> None:
    make_run(
        Path("small"),
        keras.Sequential([keras.Input((2, 2, 1)), keras.layers.Flatten()]),
        "regression",
        tuple("abcd"),
        data=", max_pixels: 100",
    )
    predictor = Predictor(Path("small/model.keras"))
    assert predictor.image_reader == ImageReader((2, 2), "grey", "stretch", 100)
    paths = pictures(Path("photos"), 1)
    (answer,) = predict(predictor, find_inputs([str(paths[0])], None, []))
    assert answer.error == "over max_pixels (12x12 pixels, max_pixels is 100)"


def test_a_model_file_with_its_model_json_alone_reads_pictures_as_in_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, classifier: keras.Model
) -> None:
    monkeypatch.chdir(tmp_path)
    reader = {"size": [SIZE, SIZE], "color": "rgb", "resize": "crop", "max_pixels": 2000}
    run = make_run(Path("run"), classifier, "classification", NAMES)
    stored = json.loads((run / "model.json").read_text())
    write_json(run / "model.json", {**stored, "image_reader": reader})
    (run / "config.yaml").unlink()
    (path,) = pictures(Path("photos"), 1, (30, 40))
    middle = Image.open(path).resize((SIZE, SIZE), Image.Resampling.BILINEAR, (5, 0, 35, 30))
    same(predicted(run / "model.keras", str(path))[str(path)], expected(classifier, [np.asarray(middle)])[0])

    (larger,) = pictures(Path("larger"), 1, (60, 40))
    (answer,) = predict(Predictor(run / "model.keras"), find_inputs([str(larger)], None, []))
    assert answer.error == "over max_pixels (40x60 pixels, max_pixels is 2000)"

    write_json(run / "model.json", {**stored, "image_reader": {**reader, "size": [9, 9]}})
    with pytest.raises(CnnkitError) as caught:
        Predictor(run / "model.keras")
    assert str(caught.value) == (
        f"run/model.keras: takes inputs of {(SIZE, SIZE, 3)}, but its model.json reads pictures as (9, 9, 3)\n    Train the run again."
    )
    write_json(run / "model.json", {**stored, "image_reader": {**reader, "resize": "bend"}})
    with pytest.raises(CnnkitError) as caught:
        Predictor(run / "model.keras")
    assert str(caught.value) == "run/model.json: is damaged (ValueError)\n    Train the run again."
