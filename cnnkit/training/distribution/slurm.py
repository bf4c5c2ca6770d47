"""The workers of a Slurm step in the order of its ranks, from the variables that `srun` sets. No TensorFlow.

TensorFlow's own `SlurmClusterResolver` sorts host names as text, so that `node10` comes before `node2`, and ranks get the addresses
of others.
"""

import itertools
import os
import re
from collections.abc import Iterator, Mapping

from cnnkit.errors import CnnkitError, count, format_value

TASKS, NODES, TASKS_PER_NODE = "SLURM_STEP_NUM_TASKS", "SLURM_STEP_NODELIST", "SLURM_STEP_TASKS_PER_NODE"
RANK, NODE, JOB = "SLURM_PROCID", "SLURM_NODEID", "SLURM_JOB_ID"
FIRST_PORT = 10_000  # of 20,000 below those that systems give to clients

_EXPRESSION = re.compile(r"(?:[^,\[\]]|\[[^\[\]]*\])+")  # of a node list; a comma within brackets separates ranges
_PART = re.compile(r"\[([^\[\]]*)\]|([^\[\]]+)")  # of an expression: ranges, or plain text
_RANGE = re.compile(r"(\d+)(?:-(\d+))?")
_TASK_COUNT = re.compile(r"(\d+)(?:\(x(\d+)\))?")


def is_slurm_step(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether this process is one of several that `srun` has started."""
    tasks = environment.get(TASKS, "1")
    return NODES in environment and tasks.isdigit() and int(tasks) > 1


def slurm_workers(environment: Mapping[str, str] = os.environ) -> tuple[list[str], int]:
    """The addresses of a step's tasks by rank, and the rank of this process.

    Tasks are taken to be distributed in blocks, Slurm's default: the first node has the first ranks. The ports of a node's tasks
    follow from the job's number, because two jobs may share a node.

    Args:
        environment: With the variables of the step.

    Returns:
        `host:port` of each task, and the number of this one from 0.

    Raises:
        CnnkitError: A variable is missing or cannot be read, or the step's tasks are distributed otherwise.
    """
    hosts, counts = expand_nodes(_read(environment, NODES)), expand_counts(_read(environment, TASKS_PER_NODE))
    rank, tasks = _number(environment, RANK), _number(environment, TASKS)
    if len(counts) != len(hosts):
        raise _invalid(f"has {count(len(counts), 'number')} for the {count(len(hosts), 'node')} of {NODES}", TASKS_PER_NODE)
    if sum(counts) != tasks or rank >= tasks:
        raise _invalid(f"is {tasks}, with {sum(counts)} in {TASKS_PER_NODE} and the rank {rank} in {RANK}", TASKS)
    nodes = [node for node, number in enumerate(counts) for _ in range(number)]
    if NODE in environment and (actual := _number(environment, NODE)) != nodes[rank]:
        message = f"task {rank} runs on node {actual} of the step, but in blocks it would on node {nodes[rank]}"
        raise CnnkitError(message, "Start cnnkit by `srun --distribution=block`.", f"{NODE} of the environment")
    job = environment.get(JOB, "0")
    first = FIRST_PORT + 16 * (int(job) % 1250 if job.isdigit() else 0)
    return [f"{host}:{first + index}" for host, number in zip(hosts, counts, strict=True) for index in range(number)], rank


def expand_nodes(text: str) -> list[str]:
    """Host names of a node list, in its order, as `scontrol show hostnames` prints them: `n[08-10],gpu7` are n08, n09, n10 and gpu7.

    A number has at least as many digits as the first one of its range. Of several brackets in a name, the first one changes slowest.

    Raises:
        CnnkitError: It is no node list.
    """
    expressions = _EXPRESSION.findall(text)
    if not expressions or _EXPRESSION.sub("", text).strip(","):  # a bracket without its other half is left
        raise _invalid(f"has the value {format_value(text)}", NODES)
    return [host for expression in expressions for host in _hosts(expression)]


def _hosts(expression: str) -> Iterator[str]:
    parts = [list(_numbers(ranges)) if ranges or not plain else [plain] for ranges, plain in _PART.findall(expression)]
    return map("".join, itertools.product(*parts))


def _numbers(ranges: str) -> Iterator[str]:
    for each in ranges.split(","):
        match = _RANGE.fullmatch(each)
        if match is None or int(match[2] or match[1]) < int(match[1]):
            raise _invalid(f"has the range {format_value(each)}", NODES)
        for number in range(int(match[1]), int(match[2] or match[1]) + 1):
            yield str(number).zfill(len(match[1]))


def expand_counts(text: str) -> list[int]:
    """Tasks of each node: `2(x3),1` are 2, 2, 2 and 1.

    Raises:
        CnnkitError: It cannot be read.
    """
    matches = [_TASK_COUNT.fullmatch(part) for part in text.split(",")]
    if not all(matches):
        raise _invalid(f"has the value {format_value(text)}", TASKS_PER_NODE)
    return [int(match[1]) for match in matches if match is not None for _ in range(int(match[2] or 1))]


def _read(environment: Mapping[str, str], name: str) -> str:
    if name not in environment:
        raise _invalid("is not set", name)
    return environment[name]


def _number(environment: Mapping[str, str], name: str) -> int:
    text = _read(environment, name)
    if not text.isdigit():
        raise _invalid(f"has the value {format_value(text)}, which is no number", name)
    return int(text)


def _invalid(what: str, name: str) -> CnnkitError:
    return CnnkitError(what, "Start cnnkit by `srun`; or set TF_CONFIG yourself.", f"{name} of the environment")
