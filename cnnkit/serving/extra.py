"""Whether what a server needs is installed."""

import importlib.util

from cnnkit.errors import CnnkitError

NEEDED = {"fastapi": "FastAPI", "uvicorn": "Uvicorn", "prometheus_client": "prometheus-client", "python_multipart": "python-multipart"}


def require_extra() -> None:
    """Check that the extra `serve` is installed.

    Raises:
        CnnkitError: Something is missing; the remedy is the pip command.
    """
    missing = [label for module, label in NEEDED.items() if importlib.util.find_spec(module) is None]
    if missing:
        verb = "is" if len(missing) == 1 else "are"
        raise CnnkitError(f"a server needs {' and '.join(missing)}, which {verb} not installed", 'pip install "cnnkit[serve,onnx]"')
