"""Read the fields of an untrusted protobuf message: the wire format alone, without generated classes.

ONNX files and SavedModels are protobuf messages. Reading their fields here needs neither the package onnx nor TensorFlow, and each
field is visited, also where a parser would let the last of several win. https://protobuf.dev/programming-guides/encoding/
"""

from collections.abc import Iterator

MAX_FIELDS = 10_000_000  # of one file; some five seconds
MAX_DEPTH = 100  # nested messages; the limit of protobuf's own parsers

_VARINT, _EIGHT_BYTES, _BYTES, _FOUR_BYTES = 0, 1, 2, 5  # wire types


class MessageReader:
    """Reads messages of one file; counts fields so that a file of nothing but fields ends early."""

    def __init__(self) -> None:
        self._fields = 0

    def fields(self, message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
        """The fields of a message in their order.

        Yields:
            Field number, and the value: an integer, or the bytes of a text or a message.

        Raises:
            ValueError: The message is cut short or damaged, or the file has more than `MAX_FIELDS` fields.
        """
        position = 0
        while position < len(message):
            self._fields += 1
            if self._fields > MAX_FIELDS:
                raise ValueError("too many fields")
            key, position = _varint(message, position)
            wire_type = key & 7
            value: int | memoryview
            if wire_type == _VARINT:
                value, position = _varint(message, position)
            elif wire_type == _BYTES:
                size, position = _varint(message, position)
                value = message[position : position + size]
                position += size
            elif wire_type in (_EIGHT_BYTES, _FOUR_BYTES):
                size = 8 if wire_type == _EIGHT_BYTES else 4
                value = int.from_bytes(message[position : position + size], "little")
                position += size
            else:
                raise ValueError(f"wire type {wire_type}")
            if position > len(message):
                raise ValueError("cut short")
            yield key >> 3, value

    def messages(self, message: memoryview, *path: int) -> Iterator[memoryview]:
        """The messages or texts at a path of field numbers, in all occurrences of each field.

        Raises:
            ValueError: As for `fields`.
        """
        if not path:
            yield message
            return
        for number, value in self.fields(message):
            if number == path[0] and isinstance(value, memoryview):
                yield from self.messages(value, *path[1:])

    def texts(self, message: memoryview, *path: int) -> list[str]:
        """The texts at a path of field numbers; bytes that are not UTF-8 become escapes.

        Raises:
            ValueError: As for `fields`.
        """
        return [bytes(value).decode("utf-8", "backslashreplace") for value in self.messages(message, *path)]


def _varint(message: memoryview, position: int) -> tuple[int, int]:
    """The integer of variable length at a position, and the position after it."""
    value = 0
    for shift in range(0, 70, 7):
        if position >= len(message):
            raise ValueError("cut short")
        byte = message[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & (2**64 - 1), position
    raise ValueError("an integer of more than ten bytes")
