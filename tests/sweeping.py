"""A small sweep for tests: the packaged digits, a network of two layers, seconds a trial."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from cnnkit.config.load import LoadedConfig, load_config
from cnnkit.experiments.sweep.run import OpenSweep, open_sweep
from cnnkit.experiments.sweep.storage import StorageAddress

SPACE = {
    "train.optimizer.Adam.learning_rate": {"FloatDistribution": {"low": 1e-4, "high": 1e-1, "log": True}},
    "data.batch_size": {"CategoricalDistribution": {"choices": [32, 64, 128]}},
    "model.layers[1].Dense.units": {"IntDistribution": {"low": 8, "high": 32, "step": 8}},
}
SWEEP = {"trials": 3, "objective": "val_accuracy", "sampler": "RandomSampler", "space": SPACE}


def config_of(folder: Path, *, sweep: Mapping[str, Any] | None = None, **sections: Mapping[str, Any]) -> Path:
    """A config file with a sweep, its sections updated by the arguments."""
    value: dict[str, Any] = {
        "name": "small",
        "seed": 7,
        "data": {"dataset": "digits", "limit": 200, **sections.get("data", {})},
        "model": {
            "preprocess": [{"Rescaling": {"scale": "1/16"}}],
            "layers": ["Flatten", {"Dense": {"units": 16, "activation": "relu"}}, {"Dense": {"units": 10, "activation": "softmax"}}],
        },
        "train": {"epochs": 2, "optimizer": {"Adam": {"learning_rate": 1e-3}}, "metrics": ["accuracy"], **sections.get("train", {})},
        "sweep": {**SWEEP, **(sweep or {})},
    }
    path = folder / "small.yaml"
    path.write_text(yaml.safe_dump(value, sort_keys=False))
    return path


def loaded(folder: Path, **sections: Any) -> LoadedConfig:
    """The same, loaded."""
    return load_config([config_of(folder, **sections)])


def opened(folder: Path, **sections: Any) -> OpenSweep:
    """The same, opened as a sweep in `folder/sweep`."""
    return open_sweep(loaded(folder, **sections), folder / "sweep", StorageAddress())
