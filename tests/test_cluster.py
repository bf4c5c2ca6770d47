"""The cluster of the environment: who the workers are, and clear errors for what is wrong in it."""

import json
import os
import sys
from typing import Any

import pytest

import cnnkit
from cnnkit import cli
from cnnkit.commands.several_runs import refuse_several_runs_on_workers
from cnnkit.errors import CnnkitError
from cnnkit.training.distribution.cluster import LAUNCH_RESTARTS, Cluster, cluster_of_environment
from cnnkit.training.distribution.lost_worker import LostWorkerError, lost_workers_named
from cnnkit.training.distribution.slurm import is_slurm_step


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
    ],
)
def test_a_slurm_step_of_several_tasks_is_recognized(environment: dict[str, str], expected: bool) -> None:
    assert is_slurm_step(environment) == expected


SLURM = {
    "SLURM_PROCID": "2",
    "SLURM_STEP_NUM_TASKS": "3",
    "SLURM_STEP_NODELIST": "node[9-10]",
    "SLURM_STEP_TASKS_PER_NODE": "2,1",
    "SLURM_JOB_ID": "1253",
}


def test_the_cluster_of_a_slurm_step_has_its_nodes_in_order() -> None:
    cluster = cluster_of_environment(SLURM)
    assert cluster == Cluster(("node9:10048", "node9:10049", "node10:10048"), 2, "this Slurm step")
    assert str(cluster) == "the 3 workers of this Slurm step"


def test_tf_config_comes_before_slurm() -> None:
    cluster = cluster_of_environment({**SLURM, **config({"worker": ["a:1", "b:2"]}, index=1)})
    assert cluster == Cluster(("a:1", "b:2"), 1)
    assert cluster_of_environment({**SLURM, **config({"worker": ["a:1"]})}) is None


def test_tensorflow_gets_the_cluster_of_slurm_by_tf_config(monkeypatch: pytest.MonkeyPatch) -> None:
    from cnnkit.training.distribution.opening import find_cluster

    monkeypatch.setenv("TF_CONFIG", "")  # so that it is restored
    monkeypatch.delenv("TF_CONFIG")
    for name, value in SLURM.items():
        monkeypatch.setenv(name, value)
    found = find_cluster()
    assert found is not None
    assert json.loads(os.environ["TF_CONFIG"]) == {
        "cluster": {"worker": list(found.addresses)},
        "task": {"type": "worker", "index": 2},
    }


@pytest.mark.parametrize(
    ("command", "option"),
    [
        (["train", "c.yaml", "--seeds", "2"], "--seeds"),
        (["train", "c.yaml", "--folds", "3"], "--folds"),
        (["transfer", "--seeds", "2"], "--seeds"),
        (["transfer", "--compare-scratch"], "--compare-scratch"),
        (["transfer", "--fractions", "0.5,1"], "--fractions"),
        (["sweep", "c.yaml"], "sweep"),
        (["sweep", "c.yaml", "--best"], "sweep"),
    ],
    ids=lambda part: part if isinstance(part, str) else " ".join(part),
)
@pytest.mark.parametrize(
    ("environment", "workers"),
    [(config({"worker": ["a:1", "b:2"]}), "the 2 workers of TF_CONFIG"), (SLURM, "the 3 workers of this Slurm step")],
    ids=["TF_CONFIG", "Slurm"],
)
def test_several_runs_are_refused_where_several_workers_train_one(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: list[str],
    option: str,
    environment: dict[str, str],
    workers: str,
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "argv", ["cnnkit", *command])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    remedy = "Start it as one process, whose own `workers` train runs at once."
    assert (stopped.value.code, capsys.readouterr().err) == (1, f"Error: {option} trains several runs; {workers} train one\n    {remedy}\n")


@pytest.mark.parametrize(("name", "options"), [("repeat", {"seeds": 2}), ("sweep", {})])
def test_several_runs_from_python_are_refused_there_too(monkeypatch: pytest.MonkeyPatch, name: str, options: dict[str, int]) -> None:
    for key, value in config({"worker": ["a:1", "b:2"]}).items():
        monkeypatch.setenv(key, value)
    with pytest.raises(CnnkitError, match=f"cnnkit.{name} trains several runs; the 2 workers of TF_CONFIG train one"):
        getattr(cnnkit, name)("digits", **options)


def test_one_process_may_train_several_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TF_CONFIG", config({"worker": ["a:1"]})["TF_CONFIG"])
    refuse_several_runs_on_workers(seeds="2", folds=None)


@pytest.mark.parametrize(
    ("environment", "remedy"),
    [
        ({}, "Start all workers with X."),
        ({"CNNKIT_LAUNCHED": "true"}, LAUNCH_RESTARTS),
    ],
)
def test_how_to_go_on_after_a_lost_worker_is_what_the_user_has_to_do(environment: dict[str, str], remedy: str) -> None:
    import tensorflow as tf

    cluster = cluster_of_environment({**config({"worker": ["127.0.0.1:1", "127.0.0.1:2"]}), **environment})
    with pytest.raises(LostWorkerError) as raised, lost_workers_named(cluster, "Start all workers with X."):
        raise tf.errors.UnavailableError(None, None, "socket closed")
    assert str(raised.value) == f"worker 1 (127.0.0.1:2) was lost\n    See its own output for the reason. {remedy}"
