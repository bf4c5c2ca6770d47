"""A command whose reader has exited, as in `cnnkit bases | head -1`, ends quietly with the status of SIGPIPE, however it writes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

TINY = """
name: tiny
data: {dataset: digits, limit: 100}
model: {layers: [Flatten, {Dense: {units: 10, activation: softmax}}]}
train: {epochs: 1}
"""


@pytest.mark.parametrize(
    "arguments",
    [
        ["--version"],  # print, into Python's buffer
        ["--help"],  # Typer
        ["schema"],  # print, more than the buffer
        ["configs"],  # Rich
        pytest.param(["bases"], marks=pytest.mark.slow),
        pytest.param(["train", "tiny.yaml"], marks=pytest.mark.slow),
    ],
    ids=" ".join,
)
def test_a_command_whose_reader_has_exited_ends_with_status_141(arguments: list[str], tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(TINY)
    reader, writer = os.pipe()
    os.close(reader)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    done = subprocess.run(
        [sys.executable, "-m", "cnnkit", *arguments], stdout=writer, stderr=subprocess.PIPE, cwd=tmp_path, env=environment, check=False
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device without room")
def test_output_that_cannot_be_written_is_an_error_and_no_traceback(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "cnnkit", "--version"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, cwd=tmp_path, env=environment, text=True, check=False)
    fault = "standard output cannot be written (No space left on device)"
    assert (done.returncode, done.stderr) == (1, f"Error: {fault}\n    Redirect it to a disk with room.\n")


ENDINGS = """
import sys
from cnnkit import cli
from cnnkit.errors import CnnkitError
def app():
    print("a line that is not read")
    ENDING
cli.app = app
cli.main()
"""


@pytest.mark.parametrize(
    ("ending", "status", "printed"),
    [
        ("raise CnnkitError('it failed', 'Mend it.')", 1, "Error: it failed\n    Mend it.\n"),
        ("raise KeyboardInterrupt", 130, ""),
        ("sys.exit(3)", 3, ""),
        ("raise ValueError('a bug')", 70, "ValueError: a bug\n"),
    ],
    ids=["error", "interrupted", "status", "bug"],
)
@pytest.mark.parametrize("output", ["closed", "full"])
def test_a_command_that_fails_keeps_its_status_and_its_message_whatever_becomes_of_its_output(
    ending: str, status: int, printed: str, output: str
) -> None:
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONUNBUFFERED"}  # a line waits in the buffer
    environment["PYTHONPATH"] = str(Path(__file__).parent.parent)
    reader, writer = os.pipe()
    os.close(reader)
    if output == "full":
        if not Path("/dev/full").exists():
            pytest.skip("only Linux has a device without room")
        writer, unused = os.open("/dev/full", os.O_WRONLY), writer
        os.close(unused)
    command = [sys.executable, "-c", ENDINGS.replace("ENDING", ending)]
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, env=environment, text=True, check=False)
    os.close(writer)
    assert done.returncode == status
    assert done.stderr.endswith(printed)
    assert "Exception ignored" not in done.stderr


def test_no_room_for_another_file_is_not_laid_to_standard_output() -> None:
    """An OSError of a file object names no file: here that of a logger on a full disk."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    command = [sys.executable, "-c", ENDINGS.replace("ENDING", "raise OSError(28, 'No space left on device')")]
    done = subprocess.run(command, capture_output=True, env=environment, text=True, check=False)
    assert done.returncode == 70
    assert "standard output" not in done.stderr
    assert done.stderr.endswith("OSError: [Errno 28] No space left on device\n")


def test_a_command_that_is_read_to_its_end_keeps_its_status(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    command = [sys.executable, "-m", "cnnkit"]
    ended = [
        subprocess.run([*command, *arguments], capture_output=True, cwd=tmp_path, env=environment, check=False).returncode
        for arguments in (["--version"], ["check", "missing.yaml"], ["check", "--no-such-option"])
    ]
    assert ended == [0, 1, 2]
