"""Mutated model files of every format: an error or an answer, no crash, no traceback, and no file written."""

from pathlib import Path

import pytest

from tests.artefacts import export
from tests.fuzz.model_files import KINDS, mutated_file, run


@pytest.fixture(scope="module")
def seeds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("seeds")
    export(folder, "classes", list(KINDS))
    return folder


@pytest.mark.parametrize("kind", ["onnx", "litert"])
def test_mutated_files_give_answers_or_plain_errors(seeds: Path, kind: str) -> None:
    outcomes, faults = run(seeds, 20, [kind])
    assert faults == []
    assert outcomes[f"{kind} read"] + outcomes[f"{kind} refused"] == 20
    assert outcomes[f"{kind} refused"] >= 5


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize(("kinds", "count"), [(["onnx", "litert"], 500), (["openvino"], 100), (["saved_model"], 40)])
def test_hundreds_of_mutated_files_give_answers_or_plain_errors(seeds: Path, kinds: list[str], count: int) -> None:
    outcomes, faults = run(seeds, count, kinds, first=1000)
    assert faults == []
    assert outcomes.total() == count


def test_every_way_of_mutating_is_used_and_changes_the_file() -> None:
    content, other = bytes(range(256)) * 4, b"\xff" * 500
    mutated = [mutated_file(content, other, number) for number in range(100)]
    assert sum(each != content for each in mutated) > 90
    assert any(len(each) < 1024 and content.startswith(each) for each in mutated)
    assert any(b"\xff" * 8 in each for each in mutated)
    assert any(len(each) == 1024 and sum(a != b for a, b in zip(each, content, strict=True)) == 1 for each in mutated)
