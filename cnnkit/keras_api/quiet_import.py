"""Import TensorFlow and Keras without the lines that TensorFlow's C++ code writes to standard error.

Whichever statement imports them first, standard error (the file descriptor: no Python logger sees those lines) is buffered
while they load. Where the import fails, the buffered output is printed before the traceback.
"""

import importlib.abc
import importlib.machinery
import os
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any

from cnnkit.io.quiet import buffered_stderr

PACKAGES = ("tensorflow", "keras")


def install() -> None:
    """Install an import hook that buffers standard error during imports of TensorFlow and Keras in this process."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # later C++ logging: fatal errors only
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


class _Finder(importlib.abc.MetaPathFinder):
    """Finds the packages as the import system does, and wraps their loader."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname not in PACKAGES:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader)
        return spec


class _Loader(importlib.abc.Loader):
    """Delegates to the wrapped loader, and buffers standard error while it executes a module."""

    def __init__(self, wrapped: Any) -> None:
        self._wrapped = wrapped

    def __getattr__(self, name: str) -> Any:
        return getattr(self._wrapped, name)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        module: ModuleType | None = self._wrapped.create_module(spec)
        return module

    def exec_module(self, module: ModuleType) -> None:
        with buffered_stderr():
            self._wrapped.exec_module(module)
