"""A small sweep for tests: the packaged digits, a network of two layers, seconds a trial."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import yaml

from cnnkit.config.load import LoadedConfig, load_config
from cnnkit.experiments.sweep.run import OpenSweep, open_sweep
from cnnkit.experiments.sweep.status import status_of
from cnnkit.experiments.sweep.storage import StorageAddress
from cnnkit.experiments.sweep.task import SweepTask
from cnnkit.runs.directory import RunDirectory

SPACE = {
    "train.optimizer.Adam.learning_rate": {"FloatDistribution": {"low": 1e-4, "high": 1e-1, "log": True}},
    "data.batch_size": {"CategoricalDistribution": {"choices": [32, 64, 128]}},
    "model.layers[1].Dense.units": {"IntDistribution": {"low": 8, "high": 32, "step": 8}},
}
SWEEP = {"trials": 3, "objective": "val_accuracy", "sampler": "RandomSampler", "space": SPACE}

CLASSIFIER = {"Dense": {"units": 10, "activation": "softmax"}}
DENSE = ["Flatten", {"Dense": {"units": 16, "activation": "relu"}}, CLASSIFIER]
CONVOLUTIONAL = [{"Conv2D": {"filters": 4, "kernel_size": 3}}, "Flatten", CLASSIFIER]


def mapping_of(*, sweep: Mapping[str, Any] | None = None, layers: Sequence[Any] = DENSE, **sections: Mapping[str, Any]) -> dict[str, Any]:
    """A config with a sweep as a mapping, its sections updated by the arguments."""
    return {
        "name": "small",
        "seed": 7,
        "data": {"dataset": "digits", "limit": 200, **sections.get("data", {})},
        "model": {"preprocess": [{"Rescaling": {"scale": "1/16"}}], "layers": [*layers]},
        "train": {"epochs": 2, "optimizer": {"Adam": {"learning_rate": 1e-3}}, "metrics": ["accuracy"], **sections.get("train", {})},
        "sweep": {**SWEEP, **(sweep or {})},
    }


def config_of(folder: Path, **sections: Any) -> Path:
    """The same as a file."""
    path = folder / "small.yaml"
    path.write_text(yaml.safe_dump(mapping_of(**sections), sort_keys=False))
    return path


def loaded(folder: Path, **sections: Any) -> LoadedConfig:
    """The same, loaded."""
    return load_config([config_of(folder, **sections)])


def opened(folder: Path, **sections: Any) -> OpenSweep:
    """The same, opened as a sweep in `folder/sweep`."""
    return open_sweep(loaded(folder, **sections), folder / "sweep", StorageAddress())


class Silent:
    """A display and listener that does nothing, or fails in an epoch."""

    def __init__(self, fail_after: int | None = None, with_error: type[BaseException] = KeyboardInterrupt) -> None:
        self.fail_after, self.error, self.epochs = fail_after, with_error, 0

    def on_epoch(self, row: dict[str, float]) -> None:
        self.epochs += 1
        if self.epochs == self.fail_after:
            raise self.error

    def scanning(self) -> AbstractContextManager[Any]:
        return nullcontext(lambda done, total: None)

    def training(self, epochs: int, steps: int, done: object) -> AbstractContextManager[Any]:
        return nullcontext(self)

    def __getattr__(self, name: str) -> Any:
        return lambda *arguments: None


def worker(folder: Path, **sections: Any) -> OpenSweep:
    """Train all trials of a sweep as a worker does, and open it."""
    sweep = opened(folder, **sections)
    assert SweepTask("w", sweep.folder.path, loaded(folder, **sections), sweep.address).train(Silent())
    return opened(folder, **sections)


def chosen(sweep: OpenSweep) -> list[tuple[dict[str, Any], float]]:
    return [(dict(row.values), row.value) for row in status_of(sweep.study).rows]


def history(run: Path) -> list[dict[str, float]]:
    rows = RunDirectory(run).read_history()
    return [{name: value for name, value in row.items() if name not in ("seconds", "images_per_second")} for row in rows]
