"""The config of `cnnkit transfer`: the packaged one or the user's, with the base named on the command line."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cnnkit.config.load import ConfigSource, LoadedConfig, load_config
from cnnkit.config.packaged import packaged_config
from cnnkit.errors import CnnkitError, Fault, did_you_mean, fold, format_value
from cnnkit.keras_api.signatures import signature_table
from cnnkit.runs.directory import find_run

FINE_TUNE_EPOCHS = 5  # where no other number is given


@dataclass(frozen=True)
class FineTune:
    """A second phase (Adam with a learning rate of 1e-5): how many of the base's last layers are unfrozen, and for how many epochs."""

    layers: int
    epochs: int


def load_transfer(
    sources: Sequence[ConfigSource], base: str | None, overrides: Sequence[str], fine_tune: FineTune | None = None
) -> LoadedConfig:
    """The config of a transfer run.

    Args:
        sources: Config files or mappings; none for the packaged transfer.yaml.
        base: Name of a pretrained base in any spelling, or a run or model file of the user; None for the config's base.
        overrides: `a.b.c=value` overrides, which take precedence over everything else.
        fine_tune: A second phase over the last layers of the base; None for none.

    Raises:
        CnnkitError: The base is unknown, or the config is wrong or has none.
    """
    named: list[str] = []
    if base is not None and Path(base).exists():
        if Path(base).suffix != ".keras":
            find_run(Path(base))  # refuse a folder without a model now, by the name as typed
        named = [f"model.base={json.dumps({'run': str(Path(base).resolve())})}", "model.image_size=null"]
        named += [] if sources else ["model.head=null"]  # the packaged head has pooling, which the features of a user's model may not need
    elif base is not None:
        named = [f"model.base={json.dumps(base_name(base))}"]
    files = sources or [packaged_config("transfer")]
    loaded = load_config(files, [*named, *overrides])
    if loaded.config.model.base is None:
        raise loaded.config_error([Fault(("model",), "has no `base` to transfer from", "Write one, or name it: `--base mobilenetv2`.")])
    if fine_tune is None:
        return loaded
    phases = [
        {"train": "head"},
        {"train": f"last {fine_tune.layers}", "epochs": fine_tune.epochs, "optimizer": {"Adam": {"learning_rate": 1e-5}}},
    ]
    return load_config(files, [*named, f"train.phases={json.dumps(phases)}", *overrides])


def base_name(spelling: str) -> str:
    """Keras's name of a base from any spelling: `mobilenet_v2` is MobileNetV2.

    Raises:
        CnnkitError: There is no such base.
    """
    names = {fold(name): name for name in signature_table().objects["applications"]}
    match = names.get(fold(spelling.replace(" ", "")))
    if match is None:
        guess = did_you_mean(spelling, names.values())
        remedy = "`cnnkit bases` lists those of Keras; your own run can be a base, too: `--base runs/NAME`."
        raise CnnkitError(f"--base: unknown pretrained base, and no such run, {format_value(spelling)}.{guess}", remedy)
    return match
