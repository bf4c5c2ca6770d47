"""The config of `cnnkit transfer`: the packaged one or the user's, with the base named on the command line."""

import json
from collections.abc import Sequence
from pathlib import Path

from cnnkit.config.load import LoadedConfig, load
from cnnkit.config.packaged import packaged_config
from cnnkit.errors import CnnkitError, did_you_mean, fold
from cnnkit.signatures import signature_table


def load_transfer(paths: Sequence[Path], base: str | None, overrides: Sequence[str]) -> LoadedConfig:
    """The config of a transfer run.

    Args:
        paths: Config files; none for the packaged transfer.yaml.
        base: A pretrained base in any spelling, which takes the place of the config's; None for the config's own.
        overrides: `a.b.c=value` overrides, which win over `base`.

    Raises:
        CnnkitError: The base is unknown, or the config is wrong or has none.
    """
    named = [f"model.base={json.dumps(base_name(base))}"] if base is not None else []
    loaded = load(paths or [packaged_config("transfer")], [*named, *overrides])
    if loaded.config.model.base is None:
        raise CnnkitError(f"{paths[0]}: has no `model.base` to transfer from", "Write one, or name it: `--base mobilenetv2`.")
    return loaded


def base_name(spelling: str) -> str:
    """Keras's name of a base from any spelling: `mobilenet_v2` is MobileNetV2.

    Raises:
        CnnkitError: There is no such base.
    """
    names = {fold(name): name for name in signature_table().objects["applications"]}
    if fold(spelling) not in names:
        meant = did_you_mean(spelling, names.values())
        raise CnnkitError(f"--base: unknown pretrained base '{spelling[:60]}'.{meant}", f"Keras has: {', '.join(names.values())}.")
    return names[fold(spelling)]
