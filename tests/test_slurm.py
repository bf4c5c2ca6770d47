"""The workers of a Slurm step: rank by rank the hosts that Slurm runs them on."""

import pytest

from cnnkit.errors import CnnkitError
from cnnkit.training.distribution.slurm import expand_counts, expand_nodes, slurm_workers


def step(nodes: str, tasks_per_node: str, tasks: int, rank: int = 0, **further: str) -> dict[str, str]:
    environment = {"STEP_NODELIST": nodes, "STEP_TASKS_PER_NODE": tasks_per_node, "STEP_NUM_TASKS": str(tasks), "PROCID": str(rank)}
    return {f"SLURM_{name}": value for name, value in (environment | further).items()}


# Node list -> what `scontrol show hostnames` of Slurm 22.05.8 (Debian 12) prints.
HOSTNAMES = {
    "node[1-3,10],gpu7": "node1 node2 node3 node10 gpu7",
    "node[9-11]": "node9 node10 node11",
    "node[08-11]": "node08 node09 node10 node11",
    "n[098-101]": "n098 n099 n100 n101",
    "node[1-3,010]": "node1 node2 node3 node010",
    "n[01-3]": "n01 n02 n03",
    "node[10,2,1]": "node10 node2 node1",
    "node10,node2,node1": "node10 node2 node1",
    "a,b[3],c[1-2,5]": "a b3 c1 c2 c5",
    "rack[0-1]node[1-2]": "rack0node1 rack0node2 rack1node1 rack1node2",
    "10.0.0.[1-3]": "10.0.0.1 10.0.0.2 10.0.0.3",
    "n[1-2],": "n1 n2",
    "gpu-a-7": "gpu-a-7",
}


@pytest.mark.parametrize("text", HOSTNAMES)
def test_a_node_list_is_expanded_as_scontrol_does(text: str) -> None:
    assert expand_nodes(text) == HOSTNAMES[text].split()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("node[3-1]", "has the range '3-1'"),
        ("node[a-b]", "has the range 'a-b'"),
        ("node[]", "has the range ''"),
        ("node[1-2-3]", "has the range '1-2-3'"),
        ("node[1-2", "has the value 'node[1-2'"),
        ("node]", "has the value 'node]'"),
        ("", "has the value ''"),
    ],
)
def test_what_is_no_node_list_is_named(text: str, message: str) -> None:
    with pytest.raises(CnnkitError) as raised:
        expand_nodes(text)
    assert raised.value.headline == f"SLURM_STEP_NODELIST of the environment: {message}"
    assert raised.value.remedy == "Start cnnkit by `srun`; or set TF_CONFIG yourself."


@pytest.mark.parametrize(("text", "counts"), [("2(x3),1", [2, 2, 2, 1]), ("1", [1]), ("4(x2)", [4, 4]), ("1,3(x1),2", [1, 3, 2])])
def test_tasks_per_node_are_counted(text: str, counts: list[int]) -> None:
    assert expand_counts(text) == counts


def test_ranks_follow_the_node_list_and_not_the_names_as_text() -> None:
    hosts = [f"node{number}:10000" for number in range(1, 11)]  # as text, node10 comes before node2
    assert slurm_workers(step("node[1-10]", "1(x10)", 10, rank=4)) == (hosts, 4)


def test_the_tasks_of_a_node_have_ports_of_their_own_that_follow_from_the_job() -> None:
    addresses, _ = slurm_workers(step("node[9-10],gpu7", "2(x2),1", 5, JOB_ID="1253"))
    assert addresses == ["node9:10048", "node9:10049", "node10:10048", "node10:10049", "gpu7:10048"]
    other_job, _ = slurm_workers(step("node[9-10],gpu7", "2(x2),1", 5, JOB_ID="1254"))
    assert not set(addresses) & set(other_job)


@pytest.mark.parametrize(("rank", "node"), [(0, "0"), (1, "0"), (2, "1")])
def test_the_node_that_slurm_names_is_the_one_of_the_rank(rank: int, node: str) -> None:
    assert slurm_workers(step("a,b", "2,1", 3, rank, NODEID=node))[1] == rank


def test_tasks_that_are_not_distributed_in_blocks_are_told_what_to_ask_of_srun() -> None:
    with pytest.raises(CnnkitError) as raised:
        slurm_workers(step("a,b", "2(x2)", 4, rank=1, NODEID="1"))  # `srun --distribution=cyclic`
    assert str(raised.value) == (
        "SLURM_NODEID of the environment: task 1 runs on node 1 of the step, but in blocks it would on node 0\n"
        "    Start cnnkit by `srun --distribution=block`."
    )


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        (step("a,b", "1(x3)", 3), "SLURM_STEP_TASKS_PER_NODE of the environment: has 3 numbers for the 2 nodes of SLURM_STEP_NODELIST"),
        (step("a,b", "1(x)", 2), "SLURM_STEP_TASKS_PER_NODE of the environment: has the value '1(x)'"),
        (step("a,b", "1(x2)", 3), "SLURM_STEP_NUM_TASKS of the environment: is 3, with 2 in SLURM_STEP_TASKS_PER_NODE and the rank 0 in SLURM_PROCID"),
        (step("a,b", "1(x2)", 2, rank=2), "SLURM_STEP_NUM_TASKS of the environment: is 2, with 2 in SLURM_STEP_TASKS_PER_NODE and the rank 2 in SLURM_PROCID"),
        (step("a,b", "1(x2)", 2, PROCID="x"), "SLURM_PROCID of the environment: has the value 'x', which is no number"),
        ({"SLURM_STEP_NODELIST": "a,b", "SLURM_STEP_NUM_TASKS": "2"}, "SLURM_STEP_TASKS_PER_NODE of the environment: is not set"),
    ],
)  # fmt: skip
def test_variables_that_do_not_fit_together_are_named(environment: dict[str, str], message: str) -> None:
    with pytest.raises(CnnkitError) as raised:
        slurm_workers(environment)
    assert raised.value.headline == message
