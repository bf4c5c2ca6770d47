"""Picture files made to take memory or time are refused by their headers; flat pictures that are only small files still open."""

import io
import os
import struct
import tracemalloc
import zlib
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
from PIL import Image

from cnnkit.config.yaml_loader import read_file
from cnnkit.data.images.decode import read_image
from cnnkit.data.images.faults import ImageFault, Reason
from cnnkit.data.images.header import read_header
from cnnkit.errors import CnnkitError

MAX_PIXELS = 100_000_000


def encoded(image: Image.Image, file_format: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def refused(data: bytes) -> ImageFault:
    """The fault of a file, which has to come before its pixels are decoded."""
    tracemalloc.start()
    with pytest.raises(ImageFault) as caught, mock.patch("cnnkit.data.images.decode._upright", side_effect=RuntimeError("decoded")):
        read_image(data, size=(32, 32), resize="stretch", channels=3, max_pixels=MAX_PIXELS)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "decoded" not in str(caught.value)
    assert peak < 20_000_000
    return caught.value


def png(width: int, height: int, rows: bytes) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b"")


@pytest.mark.parametrize(("width", "height"), [(1, 100_000_000), (100_000_000, 1), (65_536, 1)])
def test_a_side_of_a_hundred_million_pixels_is_refused(width: int, height: int) -> None:
    fault = refused(png(width, height, bytes(1_000_000)))
    assert str(fault) == (
        f"image: a side is too long ({width}x{height} pixels, 65,535 a side are opened)\n"
        "    Cut the picture into parts, or leave it out of the data."
    )


def test_the_longest_side_still_opens() -> None:
    data = png(65_535, 2, bytes(2 * 65_536))
    assert read_image(data, size=(1, 8), resize="stretch", channels=1, max_pixels=MAX_PIXELS).shape == (1, 8, 1)


def webp_that_claims(side: int) -> bytes:
    data = bytearray(encoded(Image.new("RGB", (64, 64), "white"), "WEBP", lossless=True))
    assert data[12:16] == b"VP8L"
    data[21:25] = (int.from_bytes(data[21:25], "little") >> 28 << 28 | side - 1 | side - 1 << 14).to_bytes(4, "little")
    return bytes(data)


def test_a_webp_of_few_bytes_that_claims_a_hundred_million_pixels_is_refused(tmp_path: Path) -> None:
    data = webp_that_claims(10_000)
    assert len(data) < 50
    assert str(refused(data)) == (
        f"image: too few bytes for its pixels (10000x10000 pixels in {len(data)} bytes)\n"
        "    Make the picture smaller, or leave it out of the data."
    )
    path = tmp_path / "claims.webp"
    path.write_bytes(data)
    with pytest.raises(ImageFault, match="too few bytes"):
        read_header(path, MAX_PIXELS)
    assert refused(png(10_000, 9_000, b"")).reason == Reason.FEW_BYTES


@pytest.mark.parametrize("options", [{"file_format": "PNG"}, {"file_format": "WEBP", "lossless": True, "method": 0}])
def test_a_white_picture_of_twelve_million_pixels_opens_though_its_file_is_tiny(options: dict[str, Any]) -> None:
    data = encoded(Image.new("L", (4000, 3000), 255).convert("RGB"), **options)
    assert len(data) < 60_000
    assert read_image(data, size=(8, 8), resize="stretch", channels=3, max_pixels=MAX_PIXELS).min() == 255


def tiled_tiff(tile: int, side: int) -> bytes:
    """A grey TIFF of one deflated tile; TIFF 6.0, sections 2 and 15."""
    body = zlib.compress(bytes(tile * 16))  # a sixteenth of a row of pixels: no decoder gets that far
    entries = [
        (256, 4, side), (257, 4, side), (258, 3, 8), (259, 3, 8), (262, 3, 1), (277, 3, 1),
        (322, 4, tile), (323, 4, tile), (324, 4, 8), (325, 4, len(body)),
    ]  # fmt: skip
    table = struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in entries)
    return b"II*\0" + struct.pack("<I", 8 + len(body)) + body + table + bytes(4)


def test_tiles_far_larger_than_the_picture_are_refused() -> None:
    assert str(refused(tiled_tiff(40_000, 64))) == (
        "image: tiles larger than the picture (40000x40000 pixels in a tile, 64x64 in the picture)\n"
        "    Open it in an image editor and save it again, as PNG or JPEG, or leave it out of the data."
    )
    with pytest.raises(ImageFault) as caught:  # a tile such as programs write is not refused for its size, but for what is in it
        read_image(tiled_tiff(1024, 64), size=None, resize="stretch", channels=1, max_pixels=MAX_PIXELS)
    assert caught.value.reason != Reason.TILES


def jpeg_of_scans(count: int) -> bytes:
    """A progressive JPEG whose last scan comes again and again; ITU-T T.81, annex B."""
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))
    data = encoded(image, "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    return data[:last] + data[last:-2] * count + b"\xff\xd9"


def test_a_jpeg_of_thousands_of_scans_is_refused_and_one_of_many_is_not() -> None:
    assert str(refused(jpeg_of_scans(3000))) == (
        "image: too many scans (more than 100)\n"
        "    Open it in an image editor and save it again, as PNG or JPEG, or leave it out of the data."
    )
    usual = encoded(Image.new("RGB", (64, 64), "red"), "JPEG", progressive=True)
    assert 5 < usual.count(b"\xff\xda") < 20
    assert read_image(usual, size=(8, 8), resize="stretch", channels=3, max_pixels=MAX_PIXELS).shape == (8, 8, 3)


def test_what_looks_like_scans_inside_of_segments_or_behind_the_end_is_not_counted() -> None:
    plain = encoded(Image.new("RGB", (64, 64), "red"), "JPEG")
    marks = b"\xff\xda" * 5000
    comment = b"\xff\xfe" + struct.pack(">H", len(marks) + 2) + marks
    expected = read_image(plain, size=(8, 8), resize="stretch", channels=3, max_pixels=MAX_PIXELS)
    for data in (plain[:2] + comment + plain[2:], plain + marks):
        read = read_image(data, size=(8, 8), resize="stretch", channels=3, max_pixels=MAX_PIXELS)
        np.testing.assert_array_equal(read, expected)


# --- what is no regular file ---


@pytest.fixture(params=["device", "pipe", "folder"])
def endless(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    if request.param == "device":
        return Path("/dev/zero")
    path = tmp_path / "endless.npz"
    os.mkfifo(path) if request.param == "pipe" else path.mkdir()
    return path


def test_what_is_no_regular_file_is_refused_before_it_is_read(endless: Path) -> None:
    from cnnkit.config.schema import Data
    from cnnkit.data.sources.arrays import npy_inputs, npz_inputs, open_npy, open_npz
    from cnnkit.data.sources.csv_file import csv_inputs, open_csv
    from cnnkit.io.json_file import read_json

    name = str(endless)
    npz = f"{name}: not a readable npz file (not a regular file)\n    numpy.savez writes them."
    table = f"{name}: the CSV file cannot be read: not a regular file\n    A text file in UTF-8 with a header line is wanted."
    expected = {
        lambda: open_npz(Data(npz=name)): npz,
        lambda: npz_inputs(endless, None): npz,
        lambda: open_npy(Data(npy=name, target="y.npy")): npz.replace("npz file", "npy file").replace("savez", "save"),
        lambda: npy_inputs(endless, None): npz.replace("npz file", "npy file").replace("savez", "save"),
        lambda: open_csv(Data(csv=name)): table,
        lambda: csv_inputs(endless, None): table,
    }
    for opening, message in expected.items():
        with pytest.raises(CnnkitError) as caught:
            opening()
        assert str(caught.value) == message
    with pytest.raises(OSError, match="not a regular file"):
        read_json(endless)
    with pytest.raises(CnnkitError, match=r"not a regular file|this is a folder"):
        read_file(endless)


def test_a_list_of_files_to_exclude_that_is_a_device_is_refused(tmp_path: Path) -> None:
    from cnnkit.config.schema import Data
    from cnnkit.data.sources.folder import open_folder

    for label in ("a", "b"):
        (tmp_path / label).mkdir()
        Image.new("RGB", (8, 8)).save(tmp_path / label / "1.png")
    with pytest.raises(CnnkitError) as caught:
        open_folder(Data(folder=str(tmp_path), exclude="/dev/zero"))
    assert str(caught.value) == (
        "/dev/zero: the list of files to exclude cannot be read\n    Write it with `cnnkit data check --quarantine`."
    )


def test_a_table_that_is_too_large_is_refused_before_it_is_read(tmp_path: Path) -> None:
    from cnnkit.data.sources.csv_file import read_table

    path = tmp_path / "sparse.csv"
    with path.open("wb") as file:
        file.truncate(257 * 2**20)  # takes no room on the disk
    with pytest.raises(CnnkitError) as caught:
        read_table(path)
    assert str(caught.value) == (
        f"{path}: the CSV file cannot be read: 257 MB; text of at most 256 MB is read\n"
        "    A text file in UTF-8 with a header line is wanted."
    )
