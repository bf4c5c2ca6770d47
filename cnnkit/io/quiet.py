"""Keep what libraries write to the terminal off it: only their exceptions count."""

import contextlib
import os
import sys
import warnings
from collections.abc import Iterator


@contextlib.contextmanager
def buffered_stderr() -> Iterator[None]:
    """Context manager: redirects file descriptor 2 to a temporary file, whose content is printed only if an exception is raised."""
    import tempfile

    sys.stderr.flush()
    with tempfile.TemporaryFile() as buffer:
        original = os.dup(2)
        os.dup2(buffer.fileno(), 2)
        try:
            yield
        except BaseException:
            sys.stderr.flush()
            buffer.seek(0)
            os.write(original, buffer.read())
            raise
        finally:
            os.dup2(original, 2)
            os.close(original)


@contextlib.contextmanager
def without_output() -> Iterator[None]:
    """Context manager: discards what Python or C++ code writes to standard output and standard error, and its warnings."""
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    with open(os.devnull, "wb") as nowhere, warnings.catch_warnings():  # noqa: PTH123 - a device, not a path of ours
        warnings.simplefilter("ignore")
        originals = {descriptor: os.dup(descriptor) for descriptor in (1, 2)}
        for descriptor in originals:
            os.dup2(nowhere.fileno(), descriptor)
        try:
            yield
        finally:
            for stream in (sys.stdout, sys.stderr):
                stream.flush()
            for descriptor, original in originals.items():
                os.dup2(original, descriptor)
                os.close(original)
