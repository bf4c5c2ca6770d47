"""The cluster of the environment: who the workers are, and clear errors for what is wrong in it."""

import json
from typing import Any

import pytest

from cnnkit.errors import CnnkitError
from cnnkit.training.distribution.cluster import Cluster, cluster_of_environment, is_slurm_step


def config(cluster: Any, kind: str = "worker", index: int = 0) -> dict[str, str]:
    return {"TF_CONFIG": json.dumps({"cluster": cluster, "task": {"type": kind, "index": index}, "environment": "cloud"})}


def test_a_process_without_a_cluster_is_alone() -> None:
    assert cluster_of_environment({}) is None
    assert cluster_of_environment({"TF_CONFIG": "{}"}) is None
    assert cluster_of_environment(config({"worker": ["a:1"]})) is None


def test_the_first_worker_is_the_chief_where_no_task_is_of_that_type() -> None:
    cluster = cluster_of_environment(config({"worker": ["a:1", "b:2"]}, index=1))
    assert cluster == Cluster(("a:1", "b:2"), 1)
    assert (cluster.is_chief, cluster.name(0), cluster.name(1)) == (False, "the chief (a:1)", "worker 1 (b:2)")


def test_a_chief_comes_before_the_workers() -> None:
    tasks = {"worker": ["b:2", "c:3"], "chief": ["a:1"]}
    assert cluster_of_environment(config(tasks, "chief")) == Cluster(("a:1", "b:2", "c:3"), 0)
    assert cluster_of_environment(config(tasks, "worker", 1)) == Cluster(("a:1", "b:2", "c:3"), 2)


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"TF_CONFIG": "{worker"}, "cannot be read (JSONDecodeError)"),
        ({"TF_CONFIG": "[1]"}, "cannot be read (AttributeError)"),
        (config({"worker": ["a:1", "b:2"], "ps": ["c:3"]}), "has the task 'ps'"),
        (config({"worker": ["a:1", "b:2"]}, "evaluator"), "has the task 'evaluator'"),
        (config({"worker": ["a:1", "b:2"]}, index=2), "has the task index 2, but 2 of type worker"),
        (config({"worker": ["a:1", "b"]}), "has the address 'b'"),
        (config({"worker": ["a:1", "b:x"]}), "has the address 'b:x'"),
        (config({"worker": ["a:1", "a:1"]}), "names an address twice"),
    ],
)
def test_what_is_wrong_with_it_is_named(environment: dict[str, str], message: str) -> None:
    with pytest.raises(CnnkitError) as raised:
        cluster_of_environment(environment)
    assert raised.value.headline == f"TF_CONFIG of the environment: {message}"
    assert raised.value.remedy


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"SLURM_STEP_NUM_TASKS": "2", "SLURM_STEP_NODELIST": "n[1-2]"}, True),
        ({"SLURM_STEP_NUM_TASKS": "1", "SLURM_STEP_NODELIST": "n1"}, False),
        ({"SLURM_NTASKS": "2", "SLURM_NODELIST": "n[1-2]"}, False),  # a batch script, which has not called srun
        ({"SLURM_STEP_NUM_TASKS": "2", "SLURM_STEP_NODELIST": "n[1-2]", **config({"worker": ["a:1"]})}, False),
    ],
)
def test_a_slurm_step_of_several_tasks_is_recognized(environment: dict[str, str], expected: bool) -> None:
    assert is_slurm_step(environment) == expected


def test_the_workers_of_slurm_are_those_of_its_nodes_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    from cnnkit.training.distribution.opening import find_cluster

    monkeypatch.setenv("TF_CONFIG", "")
    monkeypatch.delenv("TF_CONFIG")
    slurm = {"PROCID": "2", "STEP_NUM_TASKS": "3", "STEP_NODELIST": "node[07-08]", "STEP_TASKS_PER_NODE": "2,1", "JOB_ID": "1253"}
    for name, value in slurm.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    assert find_cluster() == Cluster(("node07:10048", "node07:10049", "node08:10048"), 2)


def test_a_slurm_step_that_cannot_be_resolved_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    from cnnkit.training.distribution.opening import find_cluster

    monkeypatch.setenv("TF_CONFIG", "")
    monkeypatch.delenv("TF_CONFIG")
    for name, value in {"STEP_NUM_TASKS": "2", "STEP_NODELIST": "node[07-08]", "PROCID": "0"}.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    with pytest.raises(CnnkitError) as raised:
        find_cluster()
    assert raised.value.message == (
        "the Slurm step's nodes cannot be resolved: SLURM_STEP_TASKS_PER_NODE not found in environment. Not running inside a SLURM step?"
    )
