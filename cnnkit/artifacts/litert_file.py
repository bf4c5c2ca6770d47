"""cnnkit's metadata inside a LiteRT file, as one named buffer of its flatbuffer."""

from pathlib import Path

import numpy as np

from cnnkit.artifacts.adapter import KEY
from cnnkit.errors import CnnkitError


def metadata_in(content: bytes, path: Path) -> bytes | None:
    """The JSON that `with_metadata` put in; None where there is none.

    Args:
        content: A file's content, of unknown origin.
        path: The file, which the message names.

    Raises:
        CnnkitError: The file is no LiteRT model.
    """
    from ai_edge_litert import schema_py_generated as schema

    try:
        model = schema.Model.GetRootAs(content, 0)
        for index in range(min(model.MetadataLength(), 64)):
            entry = model.Metadata(index)
            if entry is not None and entry.Name() == KEY.encode():
                buffer = model.Buffers(entry.Buffer())
                return None if buffer is None or buffer.DataIsNone() else bytes(buffer.DataAsNumpy())
    except Exception as error:
        raise CnnkitError(f"is no LiteRT model ({type(error).__name__})", location=path) from error
    return None


def with_metadata(content: bytes, metadata: str) -> bytes:
    """The content of a file with metadata put in, in place of what was there under that name."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))
    model.metadata = [entry for entry in model.metadata or [] if entry.name not in (KEY, KEY.encode())]
    buffer = schema.BufferT()
    buffer.data = np.frombuffer(metadata.encode("utf-8"), np.uint8)  # a list would be packed byte by byte
    model.buffers = [*(model.buffers or []), buffer]
    entry = schema.MetadataT()
    entry.name, entry.buffer = KEY, len(model.buffers) - 1
    model.metadata.append(entry)
    builder = flatbuffers.Builder(len(content) + len(metadata) + 1024)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())
