"""Train convolutional neural networks with Keras from a YAML file.

    import cnnkit

    run = cnnkit.train("digits")            # a packaged config, a YAML file, or a mapping
    run.predict("photos/").labels

Nothing is imported before it is used: `import cnnkit` takes no time and imports neither TensorFlow nor Keras.
"""

import importlib
from typing import TYPE_CHECKING, Any

from cnnkit import errors as errors

if TYPE_CHECKING:
    from cnnkit.api.display import StandInWarning as StandInWarning
    from cnnkit.api.experiments import compare as compare
    from cnnkit.api.experiments import repeat as repeat
    from cnnkit.api.experiments import sweep as sweep
    from cnnkit.api.inspection import bases as bases
    from cnnkit.api.inspection import check as check
    from cnnkit.api.inspection import check_data as check_data
    from cnnkit.api.inspection import init as init
    from cnnkit.api.inspection import list_configs as list_configs
    from cnnkit.api.inspection import list_runs as list_runs
    from cnnkit.api.inspection import schema as schema
    from cnnkit.api.inspection import summary as summary
    from cnnkit.api.predictions import Predictions as Predictions
    from cnnkit.api.run import Run as Run
    from cnnkit.api.run import load as load
    from cnnkit.api.training import resume as resume
    from cnnkit.api.training import train as train
    from cnnkit.api.training import transfer as transfer
    from cnnkit.version import __version__ as __version__

_MODULES = {  # of each name: what is not a module of its own
    "cnnkit.api.experiments": ("compare", "repeat", "sweep"),
    "cnnkit.api.inspection": ("bases", "check", "check_data", "init", "list_configs", "list_runs", "schema", "summary"),
    "cnnkit.api.predictions": ("Predictions",),
    "cnnkit.api.run": ("Run", "load"),
    "cnnkit.api.display": ("StandInWarning",),
    "cnnkit.api.training": ("resume", "train", "transfer"),
    "cnnkit.version": ("__version__",),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}

__all__ = [*_MODULE_OF, "errors"]  # noqa: PLE0604 - texts all of them


def __getattr__(name: str) -> Any:
    """A function or class of the interface, imported at its first use."""
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'cnnkit' has no attribute '{name}'{errors.did_you_mean(name, _MODULE_OF)}")
    value = globals()[name] = getattr(importlib.import_module(_MODULE_OF[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
