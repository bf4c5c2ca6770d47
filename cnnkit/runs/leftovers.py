"""Remove what killed processes left in a run's folder: temporary files and folders of every writer in it."""

from pathlib import Path

from cnnkit.io.atomic import remove_leftover_folders, remove_leftovers

_FILES = (  # names of all files directly in a run's folder, as a regular expression
    r"config\.yaml|model\.(keras|json)|(history|manifest)\.csv|(metrics|environment|calibration|mlflow|probe|benchmark)\.json|"
    r"(curves|confusion|reliability|predictions|comparison|probe|probe-.+|benchmark)\.png|report\.html|"
    r"model(-int8|-float16)?\.(onnx|tflite|xml|bin)"
)
_VERSIONED = ("model-saved_model", "triton/*")  # folders of numbered versions, which `cnnkit export` writes into a run's folder
_VERSION_FILES = r"labels\.txt|config\.pbtxt"
_EXPLANATION_FILES = r"explanation\.json|(grad-cam|layers|filters|layer-\d\d-.+)\.png"


def remove_leftovers_in(run: Path) -> None:
    """Remove temporary files of a run's own files, of explanations in it, and of models exported into it."""
    remove_leftovers(run, _FILES)
    for pattern in _VERSIONED:
        for folder in run.glob(pattern):
            remove_leftovers(folder, _VERSION_FILES)
            remove_leftover_folders(folder, r"\d+")
    for folder in run.glob("explain/*"):
        remove_leftovers(folder, _EXPLANATION_FILES)
