"""Whether an exported file is of the `.keras` file beside it, by its checksum: calibration or a resume changes that file."""

import hashlib
from pathlib import Path

from cnnkit.artifacts.formats import KERAS, format_of
from cnnkit.artifacts.metadata import ArtifactMetadata
from cnnkit.model.model_file import MODEL_NAME


def is_export_of(artifact: ArtifactMetadata, source: Path) -> bool:
    """Whether a file with this metadata was exported from a `.keras` file as it is now."""
    return artifact.source == hashlib.sha256(source.read_bytes()).hexdigest()


def stale_notice(path: Path, artifact: ArtifactMetadata) -> str:
    """A notice that an exported file is of another model than the `.keras` file beside it; empty where it is not, or there is none.

    Args:
        path: The exported file; or its folder, of a SavedModel or in a Triton model repository, which may lie deeper.
        artifact: Its metadata.
    """
    folders = [path.parent, path.parent.parent] if path.is_dir() else [path.parent]
    beside = next((each for each in (path.with_suffix(KERAS.suffix), *(folder / MODEL_NAME for folder in folders)) if each.is_file()), None)
    if beside is None or not artifact.source or is_export_of(artifact, beside):
        return ""
    return (
        f"{path.name} was exported from another {beside.name} than the one beside it now, which was calibrated or trained since: "
        "export it again for the answers of that one."
    )


def exports_beside(source: Path) -> list[Path]:
    """Exported files and folders beside a `.keras` file, and those in a Triton model repository there, by name."""
    found = [*source.parent.iterdir(), *source.parent.glob("triton/*")]
    return sorted(each for each in found if format_of(each) not in (None, KERAS))
