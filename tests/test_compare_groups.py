"""Groups of runs are tested against each other only where they were measured on the same examples: on small files, without training."""

import json
from pathlib import Path
from typing import Any

import pytest

from cnnkit.experiments.compare_groups import compare_groups

DATA = {"folder": "/photos/birds", "validation": 0.1, "test": 0.15}


def group_of(
    folder: Path, kind: str, values: dict[int, float], data: dict[str, Any] | None = None, seed: int | None = 42, on: str = "test"
) -> Path:
    """A group of finished runs with an accuracy each, by seed or number of the fold, and some entries of `data` of its own."""
    config: dict[str, Any] = {"name": folder.name, "data": {**DATA, **(data or {})}}
    if kind == "folds":
        config["seed"] = seed
    folder.mkdir()
    (folder / "group.json").write_text(json.dumps({"kind": kind, "config": config, "folds": len(values) if kind == "folds" else 0}))
    for number, accuracy in values.items():
        run = folder / f"{kind[:-1]}-{number}"
        run.mkdir()
        own = {**config, "seed": number} if kind == "seeds" else {**config, "data": {**config["data"], "fold": {"number": number}}}
        (run / "config.yaml").write_text(json.dumps(own))
        results = {"measured_on": f"{on} set of birds", "examples": 20, "accuracy": accuracy, "balanced_accuracy": accuracy, "loss": 1.0}
        (run / "metrics.json").write_text(json.dumps(results))
        (run / "environment.json").write_text(json.dumps({"state": "finished"}))
        (run / "history.csv").write_text("epoch,loss\n1,1.0\n")
    return folder


VALUES = {1: 0.5, 2: 0.6, 3: 0.8}
BETTER = {1: 0.6, 2: 0.8, 3: 0.85}


def why_not(first: Path, other: Path) -> str:
    versus = compare_groups([first, other], first.parent / "c.png").versus[0]
    assert bool(versus.differences) == (versus.why_not == "")
    return versus.why_not


@pytest.mark.parametrize(
    ("ours", "theirs", "difference"),
    [
        (({}, 42), ({}, 42), ""),
        (({}, 42), ({}, 7), "the seed of the data is 42 and 7"),
        (({"seed": 5}, 42), ({"seed": 5}, 7), ""),  # other weights on the same folds
        (({"seed": None}, 5), ({"seed": 5}, 7), ""),
        (({"seed": 0}, 5), ({"seed": 5}, 5), "the seed of the data is 0 and 5"),
        (({"seed": 5}, 42), ({"seed": 6}, 42), "the seed of the data is 5 and 6"),
        (({}, 42), ({"input": "z"}, 42), "data.input is null and 'z'"),
        (({}, 42), ({"separator": "|"}, 42), "data.separator is null and '|'"),
    ],
)
def test_folds_are_paired_where_their_division_is_one(
    ours: tuple[dict[str, Any], int], theirs: tuple[dict[str, Any], int], difference: str, tmp_path: Path
) -> None:
    first, other = (
        group_of(tmp_path / name, "folds", values, *own)
        for name, values, own in (("a", VALUES, ours), ("b", BETTER, theirs))
    )  # fmt: skip
    assert why_not(first, other) == (f"their folds are different divisions of the data: {difference}" if difference else "")


@pytest.mark.parametrize(
    ("ours", "theirs", "difference"),
    [
        ({}, {}, ""),
        ({}, {"image_size": 64, "augment": ["RandomFlip"], "limit": 100, "validation": 0.3}, ""),  # trained otherwise, measured on the same
        ({"seed": 3}, {"seed": 3}, ""),
        ({}, {"folder": "/other/birds"}, "data.folder is '/photos/birds' and '/other/birds'"),
        ({}, {"classes": ["owl", "tit"]}, "data.classes is null and ['owl', 'tit']"),
        ({}, {"test": 0.3}, "data.test is 0.15 and 0.3"),
        ({}, {"seed": 3}, "data.seed is null and 3"),
        ({"folder": None, "dataset": "cifar10"}, {"folder": None, "dataset": "cifar10", "seed": 3}, ""),
        ({"folder": None, "dataset": "shapes"}, {"folder": None, "dataset": "shapes", "seed": 3}, "data.seed is null and 3"),
    ],
)
@pytest.mark.parametrize("paired", [True, False])
def test_groups_of_seeds_are_tested_where_they_were_measured_on_the_same_examples(
    ours: dict[str, Any], theirs: dict[str, Any], difference: str, paired: bool, tmp_path: Path
) -> None:
    first = group_of(tmp_path / "a", "seeds", VALUES, ours)
    other = group_of(tmp_path / "b", "seeds", BETTER if paired else {seed + 10: value for seed, value in BETTER.items()}, theirs)
    assert why_not(first, other) == (f"they were not measured on the same examples: {difference}" if difference else "")


@pytest.mark.parametrize(
    ("source", "difference"), [("folder", ""), ("dataset", "data.limit is 500 and 5000"), ("npz", "data.limit is 500 and 5000")]
)
def test_a_limit_counts_where_validation_examples_are_drawn_from_what_it_leaves(source: str, difference: str, tmp_path: Path) -> None:
    own = {"folder": None, source: "birds"}
    first = group_of(tmp_path / "a", "seeds", VALUES, {**own, "limit": 500}, on="validation")
    other = group_of(tmp_path / "b", "seeds", BETTER, {**own, "limit": 5000}, on="validation")
    assert why_not(first, other) == (f"they were not measured on the same examples: {difference}" if difference else "")
