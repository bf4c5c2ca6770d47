"""Path of the deployable model in a run's folder."""

from pathlib import Path

from cnnkit.errors import CnnkitError

MODEL_NAME = "model.keras"


def model_in(path: Path, named: Path | None = None) -> Path:
    """The model file for a path: the path itself, or the model in a run's folder.

    Args:
        path: A `.keras` file or a folder.
        named: The path as the user wrote it, for messages; `path` itself where left out.

    Raises:
        CnnkitError: There is no such folder, or it has no model file.
    """
    named = named if named is not None else path
    if path.suffix == ".keras":
        return path
    if not path.exists():
        raise CnnkitError("no such run", "See which there are: `cnnkit runs`.", named)
    if path.is_file() or (path / "saved_model.pb").exists():
        raise CnnkitError(
            "is neither a run nor a .keras file; files of other formats do not keep the layers of a network",
            "Name the run that it was exported from, or its .keras file.",
            named,
        )
    if not (path / MODEL_NAME).exists():
        raise CnnkitError(f"has no {MODEL_NAME}, so it is not a run that got to its end", "Train it again, or name another run.", named)
    return path / MODEL_NAME
