"""What a look at image files finds: damage, copies, leaks and imbalance, each planted here and named there."""

import io
import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cnnkit.data.quality import check
from cnnkit.data.quality.check import BadFile, DataReport, check_files
from cnnkit.io.atomic import without_nan

MAX_PIXELS = 1_000_000


def picture(seed: int, height: int = 48, width: int = 64) -> Image.Image:
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


@dataclass
class Files:
    """Image files written one by one, with their labels and splits."""

    folder: Path
    names: list[str] = field(default_factory=list)
    labels: list[list[str]] = field(default_factory=list)
    splits: list[str] = field(default_factory=list)

    def add(self, name: str, content: bytes | Image.Image | int, label: str = "cat", split: str = "train", **options: Any) -> Path:
        path = self.folder / name
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            (picture(content) if isinstance(content, int) else content).save(path, **options)
        self.names.append(name)
        self.labels.append([label])
        self.splits.append(split)
        return path

    def check(self, class_names: Sequence[str] = ("cat", "dog"), **options: Any) -> DataReport:
        paths = [self.folder / name for name in self.names]
        return check_files(
            paths,
            self.names,
            self.labels,
            lambda good: [self.splits[i] for i in good],
            class_names=class_names,
            max_pixels=MAX_PIXELS,
            **options,
        )


@pytest.fixture
def files(tmp_path: Path) -> Files:
    made = Files(tmp_path)
    for seed in range(4):
        made.add(f"good{seed}.png", seed, "cat" if seed % 2 else "dog", "train" if seed < 2 else "test")
    return made


def test_good_files_are_counted_and_give_no_complaint(files: Files) -> None:
    files.add("large.jpg", picture(9, 300, 200), "dog", "test")
    files.add("grey.bmp", picture(10).convert("L"), "cat", "test")
    report = files.check()
    assert (report.errors, report.warnings, report.bad, report.mistyped, report.twins) == ((), (), (), (), ())
    assert report.files == 6
    assert report.classes == {"cat": 3, "dog": 3}
    assert report.splits == {"train": 2, "test": 4}
    assert report.formats == {"PNG": 4, "JPEG": 1, "BMP": 1}
    assert report.modes == {"RGB": 5, "L": 1}
    assert report.sizes == ((64, 48), (64, 48), (200, 300))


def test_each_bad_file_is_named_with_its_reason(files: Files) -> None:
    jpeg, png = io.BytesIO(), io.BytesIO()
    picture(5).save(jpeg, "JPEG")
    picture(6).save(png, "PNG")
    flipped = bytearray(png.getvalue())
    flipped[len(flipped) // 2] ^= 1
    files.add("empty.jpg", b"")
    files.add("text.png", b"this is a text, not a picture")
    files.add("cut.jpg", jpeg.getvalue()[:-300])
    files.add("cut.png", png.getvalue()[:-10])
    files.add("flipped.png", bytes(flipped))
    files.add("huge.png", Image.new("1", (2000, 1000)))
    files.add("gone.jpg", b"x").unlink()
    report = files.check()
    told = dict(zip([bad.name for bad in report.bad], [bad.reason for bad in report.bad], strict=True))
    assert told["empty.jpg"] == "empty"
    assert told["text.png"] == "not a JPEG, PNG, GIF, BMP, WebP or TIFF image"
    assert told["cut.jpg"].startswith("truncated")
    assert told["cut.png"] == "truncated (the file ends before its IEND chunk)"
    assert told["flipped.png"] == "corrupt (wrong checksum of its IDAT chunk)"
    assert told["huge.png"] == "over max_pixels (2000x1000 pixels, max_pixels is 1000000)"
    assert told["gone.jpg"] == "missing"
    assert len(told) == 7
    assert report.classes == {"cat": 2, "dog": 2}
    assert all(f"{name}: {reason}" in report.errors for name, reason in told.items())


def test_a_class_whose_files_are_all_bad_is_an_error(files: Files) -> None:
    files.add("only_bird.png", b"", "bird")
    assert files.check(("cat", "dog", "bird", "fish")).errors == (
        "only_bird.png: empty",
        "class 'bird' has no usable file",
        "class 'fish' has no usable file",
    )


def test_a_file_of_another_format_than_its_name_is_told_but_used(files: Files) -> None:
    files.add("moving.jpg", picture(7).quantize(16), format="GIF")
    files.add("UPPER.JPG", 8, format="JPEG")
    report = files.check()
    assert report.mistyped == (BadFile("moving.jpg", "is a GIF image by its content, not what its name says"),)
    assert report.warnings == ("moving.jpg: is a GIF image by its content, not what its name says",)
    assert report.errors == ()
    assert report.classes["cat"] == 4


def test_copies_across_splits_and_labels_are_errors_and_others_are_counted(files: Files) -> None:
    files.add("leak.png", 0, "dog", "test")  # good0 is a dog in train
    files.add("other_label.png", 1, "dog", "train")  # good1 is a cat in train
    files.add("again.png", 2, "dog", "test")  # good2 is a dog in test
    report = files.check()
    assert report.errors == (
        "the same file is in train and test: good0.png, leak.png",
        "the same file bears the labels cat and dog: good1.png, other_label.png",
    )
    assert report.warnings == ("1 file repeats another of the same split and label",)
    assert all(twins.exact for twins in report.twins)


@pytest.mark.parametrize("change", ["jpeg", "smaller", "brighter"])
def test_near_copies_across_splits_are_warned_of(files: Files, change: str) -> None:
    original = picture(2, 120, 160)
    files.add("original.png", original, "dog", "test")
    changed = {
        "jpeg": original,
        "smaller": original.resize((80, 60), Image.Resampling.LANCZOS),
        "brighter": original.point(lambda level: min(255, level * 1.05)),
    }[change]
    files.names, files.labels, files.splits = files.names[4:], files.labels[4:], files.splits[4:]
    for seed in range(20, 28):
        files.add(f"{seed}.png", seed, "dog" if seed % 2 else "cat")
    files.add("changed.jpg", changed, "cat", "train", quality=80)
    report = files.check()
    assert [twin["exact"] for twin in report.as_dict()["twins"]] == [False]
    assert report.errors == ()
    assert report.warnings == (
        "nearly the same picture is in train and test: original.png, changed.jpg",
        "nearly the same picture bears the labels cat and dog: original.png, changed.jpg",
    )


def test_flat_pictures_are_not_taken_for_one_another(files: Files) -> None:
    for level in range(0, 250, 25):
        files.add(f"flat{level}.png", Image.new("RGB", (20, 20), (level, level, level)))
        ramp = np.linspace(0, level + 5, 20).astype(np.uint8)
        files.add(f"ramp{level}.png", Image.fromarray(np.tile(ramp, (20, 1))))
    assert files.check().twins == ()


def test_imbalance_is_warned_of_from_ten_to_one(tmp_path: Path) -> None:
    files = Files(tmp_path)
    for seed in range(10):
        files.add(f"{seed}.png", seed, "cat" if seed else "dog")
    assert files.check().warnings == ()
    files.add("10.png", 10)
    assert files.check().warnings == (
        "the largest class has 10 times the files of the smallest: consider `train: {class_weight: balanced}`",
    )


def test_long_lists_are_cut_in_sentences_but_not_in_the_report(files: Files) -> None:
    for number in range(12):
        files.add(f"copy{number}.png", 0, "dog", "test")
    report = files.check()
    shown = "good0.png, " + ", ".join(f"copy{number}.png" for number in range(9))
    assert report.errors == (f"the same file is in train and test: {shown} and 3 more",)
    assert len(report.as_dict()["twins"][0]["names"]) == 13


def test_the_report_is_ready_for_json(files: Files) -> None:
    files.add("empty.png", b"")
    written = json.loads(json.dumps(without_nan(files.check().as_dict())))
    assert written["bad"] == [{"name": "empty.png", "reason": "empty"}]
    assert written["errors"] == ["empty.png: empty"]
    assert written["sizes"] == [[64, 48], [64, 48], [64, 48]]


def test_progress_ends_with_the_number_of_files(tmp_path: Path) -> None:
    files = Files(tmp_path)
    small = io.BytesIO()
    Image.new("L", (2, 2)).save(small, "PNG")
    for number in range(150):
        files.add(f"{number}.png", small.getvalue())
    told: list[int] = []
    files.check(on_progress=told.append)
    assert told == sorted(told)
    assert len(told) > 1
    assert told[-1] == 150


def planted_hashes(count: int, seed: int) -> Any:
    """Random hashes (count, 16) uint8, of which some are others with a few bits flipped."""
    random = np.random.default_rng(seed)
    bits = random.integers(0, 2, (count, 128), np.uint8)
    for _ in range(count // 4):
        source, copy = random.integers(0, count, 2)
        bits[copy] = bits[source]
        bits[copy, random.choice(128, random.integers(0, check.MAX_HASH_DISTANCE + 3), replace=False)] ^= 1
    return np.packbits(bits, axis=1)


@pytest.mark.parametrize("seed", range(5))
def test_near_groups_are_those_of_comparing_each_with_each(seed: int) -> None:
    from scipy.sparse.csgraph import connected_components

    hashes = planted_hashes(300, seed)
    bits = np.unpackbits(hashes, axis=1)
    near = np.array([[(a != b).sum() <= check.MAX_HASH_DISTANCE for a in bits] for b in bits])
    _, component = connected_components(near)
    expected = [np.flatnonzero(component == each).tolist() for each in np.unique(component)]
    found = check._near_groups(hashes)
    assert sorted(sorted(group) for group in found) == sorted(group for group in expected if len(group) > 1)


def test_many_frames_of_one_scene_are_grouped_without_comparing_each_with_each(monkeypatch: pytest.MonkeyPatch) -> None:
    bits = np.tile(np.random.default_rng(0).integers(0, 2, 128, np.uint8), (6000, 1))
    for row, places in zip(bits, itertools.cycle(itertools.combinations(range(128), 2)), strict=False):
        row[list(places)] ^= 1
    compared = []
    count_bits = np.bitwise_count
    monkeypatch.setattr(np, "bitwise_count", lambda differing: compared.append(len(differing)) or count_bits(differing))
    groups = check._near_groups(np.packbits(bits, axis=1))
    assert [len(group) for group in groups] == [6000]
    assert sum(compared) < 6000 * 6000 / 50  # each with each would be half of 6000 squared


def test_hashes_of_unrelated_pictures_differ_in_both_directions() -> None:
    small = [np.asarray(picture(seed).convert("L").resize((18, 18))) for seed in range(20)]
    bits = np.array([np.unpackbits(check._perceptual_hash(each)) for each in small]).reshape(20, 2, 64)
    differing = (bits[:, None] != bits[None]).sum(axis=3)[~np.eye(20, dtype=bool)]  # (pairs, 2); 32 by chance
    assert ((differing.mean(axis=0) > 24) & (differing.mean(axis=0) < 40)).all()
    mirrored = np.unpackbits(check._perceptual_hash(small[0][:, ::-1])).reshape(2, 64)
    assert (mirrored[0] != bits[0, 0]).sum() > 12


@pytest.mark.slow
def test_ten_thousand_small_images_are_checked(tmp_path: Path) -> None:
    files = Files(tmp_path)
    random = np.random.default_rng(0)
    for number in range(10_000):
        coarse = Image.fromarray(random.integers(0, 256, (8, 8, 3), np.uint8))
        files.add(f"{number}.png", coarse.resize((32, 32), Image.Resampling.BICUBIC), "cat" if number % 2 else "dog")
    report = files.check()  # how long it takes is measured by `make bench`
    assert report.errors == ()
