"""What was measured of a packaged config: it survives being written into the leading comment, and grows old."""

from dataclasses import replace
from pathlib import Path

import pytest

from cnnkit.config import packaged
from cnnkit.config.measured import Measured, measured_in
from cnnkit.config.packaged import PackagedConfig
from cnnkit.console.configs import print_configs
from cnnkit.errors import CnnkitError
from website.recipe_reference import recipe_reference

MEASURED = Measured(
    version="0.3.1",
    tensorflow="2.21.0",
    machine="2 cores of an AMD EPYC",
    task="cifar10: 10 classes",
    metric="test accuracy",
    value=0.699,
    spread=0.004,
    seeds=3,
    seconds=83,
    operations=2.1e13,
    parameters=122_570,
)


def _config(folder: Path, block: str) -> Path:
    path = folder / "cifar.yaml"
    path.write_text(f"# The tutorial CNN.\n#\n#   cnnkit train configs/cifar.yaml\n#\n{block}\n\nname: cifar\n")
    return path


def test_what_is_written_is_read(tmp_path: Path) -> None:
    assert measured_in(_config(tmp_path, MEASURED.block("cifar"))) == MEASURED


def test_the_metric_may_name_its_test_time_augmentation(tmp_path: Path) -> None:
    measured = replace(MEASURED, metric="test accuracy with --tta shift", value=0.941)
    assert measured_in(_config(tmp_path, measured.block("cifar"))) == measured


def test_the_page_of_recipes_shows_commands_and_measurements(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packaged, "folder", lambda: tmp_path)
    path = _config(tmp_path, MEASURED.block("cifar"))
    path.write_text(path.read_text().replace("#\n# Measured", "#   cnnkit evaluate runs/cifar --tta flip\n#\n# Measured"))
    (tmp_path / "new.yaml").write_text("# A new one.\n#\n#   cnnkit train configs/new.yaml\n\nname: new\n")
    overview, cifar, new, how = recipe_reference().split("\n## ")
    assert "| [cifar](#cifar) | cifar10: 10 classes | test accuracy **0.699** ± 0.004 | 83 s | 122,570 |" in overview
    assert "| [new](#new) | | not measured | | |" in overview
    assert cifar.splitlines()[:6] == [
        "cifar",
        "",
        "The tutorial CNN.",
        "",
        "    cnnkit train cifar",
        "    cnnkit evaluate runs/cifar --tta flip",
    ]
    assert "Test accuracy **0.699** ± 0.004 (3 seeds) in 83 s on 2 cores of an AMD EPYC, TensorFlow 2.21.0" in cifar
    assert "× 10¹³ operations, 122,570 parameters." in cifar
    assert "    cnnkit train new" in new
    assert "**" not in new
    assert "Not measured" in new
    assert "standard deviation over the seeds" in how


def test_a_config_without_measurements_has_none(tmp_path: Path) -> None:
    assert measured_in(_config(tmp_path, "# Not measured.")) is None


@pytest.mark.parametrize("label", ["task", "metric", "time", "operations", "parameters"])
def test_a_missing_line_is_named(tmp_path: Path, label: str) -> None:
    lines = [line for line in MEASURED.block("cifar").splitlines() if not line.startswith(f"#   {label}")]
    with pytest.raises(CnnkitError, match=f"cifar.yaml.*no readable `{label}`") as raised:
        measured_in(_config(tmp_path, "\n".join(lines)))
    assert "python benchmarks/recipes.py cifar" in str(raised.value)


@pytest.mark.parametrize("number", ["metric", "time", "operations", "parameters"])
def test_a_line_without_its_number_is_named(tmp_path: Path, number: str) -> None:
    lines = [f"#   {number}  quick" if line.startswith(f"#   {number}") else line for line in MEASURED.block("cifar").splitlines()]
    with pytest.raises(CnnkitError, match=f"no readable `{number}`"):
        measured_in(_config(tmp_path, "\n".join(lines)))


@pytest.mark.parametrize(
    ("version", "outdated"),
    [("0.3.1", False), ("0.3.9", False), ("0.4.0", False), ("0.5.0", True), ("0.5.0.dev2+gabc", True), ("1.0.0", True), ("1.3.1", True)],
)
def test_measurements_are_outdated_after_more_than_a_minor_version(version: str, outdated: bool) -> None:
    assert MEASURED.is_outdated(version) is outdated


def test_the_list_shows_what_was_measured(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    print_configs([PackagedConfig("cifar", "The tutorial CNN.", MEASURED), PackagedConfig("other", "Not measured.", None)])
    lines = capsys.readouterr().out.splitlines()
    measured = next(line for line in lines if "accuracy" in line)
    assert measured.strip() == "cifar10: 10 classes, test accuracy 0.699 ± 0.004, 83 s, 122,570 parameters"
    assert "Not measured." in lines[-1] or "Not measured." in lines[-2]
