"""The look at all files, the bad ones before training, the list of those to leave out, and configs written by a look."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnnkit import cli
from cnnkit.config.schema import Data
from cnnkit.data.binding import load
from cnnkit.data.source import Request
from cnnkit.data.sources.folder import open_folder
from cnnkit.errors import CnnkitError


def picture(seed: int) -> Image.Image:
    coarse = np.random.default_rng(seed).integers(0, 255, (5, 5, 3), np.uint8)
    return Image.fromarray(coarse).resize((40, 30), Image.Resampling.BICUBIC)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("platformdirs.user_cache_path", lambda name: tmp_path / "cache" / name)
    root = tmp_path / "photos"
    for number in range(24):
        path = root / ("train" if number % 4 else "test") / "ab"[number % 2 if number % 4 else number // 4 % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        picture(number).save(path)
    return root


def report_of(folder: Path) -> dict[str, object]:
    source = open_folder(Data(folder=str(folder), validation=0.0))
    return source.check(Request(0, folder, ())).as_dict()


def test_sound_files_give_no_error(folder: Path) -> None:
    report = report_of(folder)
    assert report["errors"] == []
    assert report["files"] == 24
    assert report["sizes"] == ((40, 30), (40, 30), (40, 30))


def test_every_bad_file_is_named_with_its_reason(folder: Path) -> None:
    whole = (folder / "train" / "a" / "2.png").read_bytes()
    (folder / "train" / "a" / "cut.png").write_bytes(whole[: len(whole) // 2])
    (folder / "train" / "a" / "empty.jpg").write_bytes(b"")
    (folder / "train" / "b" / "text.gif").write_text("not a picture")
    picture(99).save(folder / "train" / "b" / "really_a.jpg", format="GIF")
    report = report_of(folder)
    bad = {entry["name"]: entry["reason"].partition(" (")[0] for entry in report["bad"]}  # type: ignore[attr-defined]
    assert bad == {
        "train/a/cut.png": "truncated",
        "train/a/empty.jpg": "empty",
        "train/b/text.gif": "not a JPEG, PNG, GIF, BMP, WebP or TIFF image",
    }
    assert "train/b/really_a.jpg: is a GIF image by its content, not what its name says" in report["warnings"]  # type: ignore[operator]


def test_the_same_and_nearly_the_same_picture_across_splits_are_told(folder: Path) -> None:
    (folder / "test" / "a" / "copy.png").write_bytes((folder / "train" / "a" / "2.png").read_bytes())
    picture(6).save(folder / "test" / "a" / "near.jpg", quality=92)
    report = report_of(folder)
    assert report["errors"] == ["the same file is in train and test: test/a/copy.png, train/a/2.png"]
    assert "nearly the same picture is in train and test: test/a/near.jpg, train/a/6.png" in report["warnings"]  # type: ignore[operator]


def test_flat_pictures_are_not_taken_for_copies_of_each_other(folder: Path) -> None:
    for shade in (10, 90, 200):
        Image.new("RGB", (40, 30), (shade, shade, shade)).save(folder / "test" / "b" / f"flat{shade}.png")
    assert report_of(folder)["twins"] == ()


def test_training_stops_with_their_names_skips_them_or_leaves_them_out(folder: Path, tmp_path: Path) -> None:
    (folder / "train" / "a" / "bad.png").write_bytes(b"oh")
    request = Request(0, tmp_path, ())
    with pytest.raises(CnnkitError) as caught:
        open_folder(Data(folder=str(folder), image_size=8)).load(request)
    assert str(caught.value).splitlines()[:2] == [
        "photos: 1 file cannot be used:",
        "  train/a/bad.png: not a JPEG, PNG, GIF, BMP, WebP or TIFF image",
    ]
    skipping = open_folder(Data(folder=str(folder), image_size=8, on_bad_file="skip")).load(request)
    assert skipping.notices == ("1 of 25 files cannot be used and is left out (data.on_bad_file: skip).",)
    assert "train/a/bad.png" not in {name for name, _, _ in skipping.manifest}
    (tmp_path / "bad.txt").write_text("train/a/bad.png\t# whatever\n")
    excluding = open_folder(Data(folder=str(folder), image_size=8, exclude=str(tmp_path / "bad.txt"))).load(request)
    assert len(excluding.manifest) == 24


def test_check_and_training_split_the_same_files_alike_though_some_are_bad(folder: Path, tmp_path: Path) -> None:
    flat = tmp_path / "flat"
    for number in range(40):
        path = flat / "ab"[number % 2] / f"{number:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        picture(number).save(path)
    for number in (0, 1, 2, 3, 5, 7, 9):
        (flat / "ab"[number % 2] / f"{number:02}.png").write_bytes(b"oh")
    source = open_folder(Data(folder=str(flat), image_size=8, test=0.2, validation=0.2, on_bad_file="skip"))
    report, dataset = source.check(Request(0, tmp_path, ())), source.load(Request(0, tmp_path, ()))
    assert list(report.splits.items()) == [(name, len(examples)) for name, examples in dataset.splits.items()]
    assert list(report.splits) == ["train", "validation", "test"]
    (twin, _, _), (other, _, _) = (next(row for row in dataset.manifest if row[2] == split) for split in ("train", "test"))
    (flat / twin).write_bytes((flat / other).read_bytes())
    source = open_folder(Data(folder=str(flat), image_size=8, test=0.2, validation=0.2, on_bad_file="skip"))
    assert source.check(Request(0, tmp_path, ())).errors[-1].startswith("the same file is in train and test: ")
    assert source.load(Request(0, tmp_path, ())).notices[0] == ("1 picture is in more than one split: `cnnkit data check` names them.")


def test_a_folder_of_bad_files_alone_is_refused(folder: Path, tmp_path: Path) -> None:
    for path in folder.rglob("*.png"):
        path.write_bytes(b"oh")
    source = open_folder(Data(folder=str(folder), image_size=8, on_bad_file="skip"))
    assert source.check(Request(0, tmp_path, ())).splits == {}
    with pytest.raises(CnnkitError, match="photos: none of its 24 files can be used"):
        source.load(Request(0, tmp_path, ()))


def test_a_class_whose_name_has_a_bar_is_one_class(tmp_path: Path) -> None:
    for name in ("cat|dog", "cat"):
        for number in range(3):
            (tmp_path / "set" / name).mkdir(parents=True, exist_ok=True)
            picture(number + 10 * len(name)).save(tmp_path / "set" / name / f"{number}.png")
    report = open_folder(Data(folder=str(tmp_path / "set"))).check(Request(0, tmp_path / "cache", ()))
    assert report.classes == {"cat": 3, "cat|dog": 3}
    assert not report.errors


def test_data_check_exits_1_and_writes_the_quarantine(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "train" / "a" / "bad.png").write_bytes(b"oh")
    config = tmp_path / "c.yaml"
    config.write_text("data: {folder: photos, image_size: 8}\nmodel: {layers: [Flatten, {Dense: {units: 2, activation: softmax}}]}\n")
    monkeypatch.setattr(sys, "argv", ["cnnkit", "data", "check", str(config), "--json", "--quarantine", str(tmp_path / "list.txt")])
    with pytest.raises(SystemExit) as exit_status:
        cli.main()
    assert exit_status.value.code == 1
    assert json.loads(capsys.readouterr().out)["bad"][0]["name"] == "train/a/bad.png"
    assert (tmp_path / "list.txt").read_text() == "train/a/bad.png\t# not a JPEG, PNG, GIF, BMP, WebP or TIFF image\n"


@pytest.mark.parametrize("transfer", [False, True])
def test_init_writes_a_config_that_is_good_and_never_overwrites(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], transfer: bool
) -> None:
    target = tmp_path / "photos.yaml"
    monkeypatch.setattr(sys, "argv", ["cnnkit", "init", str(folder), "-o", str(target), *["--transfer", "--no-measure"] * transfer])
    with pytest.raises(SystemExit) as exit_status:
        cli.main()
    assert exit_status.value.code == 0
    loaded = load([target])
    assert loaded.source.spec.task.names == ("a", "b")
    assert loaded.source.spec.input_shape == ((224, 224, 3) if transfer else (30, 40, 3))
    capsys.readouterr()
    with pytest.raises(SystemExit) as exit_status:
        cli.main()
    assert exit_status.value.code == 1
    assert capsys.readouterr().err == f"Error: {target}: is there already, and is not overwritten\n    Name another with --output.\n"


def test_init_sees_numbers_and_signals(tmp_path: Path) -> None:
    from cnnkit.experiments.starter.write import Options, write_starter

    random = np.random.default_rng(0)
    np.savez(tmp_path / "s.npz", x=random.normal(size=(50, 32, 2)).astype(np.float32), y=random.normal(size=50))
    starter = write_starter(tmp_path / "s.npz", tmp_path / "s.yaml", Options())
    assert starter.summary.spec.task.kind == "regression"
    loaded = load([starter.path])
    assert loaded.config.model.layers is not None
    assert loaded.config.model.layers[-1].written == {"Dense": {"units": 1}}


def test_files_are_inspected_again_only_when_something_that_matters_has_changed(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cnnkit.data.sources import image_files

    inspected: list[int] = []
    inspect = image_files.check_files
    monkeypatch.setattr(
        image_files, "check_files", lambda paths, *rest, **options: (inspected.append(len(paths)), inspect(paths, *rest, **options))[1]
    )

    def load_with(**options: object) -> int:
        inspected.clear()
        open_folder(Data.model_validate({"folder": str(folder), "image_size": 8, "validation": 0.2, **options})).load(
            Request(0, tmp_path, ())
        )
        return sum(inspected)

    assert load_with() == 24
    for unimportant in ({}, {"batch_size": 7}, {"image_size": 12}, {"resize": "crop"}, {"color": "grey"}, {"augment": ["RandomFlip"]}):
        assert load_with(**unimportant) == 0, unimportant
    assert load_with(max_pixels=5000) == 24
    assert load_with(validation=0.4) == 24  # other splits: a picture may stand in two of them now
    picture(200).save(folder / "train" / "a" / "2.png")
    assert load_with() == 24
