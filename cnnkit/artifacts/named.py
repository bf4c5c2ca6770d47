"""Objects named in a format's record, imported when they are needed: each brings its own large package."""

import importlib
from typing import Any


def named_object(name: str) -> Any:
    """The object of a name such as `cnnkit.artifacts.onnx_runtime:OnnxRuntime`."""
    module, _, attribute = name.partition(":")
    return getattr(importlib.import_module(module), attribute)
