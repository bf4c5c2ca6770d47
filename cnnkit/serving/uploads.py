"""Pictures in a request: the files of a form, or the body itself."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from cnnkit.data.images.faults import ImageFault, Reason
from cnnkit.data.images.reader import ImageReader
from cnnkit.errors import count
from cnnkit.prediction.predict import Prediction
from cnnkit.serving.limits import MOST_UPLOADS
from cnnkit.serving.refusal import Refused

Array = npt.NDArray[Any]

MOST_PARTS = 2 * MOST_UPLOADS  # of a form, with fields that are no files
MOST_NAME = 200  # characters of a file name that an answer repeats


@dataclass(frozen=True)
class Upload:
    """An uploaded file: its name as the client gave it, and its bytes."""

    name: str
    content: bytes = field(repr=False)


@dataclass(frozen=True)
class Decoded:
    """The uploads of a request, decoded.

    Attributes:
        names: Names of all uploads, in order.
        inputs: Pixels of those that could be decoded `(n, height, width, channels)` uint8; None where there is none.
        faults: Index of an upload -> why it could not be decoded.
        too_large: Whether one of these has too many pixels.
    """

    names: tuple[str, ...]
    inputs: Array | None
    faults: dict[int, str]
    too_large: bool

    def merged(self, predictions: list[Prediction]) -> list[Prediction]:
        """Predictions in the order of the uploads, with an error for each that could not be decoded."""
        found = iter(predictions)
        return [Prediction(name, error=self.faults[i]) if i in self.faults else next(found) for i, name in enumerate(self.names)]


def uploads_in(body: bytes, content_type: str, most: int = MOST_UPLOADS) -> list[Upload]:
    """The files in a body.

    Args:
        body: A form (`multipart/form-data`), or one picture (`image/…`).
        content_type: The request's header.
        most: Largest number of files.

    Raises:
        Refused: There is none, there are too many (413), or the form is damaged.
    """
    if content_type.partition("/")[0].strip().lower() == "image":
        return [Upload("picture", body)]
    form = _Form(most)
    form.parse(body, content_type)
    if not form.uploads:
        raise Refused(400, "the form has no file: send pictures as files, such as `curl -F image=@photo.jpg`")
    return form.uploads


def decode(uploads: list[Upload], reader: ImageReader) -> Decoded:
    """Decode uploads as the model's pictures are read."""
    pixels, faults, too_large = [], {}, False
    for index, upload in enumerate(uploads):
        try:
            pixels.append(reader.read(upload.content))
        except ImageFault as fault:
            faults[index] = fault.message
            too_large |= fault.reason in (Reason.MAX_PIXELS, Reason.SIDE, Reason.FEW_BYTES)
    return Decoded(tuple(upload.name for upload in uploads), np.stack(pixels) if pixels else None, faults, too_large)


class _Form:
    """Collects the files of a form; its other fields are skipped."""

    def __init__(self, most: int) -> None:
        self.uploads: list[Upload] = []
        self._most = most
        self._parts, self._ended = 0, False
        self._field, self._value, self._disposition = b"", b"", b""
        self._content: list[bytes] = []

    def parse(self, body: bytes, content_type: str) -> None:
        """Parse a whole body.

        Raises:
            Refused: It is no form, or has too many parts.
        """
        from python_multipart.exceptions import FormParserError
        from python_multipart.multipart import MultipartParser, parse_options_header

        kind, options = parse_options_header(content_type)
        boundary = options.get(b"boundary")
        if kind != b"multipart/form-data" or not boundary:
            raise Refused(415, "send pictures as a form (multipart/form-data), one picture (image/…), or arrays (application/json)")
        callbacks: Any = {
            "on_part_begin": self._begin,
            "on_header_field": lambda data, start, end: self._add("_field", data[start:end]),
            "on_header_value": lambda data, start, end: self._add("_value", data[start:end]),
            "on_header_end": self._header,
            "on_part_data": lambda data, start, end: self._content.append(data[start:end]),
            "on_part_end": self._end,
            "on_end": self._finish,
        }
        try:
            MultipartParser(boundary, callbacks).write(body)
        except FormParserError as error:
            raise Refused(400, "the form is damaged") from error
        if not self._ended:
            raise Refused(400, "the form is cut off: its closing boundary is missing")

    def _begin(self) -> None:
        self._parts += 1
        if self._parts > MOST_PARTS:
            raise Refused(413, f"the form has more than {MOST_PARTS} parts")
        self._disposition, self._content = b"", []

    def _add(self, name: str, data: bytes) -> None:
        setattr(self, name, getattr(self, name) + data)

    def _header(self) -> None:
        if self._field.lower() == b"content-disposition":
            self._disposition = self._value
        self._field = self._value = b""

    def _end(self) -> None:
        from python_multipart.multipart import parse_options_header

        _, options = parse_options_header(self._disposition)
        name = options.get(b"filename")
        if name is None:
            return
        if len(self.uploads) == self._most:
            raise Refused(413, f"more than {count(self._most, 'picture')} in a request")
        self.uploads.append(Upload(name.decode("utf-8", "replace")[:MOST_NAME] or "picture", b"".join(self._content)))

    def _finish(self) -> None:
        self._ended = True
