"""The configs that come with cnnkit: finding, describing and copying them."""

import re
from dataclasses import dataclass
from pathlib import Path

from cnnkit.config.measured import Measured, measured_in
from cnnkit.errors import CnnkitError, did_you_mean
from cnnkit.io.atomic import write_text

_PACKAGE = Path(__file__).parent.parent


def folder() -> Path:
    """The folder of the packaged configs: inside an installed package, or at the top of a checkout."""
    installed = _PACKAGE / "configs"
    return installed if installed.is_dir() else _PACKAGE.parent / "configs"


def packaged_config(name: str) -> Path:
    """The file of a packaged config, such as `cifar`.

    Raises:
        CnnkitError: There is no such config.
    """
    stem = name.removesuffix(".yaml")
    paths = {path.stem: path for path in _files()}
    if stem not in paths:
        raise CnnkitError(f"no packaged config '{stem[:60]}'.{did_you_mean(stem, paths)}", f"There are: {', '.join(paths)}.")
    return paths[stem]


@dataclass(frozen=True)
class PackagedConfig:
    """A packaged config as a list shows it: its name, the first line of its leading comment, and what was measured of it."""

    name: str
    description: str
    measured: Measured | None


def packaged_configs() -> list[PackagedConfig]:
    """All packaged configs by name."""
    return [PackagedConfig(path.stem, _description(path), measured_in(path)) for path in _files()]


def comment_and_config(text: str) -> tuple[str, str]:
    """The leading comment of a packaged config's text without the newlines at its end, and the config from `name:` on."""
    comment, name, rest = text.partition("\nname:")
    return comment.rstrip("\n"), (name + rest).lstrip("\n")


def commands_in(path: Path) -> list[str]:
    """The `cnnkit` commands in a config's leading comment, without `cnnkit`: one that trains, and perhaps one that evaluates its run."""
    comment, _ = comment_and_config(path.read_text(encoding="utf-8"))
    return re.findall(r"^#   cnnkit (.+)$", comment, re.MULTILINE)


def resolve_name(path: Path) -> Path:
    """The packaged config that a bare name such as `digits` stands for, where there is no file of that name; else the path itself."""
    return folder() / f"{path.name}.yaml" if is_packaged_name(path) else path


def is_packaged_name(path: Path) -> bool:
    """Whether a path is the bare name of a packaged config, and no file or folder of that name is there."""
    return path.parent == Path() and not path.suffix and not path.exists() and path.name in names()


def names() -> list[str]:
    """The names of the packaged configs, sorted."""
    return [path.stem for path in _files()]


def _files() -> list[Path]:
    return sorted(folder().glob("*.yaml"), key=lambda path: path.stem)


def copy_config(name: str, destination: Path | None) -> Path:
    """Copy a packaged config.

    Args:
        name: Its name, such as `cifar`.
        destination: A file or a folder; None for the working directory.

    Returns:
        The path of the file written.

    Raises:
        CnnkitError: There is no such config, or the destination exists already or cannot be written.
    """
    source = packaged_config(name)
    target = destination or Path(source.name)
    target = target / source.name if target.is_dir() else target
    if target.exists():
        raise CnnkitError(f"{target}: is there already, and is not overwritten", "Name another file.")
    try:
        write_text(target, source.read_text(encoding="utf-8"))
    except OSError as error:
        raise CnnkitError(f"{target}: cannot be written ({error.strerror})") from error
    return target


def _description(path: Path) -> str:
    comments = [line.removeprefix("#").strip() for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("#")]
    return next((line for line in comments if line and not line.startswith("yaml-language-server")), "")
