"""The manifests of docs/scale: each is checked by the schema or the parser of what reads it, and run with a stand-in of it.

Over 300 lines: one check for each manifest, with the stand-in of what reads it.
"""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import typer.main
import yaml

from cnnkit.commands.train import train
from cnnkit.exit_status import DIED, EXIT_STATUSES, PEER_LOST
from cnnkit.training.distribution.cluster import cluster_of_environment
from cnnkit.training.distribution.slurm import is_slurm_step

DOCS = Path(__file__).parent.parent / "docs"
SCALE = DOCS / "scale"


def closed(properties: dict[str, Any], *required: str) -> dict[str, Any]:
    """The schema of an object without other keys: Kubernetes would drop them silently."""
    return {"type": "object", "properties": properties, "required": list(required), "additionalProperties": False}


TEXT, WHOLE, TRUTH = {"type": "string"}, {"type": "integer"}, {"type": "boolean"}
NAME = {"type": "string", "pattern": "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", "maxLength": 63}
QUANTITY = {"anyOf": [WHOLE, {"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?([KMGTPE]i|[numkMGTPE])?$"}]}
TEXTS = {"type": "array", "items": TEXT}

# The part that is used here of the TFJob resource of kubeflow.org/v1 (kubeflow/training-operator, manifests/base/crds)
CONTAINER = closed(
    {
        "name": {"const": "tensorflow"},  # the operator's webhook refuses a replica without a container of this name
        "image": TEXT,
        "command": TEXTS,
        "args": TEXTS,
        "env": {"type": "array", "items": closed({"name": TEXT, "value": TEXT}, "name")},
        "ports": {"type": "array", "items": closed({"name": NAME, "containerPort": WHOLE, "protocol": TEXT}, "containerPort")},
        "resources": closed(
            {
                "limits": {"type": "object", "additionalProperties": QUANTITY},
                "requests": {"type": "object", "additionalProperties": QUANTITY},
            }
        ),
        "volumeMounts": {
            "type": "array",
            "items": closed({"name": NAME, "mountPath": {"type": "string", "pattern": "^[^:]+$"}, "readOnly": TRUTH}, "name", "mountPath"),
        },
    },
    "name",
)
POD = closed(
    {
        "containers": {"type": "array", "items": CONTAINER, "minItems": 1},
        "volumes": {
            "type": "array",
            "items": closed({"name": NAME, "persistentVolumeClaim": closed({"claimName": TEXT, "readOnly": TRUTH}, "claimName")}, "name"),
        },
        "terminationGracePeriodSeconds": WHOLE,
        "nodeSelector": {"type": "object", "additionalProperties": TEXT},
    },
    "containers",
)
REPLICAS = closed(
    {
        "replicas": WHOLE,
        "restartPolicy": {"enum": ["Always", "OnFailure", "Never", "ExitCode"]},
        "template": closed({"metadata": {"type": "object"}, "spec": POD}, "spec"),
    }
)
TFJOB = closed(
    {
        "apiVersion": {"const": "kubeflow.org/v1"},
        "kind": {"const": "TFJob"},
        "metadata": closed({"name": NAME, "namespace": NAME}, "name"),
        "spec": closed(
            {
                "runPolicy": closed(
                    {
                        "activeDeadlineSeconds": WHOLE,
                        "backoffLimit": WHOLE,
                        "cleanPodPolicy": {"enum": ["All", "Running", "None"]},
                        "ttlSecondsAfterFinished": WHOLE,
                    }
                ),
                "successPolicy": {"enum": ["", "AllWorkers"]},
                "enableDynamicWorker": TRUTH,
                "tfReplicaSpecs": closed(dict.fromkeys(("PS", "Worker", "Chief", "Master", "Evaluator"), REPLICAS)),
            },
            "tfReplicaSpecs",
        ),
    },
    "apiVersion",
    "kind",
    "metadata",
    "spec",
)


def manifest() -> Any:
    return yaml.safe_load((SCALE / "tfjob.yaml").read_text())


def parsed(arguments: list[str]) -> dict[str, Any]:
    """The options of `cnnkit train`, as its own parser reads them."""
    app = typer.Typer()
    app.command("train")(train)
    with typer.main.get_command(app).make_context("train", list(arguments)) as context:
        return dict(context.params)


def assert_can_be_restarted(command: list[str]) -> None:
    assert command[:2] == ["cnnkit", "train"]
    given = parsed(command[2:])
    assert given["resume_or_start"]
    assert given["run_dir"] is not None
    assert given["configs"]


def test_the_tfjob_has_the_form_that_the_operator_reads() -> None:
    jsonschema.Draft202012Validator(TFJOB).validate(manifest())


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("spec.tfReplicaSpecs.Worker.restartPolicy", "Sometimes"),
        ("spec.tfReplicaSpecs.Worker.replicas", "four"),
        ("spec.tfReplicaSpecs.Helper", {}),
        ("spec.tfReplicaSpecs.Worker.template.spec.containers", [{"name": "cnnkit"}]),
        ("spec.runPolicy.retries", 3),
        ("apiVersion", "kubeflow.org/v2"),
    ],
)
def test_the_schema_refuses_what_the_operator_would(path: str, value: Any) -> None:
    job = manifest()
    *parents, last = path.split(".")
    place = job
    for key in parents:
        place = place[key]
    place[last] = value
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(TFJOB).validate(job)


def test_the_tfjob_runs_one_command_that_can_be_restarted_and_mounts_what_it_names() -> None:
    pod = manifest()["spec"]["tfReplicaSpecs"]["Worker"]["template"]["spec"]
    (container,) = pod["containers"]
    assert_can_be_restarted(container["command"])
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert set(mounts) == {volume["name"] for volume in pod["volumes"]}
    paths = [part for part in container["command"] if part.startswith("/")]
    assert paths
    assert all(path.startswith(f"{mounts['work']}/") for path in paths)


def test_kubeflow_restarts_what_the_launcher_would_and_no_error_of_the_user() -> None:
    """`restartPolicy: ExitCode` restarts for 128 and above (IsRetryableExitCode of the operator)."""
    assert manifest()["spec"]["tfReplicaSpecs"]["Worker"]["restartPolicy"] == "ExitCode"
    assert PEER_LOST >= 128
    assert [number for number, status in EXIT_STATUSES.items() if number < 128 and status.is_restarted] == [70]  # a bug: a person looks


def test_kubeflow_gives_the_workers_a_cluster_that_is_understood() -> None:
    """As the operator writes it: a service a worker, and the environment `cloud`."""
    addresses = [f"photos-worker-{index}.default.svc:2222" for index in range(4)]
    config = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": 3}, "environment": "cloud"}
    cluster = cluster_of_environment({"TF_CONFIG": json.dumps(config)})
    assert cluster is not None
    assert (cluster.worker, cluster.is_chief, cluster.addresses) == (3, False, tuple(addresses))


SBATCH = {  # options of sbatch, and the form of their values
    "--job-name": r"\S+", "--nodes": r"\d+", "--ntasks-per-node": r"\d+", "--gpus-per-node": r"(\w+:)?\d+", "--cpus-per-task": r"\d+",
    "--time": r"(\d+-)?\d\d:\d\d:\d\d", "--signal": r"([RB]+:)?(\d+|[A-Z0-9]+)@\d+", "--requeue": None, "--open-mode": "append|truncate",
    "--output": r"\S+", "--partition": r"\S+", "--mem": r"\d+[KMGT]?",
}  # fmt: skip


def sbatch_options() -> dict[str, str]:
    lines = (SCALE / "train.sbatch").read_text().splitlines()
    first_command = next(i for i, line in enumerate(lines) if line and not line.startswith("#"))
    assert not [line for line in lines[first_command:] if line.startswith("#SBATCH")]  # sbatch ignores those
    pairs = [line.removeprefix("#SBATCH ").partition("=") for line in lines if line.startswith("#SBATCH ")]
    return {name: value for name, _, value in pairs}


def test_the_batch_script_has_options_that_sbatch_knows() -> None:
    for name, value in sbatch_options().items():
        form = SBATCH[name]
        assert (form is None and not value) or (form is not None and re.fullmatch(form, value)), (name, value)


@pytest.mark.parametrize("script", ["train.sbatch", "ssh.sh"])
def test_the_scripts_are_valid_for_bash(script: str) -> None:
    assert subprocess.run(["bash", "-n", SCALE / script], capture_output=True, check=False).returncode == 0


def fake(folder: Path, name: str, text: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(text)
    (folder / name).chmod(0o755)


# As Slurm's: a process for each task, with the variables of the step, and the highest status of all.
SRUN = """#!/bin/bash
nodes={nodes}; highest=0
for ((task = 0; task < nodes; task++)); do
  SLURM_PROCID=$task SLURM_STEP_NUM_TASKS=$nodes SLURM_STEP_NODELIST="gpu[1-$nodes]" SLURM_STEP_TASKS_PER_NODE="{per_node}(x$nodes)" "$@"
  status=$?; [ $status -gt $highest ] && highest=$status
done
exit $highest
"""


@pytest.mark.parametrize(
    ("statuses", "restarts", "requeued"),
    [
        ((0, 0), 0, False),
        ((1, 1), 0, False),
        ((2, 2), 0, False),
        ((137, 138), 0, True),
        ((138, 137), 3, True),
        ((143, 143), 0, True),
        ((138, 138), 20, False),
    ],
)
def test_the_batch_script_requeues_what_can_go_on_and_passes_the_status_on(
    tmp_path: Path, statuses: tuple[int, int], restarts: int, requeued: bool
) -> None:
    options = sbatch_options()
    fake(tmp_path / "bin", "srun", SRUN.format(nodes=options["--nodes"], per_node=options["--ntasks-per-node"]))
    fake(tmp_path / "bin", "scontrol", '#!/bin/sh\necho "$@" >> scontrol.txt\n')
    fake(tmp_path / "bin", "cnnkit", f'#!/bin/sh\nenv | grep "^SLURM_" > env-$SLURM_PROCID\necho "$@" > args-$SLURM_PROCID\nset -- {statuses[0]} {statuses[1]}\n[ $SLURM_PROCID = 0 ] && exit $1\nexit $2\n')  # fmt: skip
    environment = {
        **os.environ,
        "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}",
        "SLURM_JOB_ID": "77",
        "SLURM_RESTART_COUNT": str(restarts),
    }
    done = subprocess.run(["bash", SCALE / "train.sbatch"], cwd=tmp_path, env=environment, check=False)
    assert done.returncode == max(statuses)
    assert (tmp_path / "scontrol.txt").exists() == requeued
    if requeued:
        assert (tmp_path / "scontrol.txt").read_text() == "requeue 77\n"
    assert_can_be_restarted(["cnnkit", *(tmp_path / "args-0").read_text().split()])
    assert is_slurm_step(dict(line.split("=", 1) for line in (tmp_path / "env-1").read_text().splitlines()))


def test_the_workers_of_the_batch_script_are_those_of_tensorflows_resolver(monkeypatch: pytest.MonkeyPatch) -> None:
    """Independent reference: SlurmClusterResolver, whose order as text is that of the nodes where they have as many digits."""
    import tensorflow as tf

    options = sbatch_options()
    nodes, per_node = int(options["--nodes"]), int(options["--ntasks-per-node"])
    step = {"PROCID": "1", "STEP_NUM_TASKS": f"{nodes * per_node}", "STEP_NODELIST": f"gpu[1-{nodes}]", "STEP_TASKS_PER_NODE": f"{per_node}(x{nodes})"}  # fmt: skip
    for name, value in step.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    cluster = cluster_of_environment({f"SLURM_{name}": value for name, value in step.items()})
    resolver = tf.distribute.cluster_resolver.SlurmClusterResolver(
        port_base=10_000, gpus_per_node=int(options["--gpus-per-node"]), gpus_per_task=1, auto_set_gpu=False
    )
    assert cluster is not None
    assert list(cluster.addresses) == resolver.cluster_spec().as_dict()["worker"]
    assert ("worker", cluster.worker) == resolver.get_task_info()
    assert len({address.partition(":")[0] for address in cluster.addresses}) == nodes  # one task a node, which uses all of its GPUs


# In the place of `ssh HOST COMMAND`: a shell on this machine with little of the environment, which gets the standard input and no signals.
SSH = f"""#!{sys.executable} -S
import os, subprocess, sys
with open(os.environ["FAKE_SSH_LOG"], "a") as log:
    log.write(sys.argv[1] + "\\n")
remote = subprocess.Popen(
    ["sh", "-c", sys.argv[2]], start_new_session=True, env={{"PATH": os.environ["PATH"], "HOME": "/"}}
)
sys.exit(remote.wait())
"""
CNNKIT = f"""#!{sys.executable} -S
import json, os, signal, sys, time
worker = json.loads(os.environ["TF_CONFIG"])["task"]["index"]
def stop(number, frame):
    os.write(1, b"saved\\n")  # `print` cannot be called within itself
    os._exit(143)
signal.signal(signal.SIGTERM, stop)
print(json.dumps([os.getcwd(), sys.argv[1:], json.loads(os.environ["TF_CONFIG"])]), flush=True)
print("to standard error", file=sys.stderr, flush=True)
if "--wait" in sys.argv:
    time.sleep(60)
sys.exit(138 if worker == 1 and "--lost" in sys.argv else 0)
"""

# Bash traps no signal that is ignored when it starts, as SIGINT is where the tests run in the background.
AS_IN_A_TERMINAL = "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL); os.execvp(sys.argv[1], sys.argv[1:])"


def start_ssh(folder: Path, *arguments: str) -> "subprocess.Popen[str]":
    fake(folder / "bin", "ssh", SSH)
    fake(folder / "bin", "cnnkit", CNNKIT)
    environment = {**os.environ, "PATH": f"{folder / 'bin'}:{os.environ['PATH']}", "FAKE_SSH_LOG": str(folder / "hosts.txt")}
    work = folder / "a folder"
    work.mkdir()
    return subprocess.Popen(
        [sys.executable, "-S", "-c", AS_IN_A_TERMINAL, "bash", SCALE / "ssh.sh", *arguments],
        cwd=work,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def test_over_ssh_each_host_gets_its_own_place_and_the_same_command(tmp_path: Path) -> None:
    process = start_ssh(tmp_path, "alpha", "beta:6000", "--", "train", "my photos.yaml", "--set", "name='x'", "--lost")
    out, err = process.communicate(timeout=60)
    assert process.returncode == 138
    assert sorted((tmp_path / "hosts.txt").read_text().split()) == ["alpha", "beta"]
    lines = sorted(out.splitlines())
    assert [line[:4] for line in lines] == ["[0] ", "[1] "]
    for index, line in enumerate(lines):
        folder, arguments, config = json.loads(line[4:])
        assert folder == str(tmp_path / "a folder")
        assert arguments == ["train", "my photos.yaml", "--set", "name='x'", "--lost"]
        assert config == {"cluster": {"worker": ["alpha:5000", "beta:6000"]}, "task": {"type": "worker", "index": index}}
    assert sorted(err.splitlines()) == ["[0] to standard error", "[1] to standard error"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_over_ssh_a_stop_reaches_the_workers_although_ssh_passes_no_signal_on(tmp_path: Path, number: int) -> None:
    process = start_ssh(tmp_path, "alpha", "beta", "--", "train", "c.yaml", "--wait")
    assert process.stdout is not None
    for _ in range(2):
        process.stdout.readline()
    os.killpg(process.pid, number) if number == signal.SIGINT else process.send_signal(number)  # Ctrl-C goes to the whole group
    out, _ = process.communicate(timeout=30)
    assert process.returncode == (-number if number == signal.SIGKILL else 143)
    assert sorted(out.splitlines()) == ["[0] saved", "[1] saved"]


def test_over_ssh_wrong_usage_is_told(tmp_path: Path) -> None:
    process = start_ssh(tmp_path, "alpha")
    _, err = process.communicate(timeout=30)
    assert process.returncode == 2
    assert err.endswith("HOST[:PORT]... -- train CONFIG [options]\n")


def test_the_page_names_every_file_and_every_status() -> None:
    page = (DOCS / "scale.md").read_text()
    assert sorted(re.findall(r"\(scale/([\w.]+)\)", page)) == sorted(path.name for path in SCALE.iterdir())
    table = {int(number) for number in re.findall(r"^\| (\d+) \|", page, re.MULTILINE)}
    assert table == set(EXIT_STATUSES)
    for number, status in [*EXIT_STATUSES.items(), ("others, such as 137", DIED)]:
        assert f"\n| {number} | {status.meaning} | {'yes' if status.is_restarted else 'no'} | " in page


def test_the_commands_on_the_page_are_commands_of_the_program() -> None:
    from cnnkit import cli

    commands = typer.main.get_command(cli.app).commands  # type: ignore[attr-defined]
    for line in re.findall(r"^cnnkit .*$", (DOCS / "scale.md").read_text(), re.MULTILINE):
        name, *arguments = shlex.split(line, comments=True)[1:]
        with commands[name].make_context(name, arguments):
            pass
