"""Hostile inputs: good files of each kind, changed byte by byte and in their structure, each from a number."""

import io
import json
import random
import struct
import zipfile
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import yaml

HUGE = (0, -1, 1, 2**31 - 1, 2**31, 2**32 - 1, 2**63, 10**19, -(2**63))
WORDS = (
    "", "\x1b[31mred\x1b[0m", "[red]x[/]", "[/data]", "\u202egnp.exe", "a\nb", "$\\frac{", "../../x", "/etc/passwd", "nan", "-inf", "1e999",
    "0x10", "true", "null", "~", "<<", "&a", "*a", "!!python/object/apply:os.system [id]", "%s%n", "A" * 5000, "9" * 5000, "[" * 200, "{a: " * 90,
    "\x00", "\ufeff", "Ω≈ç", "train", "Lambda", "Conv2D", "1/0", "1/255", "=cmd|' /C calc'!A0", "\ud800".encode("utf-8", "surrogatepass").decode("latin-1"),
)  # fmt: skip
VALUES: tuple[Any, ...] = (
    *HUGE,
    *WORDS,
    None,
    True,
    1.5,
    float("nan"),
    float("inf"),
    1e308,
    [],
    {},
    [[]],
    [1, 2, 3],
    {"a": 1},
    [None] * 50,
)


def mutated(seeds: list[bytes], kind: str, number: int) -> bytes:
    """The hostile input of a number, the same each time."""
    chance = random.Random(f"{kind} {number}")
    data = chance.choice(seeds)
    structured = STRUCTURED.get(kind)
    if structured is not None and chance.random() < 0.6:
        data = structured(data, chance)
        if chance.random() < 0.8:
            return data
    return mutated_bytes(data, chance)


def mutated_bytes(data: bytes, chance: random.Random) -> bytes:
    """One to eight changes: bytes flipped, cut, doubled, overwritten, words and extreme numbers put in."""
    content = bytearray(data)
    for _ in range(chance.choice((1, 1, 1, 2, 4, 8))):
        at = chance.randrange(len(content) + 1)
        length = min(chance.choice((1, 2, 4, 16, 300)), len(content) - at)
        change = chance.randrange(8)
        if change == 0 and at < len(content):
            content[at] ^= 1 << chance.randrange(8)
        elif change == 1 and at < len(content):
            content[at] = chance.choice((0, 0xFF, 0x7F, 0x80, chance.randrange(256)))
        elif change == 2:
            del content[at : at + length]
        elif change == 3:
            content[at:at] = content[at : at + length] * chance.choice((1, 3, 50))
        elif change == 4:
            content[at:at] = chance.choice(WORDS).encode("utf-8", "surrogatepass")
        elif change == 5:
            number = chance.choice(HUGE) & (2**64 - 1)
            packed = struct.pack(chance.choice("<>") + "Q", number)[: chance.choice((2, 4, 8))]
            content[at : at + len(packed)] = packed
        elif change == 6:
            del content[at:]
        else:
            content[at : at + length] = bytes(chance.randrange(256) for _ in range(length))
    return bytes(content)


def mutated_tree(value: Any, chance: random.Random) -> Any:
    """A nested value of which some places hold something else, are gone, stand twice or are wrapped deep."""
    places = [(None, None)]
    waiting = [value]
    while waiting:
        here = waiting.pop()
        keys = list(here) if isinstance(here, dict) else list(range(len(here))) if isinstance(here, list) else []
        places += [(here, key) for key in keys]
        waiting += [here[key] for key in keys]
    for _ in range(chance.choice((1, 1, 2, 4))):
        here, key = chance.choice(places)
        if here is None or (isinstance(here, dict) and key not in here) or (isinstance(here, list) and key >= len(here)):
            continue
        change = chance.randrange(6)
        if change <= 2:
            here[key] = chance.choice(VALUES)
        elif change == 3:
            del here[key]
        elif change == 4:
            for _ in range(chance.choice((1, 5, 40, 2000))):
                here[key] = [here[key]] if chance.random() < 0.5 else {"a": here[key]}
        elif isinstance(here, list):
            here.insert(key, here[key])
        else:
            here[chance.choice(WORDS)] = here[key]
    return value


def mutated_yaml(data: bytes, chance: random.Random) -> bytes:
    value = mutated_tree(yaml.safe_load(data), chance)
    try:
        return yaml.safe_dump(value, default_flow_style=chance.choice((True, False, None)), allow_unicode=True).encode(
            "utf-8", "surrogatepass"
        )
    except RecursionError:
        return b"[" * 3000


def mutated_json(data: bytes, chance: random.Random) -> bytes:
    try:
        return json.dumps(mutated_tree(json.loads(data), chance), ensure_ascii=chance.random() < 0.5).encode("utf-8", "surrogatepass")
    except RecursionError:
        return b"[" * 3000 + b"]" * 3000


def mutated_csv(data: bytes, chance: random.Random) -> bytes:
    rows = [line.split(",") for line in data.decode().splitlines()]
    for _ in range(chance.choice((1, 2, 5))):
        row = chance.choice(rows)
        change = chance.randrange(5)
        if change <= 1 and row:
            row[chance.randrange(len(row))] = str(chance.choice(VALUES))
        elif change == 2:
            row.append(chance.choice(('"', '""', '"a,b"', "'", "\r", "\t", ";" * 9)))
        elif change == 3 and len(rows) > 1:
            rows.remove(row)
        else:
            rows.insert(chance.randrange(len(rows) + 1), list(row))
    end = chance.choice(("\n", "\r\n", "\r", "\n\n"))
    return end.join(",".join(row) for row in rows).encode(chance.choice(("utf-8", "utf-8-sig", "utf-16")), "surrogatepass")


def npy(shape: str, dtype: str, content: bytes, *, fortran: bool = False) -> bytes:
    """An npy file of any header, true or not."""
    header = f"{{'descr': {dtype}, 'fortran_order': {fortran}, 'shape': {shape}, }}".encode("utf-8", "surrogatepass")
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header) % 65536) + header + content


def mutated_npy(data: bytes, chance: random.Random) -> bytes:
    shapes = ("()", "(0,)", "(-1, 4)", "(9, 4, 4, 3)", "(1000000000, 4)", "(9223372036854775807,)", "(4294967296, 4294967296, 4)", "(9,)", "(9, 2)",
              "(1.5,)", "(True, 3)", "'x'", "[9, 4]", "(" + "1, " * 100 + ")", "(" * 300, "(9, 1, 1)", "(10**9,)", "(99999, 9999, 9999)")  # fmt: skip
    dtypes = ("'<f4'", "'|u1'", "'<i8'", "'|O'", "'<U9'", "'<U500000000'", "'|S5'", "'<f2'", "'<f8'", "'<c8'", "'|b1'", "'>f4'", "'<M8[s]'", "'|V8'",
              "[('a', '<f4'), ('b', '|O')]", "[('a', '<f4', (1000000, 1000000))]", "'x'", "None", "9", "'<f4' + 'x'")  # fmt: skip
    body = data[128:]
    body = chance.choice((body, body[: len(body) // 2], b"", np.full(99, np.nan, "<f4").tobytes(), bytes(600)))
    return npy(chance.choice(shapes), chance.choice(dtypes), body, fortran=chance.random() < 0.2)


def rezipped(data: bytes, chance: random.Random, change: Callable[[str, bytes], bytes], names: tuple[str, ...]) -> bytes:
    """An archive with one member changed, its checksums right; sometimes compressed, renamed, doubled or with one more."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = [(name, archive.read(name)) for name in archive.namelist()]
    at = chance.randrange(len(members))
    name, content = members[at]
    members[at] = (name, change(name, content))
    event = chance.randrange(12)
    if event == 0:
        members[at] = (chance.choice(names), content)
    elif event == 1:
        members.append((chance.choice(names), chance.choice((b"", b"x", bytes(2**22)))))
    elif event == 2:
        del members[at]
    elif event == 3:
        members.append(members[0])
    buffer = io.BytesIO()
    compression = chance.choice((zipfile.ZIP_STORED, zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))
    import warnings

    with warnings.catch_warnings(), zipfile.ZipFile(buffer, "w", compression) as archive:
        warnings.simplefilter("ignore")
        for name, content in members:
            archive.writestr(name or "x", content)
    return buffer.getvalue()


def mutated_npz(data: bytes, chance: random.Random) -> bytes:
    def change(name: str, content: bytes) -> bytes:
        if chance.random() < 0.1:
            return npy("(50000000, 2, 2)", "'|u1'", bytes(2 * 10**7))
        return mutated_npy(content, chance) if chance.random() < 0.7 else mutated_bytes(content, chance)

    return rezipped(
        data, chance, change, ("../x.npy", "/x.npy", "x.npy", "y.npy", "x.txt", "class_names.npy", "\x1b[31m.npy", "a" * 300 + ".npy")
    )


def mutated_keras(data: bytes, chance: random.Random) -> bytes:
    def change(name: str, content: bytes) -> bytes:
        if name.endswith(".json") and chance.random() < 0.9:
            return mutated_json(content, chance)
        return mutated_bytes(content, chance)

    return rezipped(
        data, chance, change, ("../x", "/x", "config.json", "assets/../../x", "model.weights.h5", "model.weights.npz", "\x1b[31m")
    )


def mutated_checkpoint(data: bytes, chance: random.Random) -> bytes:
    """Other content under a checksum that is right, or a header that does not fit its content."""
    from safetensors.numpy import load, save

    from cnnkit.training.checkpoint.store import FORMAT, _digest

    length = struct.unpack("<Q", data[:8])[0]
    header = data[8 : 8 + length]
    if chance.random() < 0.4:
        packed = mutated_json(header, chance)
        return struct.pack("<Q", len(packed)) + packed + data[8 + length :]
    state = mutated_json(json.loads(header)["__metadata__"]["state"].encode(), chance).decode("utf-8", "replace")
    arrays = load(data)
    return bytes(save(arrays, {"format": FORMAT, "state": state, "sha256": _digest(state, arrays)}))


def mutated_image(data: bytes, chance: random.Random) -> bytes:
    """A PNG of another size, kind or content with right checksums; other formats byte by byte."""
    if not data.startswith(b"\x89PNG"):
        return mutated_bytes(data, chance)
    chunks, at = [], 8
    while at < len(data):
        (length,) = struct.unpack_from(">I", data, at)
        chunks.append([data[at + 4 : at + 8], data[at + 8 : at + 8 + length]])
        at += 12 + length
    chunk = chance.choice(chunks)
    if chance.random() < 0.01:  # as large as may be, and black
        return giant_png(9990, *chance.choice(((8, 6, 4), (16, 0, 1), (8, 2, 3))))
    if chunk[0] == b"IHDR":
        sizes = [chance.choice((0, 1, 9, 300, 9000, 60000, 2**31 - 1, 2**32 - 1)) for _ in range(2)]
        chunk[1] = struct.pack(
            ">IIBBBBB", *sizes, chance.choice((1, 8, 16, 3)), chance.choice((0, 2, 3, 4, 6, 7)), 0, 0, chance.choice((0, 1, 2))
        )
    else:
        chunk[1] = zlib.compress(bytes(chance.choice((0, 10, 10**7)))) if chance.random() < 0.3 else mutated_bytes(chunk[1], chance)
    if chance.random() < 0.3:
        chunks.insert(
            chance.randrange(len(chunks)),
            [chance.choice((b"zTXt", b"eXIf", b"iCCP", b"tRNS", b"PLTE", b"acTL", b"fdAT")), bytes(chance.randrange(64))],
        )
    parts = [struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks]
    return data[:8] + b"".join(parts)


def giant_png(side: int, depth: int, colour: int, channels: int) -> bytes:
    """A good black picture of `side` x `side` pixels in a few MB."""
    packer = zlib.compressobj(1)
    pixels = b"".join(packer.compress(bytes(1 + side * channels * depth // 8)) for _ in range(side)) + packer.flush()
    chunks = ((b"IHDR", struct.pack(">IIBBBBB", side, side, depth, colour, 0, 0, 0)), (b"IDAT", pixels), (b"IEND", b""))
    parts = [struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


STRUCTURED: dict[str, Callable[[bytes, random.Random], bytes]] = {
    "yaml": mutated_yaml,
    "json": mutated_json,
    "csv": mutated_csv,
    "npy": mutated_npy,
    "npz": mutated_npz,
    "keras": mutated_keras,
    "checkpoint": mutated_checkpoint,
    "image": mutated_image,
}
