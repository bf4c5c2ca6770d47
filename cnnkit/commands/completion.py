"""Shell completion of arguments: configs and runs, by name and by path, without TensorFlow."""

from collections.abc import Iterator
from pathlib import Path

from cnnkit.runs.names import RUNS

YAML = (".yaml", ".yml")


def complete_config(incomplete: str) -> list[str]:
    """Packaged configs, YAML files and folders that begin with what is typed."""
    from cnnkit.config.packaged import names

    return [*(name for name in names() if name.startswith(incomplete)), *_paths(incomplete, YAML)]


def complete_run(incomplete: str) -> list[str]:
    """Names of runs, and folders and model files that begin with what is typed."""
    runs = sorted(path.parent.name for path in RUNS.glob("*/config.yaml") if path.parent.name.startswith(incomplete))
    return [*runs, *_paths(incomplete, (".keras", ".onnx", ".tflite", ".xml"))]


def complete_config_or_run(incomplete: str) -> list[str]:
    """Both."""
    return list(dict.fromkeys([*complete_config(incomplete), *complete_run(incomplete)]))


def _paths(incomplete: str, endings: tuple[str, ...]) -> Iterator[str]:
    """Files of some endings, and folders with a `/` behind, that begin with what is typed; hidden ones only where a dot is typed."""
    typed = Path(incomplete or ".")
    folder, start = (typed, "") if not incomplete or incomplete.endswith("/") else (typed.parent, typed.name)
    try:
        found = sorted(folder.iterdir())
    except OSError:
        return
    for path in found:
        if path.name.startswith(start) and (start.startswith(".") or not path.name.startswith(".")):
            if path.is_dir():
                yield f"{path}/"
            elif path.suffix in endings:
                yield str(path)
