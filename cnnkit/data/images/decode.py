"""Read a picture file: the one route by which training, evaluation and prediction get their pixels."""

import io
import logging
import stat
import struct
import threading
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import IO, Literal

import numpy as np
import numpy.typing as npt

# Importing the plugins registers their formats: Pillow would otherwise import all that it has at the first WebP or TIFF.
from PIL import (
    BmpImagePlugin,
    ExifTags,
    GifImagePlugin,
    Image,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    UnidentifiedImageError,
    WebPImagePlugin,
)

from cnnkit.errors import CnnkitError

Resize = Literal["stretch", "crop", "letterbox"]
Channels = Literal[1, 3]
Size = tuple[int, int]  # (height, width) in pixels
WidthHeight = tuple[int, int]  # in pixels, the order of Pillow
Box = tuple[float, float, float, float]  # left, top, right, bottom in pixels
Pixels = npt.NDArray[np.uint8]

FORMATS = tuple(
    plugin.format
    for plugin in (
        JpegImagePlugin.JpegImageFile,
        PngImagePlugin.PngImageFile,
        GifImagePlugin.GifImageFile,
        BmpImagePlugin.BmpImageFile,
        WebPImagePlugin.WebPImageFile,
        TiffImagePlugin.TiffImageFile,
    )
)
SUFFIXES = {  # of a file's name, in lower case -> the format that it promises
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".jpe": "JPEG",
    ".jfif": "JPEG",
    ".png": "PNG",
    ".gif": "GIF",
    ".bmp": "BMP",
    ".webp": "WEBP",
    ".tif": "TIFF",
    ".tiff": "TIFF",
}
LARGEST_MAX_PIXELS = 2 * (Image.MAX_IMAGE_PIXELS or 2**26)  # above it Pillow refuses by itself, whatever we allow

GIANT = 50_000_000  # pixels from which pictures are decoded one at a time: 100 million take up to 700 MB

_in_turn = threading.Lock()
_TURNED = {  # EXIF orientation -> what brings the picture upright
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_PILLOW_RAISES = (  # on hostile bytes, as fuzzing and its sources show; all of them mean that the file is at fault
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)

logging.getLogger("PIL").addHandler(logging.NullHandler())  # else its complaints about TIFF tags reach stderr


class Reason(StrEnum):
    """Why a file gives no pixels."""

    MISSING = "missing"
    UNREADABLE = "unreadable"
    EMPTY = "empty"
    NOT_AN_IMAGE = "not a JPEG, PNG, GIF, BMP, WebP or TIFF image"
    TRUNCATED = "truncated"
    CORRUPT = "corrupt"
    UNSUPPORTED = "unsupported kind of pixels"
    MAX_PIXELS = "over max_pixels"


class ImageFault(CnnkitError):  # noqa: N818 — the file is at fault, not the program
    """A file that gives no pixels.

    Attributes:
        reason: Why not, in a few words that stay the same from release to release.
        detail: What was found; may be empty.
    """

    def __init__(self, reason: Reason, detail: str = "", source: Path | bytes = b"") -> None:
        self.reason = reason
        self.detail = detail
        name = str(source) if isinstance(source, Path) else "image"
        super().__init__(f"{reason} ({detail})" if detail else str(reason), _REMEDIES.get(reason, _REPLACE), name)


_REPLACE = "Replace the file, or leave it out of the data."
_REMEDIES = {
    Reason.MISSING: "Check the path.",
    Reason.UNREADABLE: "Check that it is a file which you may read.",
    Reason.NOT_AN_IMAGE: "Convert it to one of these formats, or leave it out of the data.",
    Reason.UNSUPPORTED: "Convert it to 8 or 16 bits a channel, grey or RGB, or leave it out of the data.",
    Reason.MAX_PIXELS: f"Make the picture smaller, or raise max_pixels (to {LARGEST_MAX_PIXELS} at most).",
}


@dataclass(frozen=True)
class Header:
    """What a file says of itself before it is decoded.

    Attributes:
        format: One of `FORMATS`.
        mode: Pillow's name for the kind of pixels: `L`, `RGB`, `RGBA`, `P`, `CMYK`, `I;16`, …
        width: In pixels, of the upright picture.
        height: In pixels, of the upright picture.
    """

    format: str
    mode: str
    width: int
    height: int


def read_image(source: Path | bytes, *, size: Size | None, resize: Resize, channels: Channels, max_pixels: int) -> Pixels:
    """The pixels of a picture, upright, on white where it is transparent; the same bytes always give the same pixels.

    Of an animation it is the first frame. 16-bit grey is scaled by 1/257 (65535 becomes 255); of 16-bit colours Pillow
    keeps the upper 8 bits. JPEG is decoded at 1/2, 1/4 or 1/8 of its size where that is still at least the size wanted.
    Resizing is antialiased; enlarging is bilinear.

    Args:
        source: A file, or the bytes of one. Its content decides the format, not its name.
        size: Height and width wanted, in pixels; None for the picture's own.
        resize: `stretch` ignores the proportions; `crop` keeps the middle; `letterbox` keeps all, between black bars.
        channels: 1 for grey (ITU-R 601 luma), 3 for RGB.
        max_pixels: A file whose header tells more (height × width) is refused before it is decoded.

    Returns:
        `(height, width, channels)` uint8, 0..255.

    Raises:
        ImageFault: The file is missing, empty, broken, too large, or no picture.
    """
    return read_image_and_header(source, size=size, resize=resize, channels=channels, max_pixels=max_pixels)[0]


def read_image_and_header(
    source: Path | bytes, *, size: Size | None, resize: Resize, channels: Channels, max_pixels: int
) -> tuple[Pixels, Header]:
    """As `read_image`, with what the header says."""
    data = source if isinstance(source, bytes) else read_file(source)
    if not data:
        raise ImageFault(Reason.EMPTY, source=source)
    with _faults(source, data):
        image, header = _open(io.BytesIO(data), source, max_pixels)
        if header.format == "PNG":
            _verify_png(data)
        with _in_turn if image.width * image.height > GIANT else nullcontext():
            image, full = _upright(image, size, resize, channels)
            image = _plain(image, channels, source)
    if size is not None:
        image = _resized(image, full, size, resize)
    if channels == 3 and image.mode == "L":
        image = image.convert("RGB")  # only now: grey is resized as grey, a third of the work
    return np.asarray(image).reshape(image.height, image.width, channels), header


def read_header(path: Path, max_pixels: int) -> Header:
    """Format, mode and size of a picture file, without decoding it.

    Raises:
        ImageFault: The file is missing, empty, too large, or its header is that of no picture.
    """
    _require_file(path)
    with _faults(path, b""), path.open("rb") as file:
        return _open(file, path, max_pixels)[1]


def read_file(path: Path) -> bytes:
    """The bytes of a file.

    Raises:
        ImageFault: It is missing, empty, unreadable, or no regular file.
    """
    _require_file(path)
    try:
        return path.read_bytes()
    except (OSError, MemoryError) as error:
        raise ImageFault(Reason.UNREADABLE, _first_line(error), path) from error


def _require_file(path: Path) -> None:
    """Refuse what is missing, empty, a folder, or a pipe (which would wait for ever)."""
    try:
        found = path.stat()
    except FileNotFoundError as error:
        raise ImageFault(Reason.MISSING, source=path) from error
    except (OSError, ValueError) as error:
        raise ImageFault(Reason.UNREADABLE, _first_line(error), path) from error
    if not stat.S_ISREG(found.st_mode):
        raise ImageFault(Reason.UNREADABLE, "not a regular file", path)
    if not found.st_size:
        raise ImageFault(Reason.EMPTY, source=path)


class _Quiet:
    """Silence Pillow's warnings while at least one thread reads.

    `warnings.catch_warnings` alone changes the whole process: threads that overlap would restore each other's filters.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._readers = 0
        self._caught = warnings.catch_warnings()

    def __enter__(self) -> None:
        with self._lock:
            self._readers += 1
            if self._readers == 1:
                self._caught = warnings.catch_warnings()
                self._caught.__enter__()
                warnings.filterwarnings("ignore", module=r"PIL\.")

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._readers -= 1
            if self._readers == 0:
                self._caught.__exit__(None, None, None)


_quiet = _Quiet()


@contextmanager
def _faults(source: Path | bytes, data: bytes) -> Iterator[None]:
    """Turn whatever Pillow raises on the bytes of a file into an ImageFault, and keep its warnings to ourselves."""
    try:
        with _quiet:
            yield
    except Image.DecompressionBombError as error:
        raise ImageFault(Reason.MAX_PIXELS, f"more than {LARGEST_MAX_PIXELS} pixels", source) from error
    except _PILLOW_RAISES as error:
        detail = _first_line(error)
        cut = isinstance(error, EOFError) or "truncat" in detail.lower() or _ends_early(data)
        raise ImageFault(Reason.TRUNCATED if cut else Reason.CORRUPT, detail, source) from error


def _first_line(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return (str(error).splitlines() or [type(error).__name__])[0][:100]


def _ends_early(data: bytes) -> bool:
    """Whether a broken file lacks its end mark, or is shorter than it says."""
    if data.startswith(b"\xff\xd8"):
        return b"\xff\xd9" not in data[-4:]
    if data.startswith(b"\x89PNG"):
        return b"IEND" not in data[-8:]
    if data.startswith(b"GIF8"):
        return not data.endswith(b";")
    if data.startswith(b"BM"):
        return len(data) < int.from_bytes(data[2:6], "little")
    if data.startswith(b"RIFF"):
        return len(data) < 8 + int.from_bytes(data[4:8], "little")
    return False


def _open(file: IO[bytes], source: Path | bytes, max_pixels: int) -> tuple[Image.Image, Header]:
    try:
        image = Image.open(file, formats=FORMATS)
    except UnidentifiedImageError as error:
        file.seek(0)
        start = file.read(16)
        if any(accept and accept(start) is True for _, accept in map(Image.OPEN.__getitem__, FORMATS)):
            raise SyntaxError("its header cannot be read") from error
        raise ImageFault(Reason.NOT_AN_IMAGE, source=source) from error
    # a JPEG with further pictures behind the first, as telephones write it, goes by the name of MPO
    file_format = "JPEG" if image.format == "MPO" else str(image.format)
    width, height = image.size
    if width * height > max_pixels:
        raise ImageFault(Reason.MAX_PIXELS, f"{width}x{height} pixels, max_pixels is {max_pixels}", source)
    # of a PNG whose EXIF data stand behind the pixels, Pillow would decode those first; TIFF it has turned already
    if "exif" in image.info and file_format != "TIFF" and _orientation(image) >= 5:
        width, height = height, width
    return image, Header(file_format, image.mode, width, height)


def _verify_png(data: bytes) -> None:
    """Check every chunk of a PNG up to its last: Pillow leaves the pixels' checksums unread and stops at the last row.

    Raises:
        EOFError: The file ends before its last chunk does.
        SyntaxError: A checksum is wrong.
    """
    place, kind = 8, b""
    while kind != b"IEND":
        if len(data) < place + 12:
            raise EOFError("the file ends before its IEND chunk")
        length, kind = struct.unpack_from(">I4s", data, place)
        end = place + 8 + length
        if len(data) < end + 4:
            raise EOFError(f"the file ends within its {kind.decode('latin-1')} chunk")
        if zlib.crc32(memoryview(data)[place + 4 : end]) != int.from_bytes(data[end : end + 4], "big"):
            raise SyntaxError(f"wrong checksum of its {kind.decode('latin-1')} chunk")
        place = end + 4


def _upright(image: Image.Image, size: Size | None, resize: Resize, channels: Channels) -> tuple[Image.Image, WidthHeight]:
    """The decoded picture, turned as its EXIF data say, and its full size.

    A JPEG is reduced on the way where that leaves enough pixels.
    """
    if not isinstance(image, JpegImagePlugin.JpegImageFile):
        image.load()  # first: a PNG may hold its EXIF data behind the pixels, and Pillow turns a TIFF as it loads
        image = _turned(image, _orientation(image))
        return image, image.size
    orientation = _orientation(image)
    sideways = orientation >= 5
    full = (image.height, image.width) if sideways else image.size
    wanted = full if size is None else _fitted(full, size) if resize == "letterbox" else (size[1], size[0])
    image.draft("L" if channels == 1 else None, (wanted[1], wanted[0]) if sideways else wanted)
    image.load()
    return _turned(image, orientation), full


def _turned(image: Image.Image, orientation: int) -> Image.Image:
    return image.transpose(_TURNED[orientation]) if orientation in _TURNED else image


def _orientation(image: Image.Image) -> int:
    """1 to 8; 1 where the EXIF data are missing or broken, which says nothing against the pixels."""
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation)
    except _PILLOW_RAISES:
        return 1
    return orientation if orientation in _TURNED else 1


def _plain(image: Image.Image, channels: Channels, source: Path | bytes) -> Image.Image:
    """The picture as 8-bit `L` or, where it has colours that are wanted, `RGB`; transparent parts on white."""
    if image.mode in ("I", "F"):
        raise ImageFault(Reason.UNSUPPORTED, "32 bits, of which nobody knows what is black and what is white", source)
    if image.mode.startswith("I;16"):
        image = _from_16_bit(image)
    if image.has_transparency_data:
        cut_out = image if image.mode == "RGBA" else image.convert("RGBA")  # which would copy, up to 400 MB
        image = Image.new("RGB", image.size, "white")
        image.paste(cut_out, mask=cut_out)
    mode = "L" if channels == 1 or image.mode in ("1", "L") else "RGB"
    return image if image.mode == mode else image.convert(mode)


def _from_16_bit(image: Image.Image) -> Image.Image:
    values = np.asarray(image)
    levels = np.empty(values.shape, np.uint8)
    transparent = image.info.get("transparency")
    for row, level in zip(values, levels, strict=True):  # row by row: of all at once there would be three more copies
        level[:] = (row.astype(np.uint32) + 128) // 257  # rounded: 65535 / 257 = 255
        if isinstance(transparent, int):
            level[row == transparent] = 255
    return Image.fromarray(levels)


def _resized(image: Image.Image, full: WidthHeight, size: Size, resize: Resize) -> Image.Image:
    """The decoded picture in the size wanted; `full` is its size before it was reduced, which decides the proportions."""
    height, width = size
    if resize == "letterbox":
        fitted = _fitted(full, size)
        framed = Image.new(image.mode, (width, height))
        framed.paste(_scaled(image, fitted), ((width - fitted[0]) // 2, (height - fitted[1]) // 2))
        return framed
    if resize == "crop":
        scale = min(full[0] / width, full[1] / height)
        part_x, part_y = width * scale / full[0], height * scale / full[1]  # shares of the picture that are kept
        left, top = image.width * (1 - part_x) / 2, image.height * (1 - part_y) / 2
        return _scaled(image, (width, height), (left, top, image.width - left, image.height - top))
    return _scaled(image, (width, height))


def _scaled(image: Image.Image, size: WidthHeight, box: Box | None = None) -> Image.Image:
    """A part of a picture in another size.

    What shrinks by less than 2, as a reduced JPEG does, is the mean of the four nearest pixels at the quarters of each new
    one: half the time of an antialiased resize, as true as Keras's bilinear one (PSNR 31 dB on photographs for both).
    """
    left, top, right, bottom = box or (0, 0, *image.size)
    if image.size == size and (left, top, right, bottom) == (0, 0, *size):
        return image
    shrinks = (right - left) / size[0], (bottom - top) / size[1]
    if min(shrinks) >= 1 and max(shrinks) <= 2:
        return image.resize((2 * size[0], 2 * size[1]), Image.Resampling.NEAREST, box).reduce(2)
    return image.resize(size, Image.Resampling.BILINEAR, box, reducing_gap=2.0)


def _fitted(full: WidthHeight, size: Size) -> WidthHeight:
    """The size of a picture scaled to lie within `size`."""
    scale = min(size[1] / full[0], size[0] / full[1])
    return max(1, round(full[0] * scale)), max(1, round(full[1] * scale))
