"""Names from files and folders reach the terminal as text only: no escape, no markup, no turned or broken line."""

import io
import json
import os
import shutil
import sys
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnnkit.artifacts.model_metadata import ModelMetadata
from cnnkit.cli import main
from cnnkit.config.task import Task
from cnnkit.console.evaluation import print_evaluation
from cnnkit.console.progress import PlainProgress, TerminalProgress
from cnnkit.console.text import error_output, print_error, print_json, print_line, print_notice
from cnnkit.errors import escape_unprintable
from cnnkit.evaluation.metrics import compute_metrics
from cnnkit.prediction.evaluate import Evaluation

CLASSES = ("[red]x", "esc\x1b[31m", "bidi\u202egnp", "new\nError: fake", "$\\frac{", "c1\x9b2J")


def cli(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *arguments: str) -> tuple[int, str]:
    """Exit status, and all that was printed on either stream."""
    monkeypatch.setattr(sys, "argv", ["cnnkit", *arguments])
    try:
        main()
        status = 0
    except SystemExit as end:
        status = int(end.code or 0)
    printed = capsys.readouterr()
    return status, printed.out + printed.err


def harmful(text: str) -> set[str]:
    """Characters that control a terminal or turn what is written (categories Cc, Cf, Cs, Zl and Zp of Unicode)."""
    return {character for character in text if unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp")} - {"\n"}


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    random = np.random.default_rng(0)
    for name in CLASSES:
        (tmp_path / "data [bold]" / name).mkdir(parents=True)
        for number in range(8):
            pixels = random.integers(0, 256, (8, 8, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / "data [bold]" / name / f"{number}[b]\x1b]0;t\x07.png")
    return tmp_path / "data [bold]"


def test_the_whole_way_with_hostile_names(photos: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    cache = Path.home() / ".cache"  # the signature table need not be made again
    if (cache / "cnnkit").is_dir():
        shutil.copytree(cache / "cnnkit", photos.parent / "cache" / "cnnkit", ignore=shutil.ignore_patterns("checks"))
    commands = (
        (0, "init", "data [bold]", "--output", "h.yaml"),
        (1, "data", "check", "h.yaml"),
        (1, "train", "h.yaml"),
        (0, "train", "h.yaml", "--set", "data.on_bad_file=skip", "--set", "train.epochs=1", "--run-dir", "r[i]\x1b[1m"),
        (0, "evaluate", "r[i]\x1b[1m"),
        (0, "evaluate", "r[i]\x1b[1m", "--json"),
        (0, "summary", "r[i]\x1b[1m"),
        (1, "summary", "no\x1b[31m\u202e[red].keras"),
        (1, "check", "h.yaml", "--set", "model.layers[0]={'[red]\x1b[31m\u202e': {}}"),
    )
    for expected, *arguments in commands:
        status, told = cli(capsys, monkeypatch, *arguments)
        assert (status, harmful(told)) == (expected, set()), told
        if arguments[0] == "evaluate" and "--json" in arguments:
            assert {each["name"] for each in json.loads(told)["classes"]} == set(CLASSES)
        elif arguments[0] in ("init", "evaluate") or (arguments[0] == "train" and status == 0):
            assert all(
                shown in told for shown in ("[red]x", "esc\\x1b[31m", "bidi\\u202egnp", "new\\nError: fake", "$\\frac{", "c1\\x9b2J")
            )
        if arguments[0] == "train" and status == 1:
            assert "\n  esc\\x1b[31m/broken\\x1b[2J\\n.png: not a JPEG, PNG, GIF, BMP, WebP or TIFF image\n" in told
        if arguments[0] == "init":  # which would leave it out
            (photos / CLASSES[1] / "broken\x1b[2J\n.png").write_bytes(b"no picture")


def test_names_that_are_not_utf8_are_refused_with_a_remedy(
    photos: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = photos / os.fsdecode(b"caf\xe9")
    try:
        folder.mkdir()
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    shutil.copy(next((photos / CLASSES[0]).iterdir()), folder / "1.png")
    status, told = cli(capsys, monkeypatch, "init", "data [bold]", "--output", "h.yaml")
    assert status == 1
    assert told == (
        "Error: data [bold]: 2 files or classes have names that are not UTF-8 text, such as caf\\udce9/1.png\n"
        "    Rename them: a run's manifest and its model name them.\n"
    )


def test_array_names_and_class_names_are_shown_as_text(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names = np.array(["[/red]", "\u2028x"])
    np.savez("a.npz", x=np.zeros((40, 4, 4, 1), np.uint8), y=np.arange(40) % 2, class_names=names)
    np.savez("b.npz", **{"[/b]\x1b[31m\n": np.zeros(3)})
    assert cli(capsys, monkeypatch, "init", "a.npz")[1].startswith(
        "40 examples of (4, 4, 1), classification: [/red], \\u2028x\nWrote a.yaml. Train it: cnnkit train a.yaml\n"
    )
    told = cli(capsys, monkeypatch, "init", "b.npz")[1]
    assert harmful(told) == set()
    assert told.endswith("    Name one with `data.input`: [/b]\\x1b[31m\\n.\n")


def test_every_character_without_a_picture_is_made_visible() -> None:
    everything = "".join(map(chr, range(sys.maxunicode + 1)))
    assert harmful(escape_unprintable(everything)) == set()
    assert "\n" not in escape_unprintable(everything)
    assert escape_unprintable("Größe 10 µm 猫 [x]") == "Größe 10 µm 猫 [x]"


def test_a_name_between_colons_is_no_picture_and_one_in_brackets_is_escaped_once(capsys: pytest.CaptureFixture[str]) -> None:
    task = Task("classification", ("cat:dog:bird", "b"))
    targets, predictions = np.array([0, 1]), np.eye(2)
    metrics = compute_metrics(targets, predictions, task)
    print_evaluation(Evaluation("test", {}, metrics, targets, predictions, ModelMetadata(":dog:", task)))
    print_line("a line :dog:")
    print_notice("a notice :dog:")
    print_error("an error :dog:")
    PlainProgress(1).on_epoch({"epoch": 1, "loss": 0.5, "a[b]:dog:": 0.25, "images_per_second": 1.0, "seconds": 1.0})
    printed = "".join(capsys.readouterr())
    assert printed.count(":dog:") == 7  # with the rows of metrics and of the confusion matrix
    assert "\N{DOG FACE}" not in printed
    assert "loss 0.5000  a[b]:dog: 0.2500" in printed


def test_a_bar_in_a_terminal_shows_metrics_of_any_name(monkeypatch: pytest.MonkeyPatch) -> None:
    display = TerminalProgress(1, 1)
    display.on_steps(1, 1, {"a[b]": 0.25}, 1.0)
    console = error_output()
    with console.capture() as captured:
        console.print(display._progress)
    assert "a[b] 0.2500" in captured.get()


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8", "UTF8"])
def test_json_is_valid_whatever_the_encoding_of_the_stream(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    value = {"name": "sp\u00e9cimen \u4e2d\u6587 \N{DOG FACE} \x1b"}
    raw = io.BytesIO()
    with io.TextIOWrapper(raw, encoding=encoding, errors="backslashreplace") as stream:  # as the command sets it
        monkeypatch.setattr(sys, "stdout", stream)
        print_json(value)
        stream.flush()
        printed = raw.getvalue()
    assert json.loads(printed.decode(encoding)) == value
    assert ("\u4e2d".encode() in printed) == encoding.lower().startswith("utf")
