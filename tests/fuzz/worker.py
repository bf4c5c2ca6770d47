"""Reads one hostile file after another, as it is told on standard input, and answers what came of each; may be killed any time."""

import contextlib
import json
import os
import resource
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from cnnkit.errors import CnnkitError

SPARE_MEMORY = 2**30  # bytes that one input may take


def main() -> None:
    """Answer each line `{"kind": …, "folder": …}` with one of the outcome."""
    answers = os.fdopen(os.dup(1), "w")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    kind = sys.argv[1]
    _warm_up(kind)
    watch = _Watch()
    sys.addaudithook(watch)
    room = _memory("VmSize") + SPARE_MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (room, room))
    answers.write("ready\n")
    answers.flush()
    for line in sys.stdin:
        folder = Path(line.rstrip("\n"))
        Path("/proc/self/clear_refs").write_text("5")  # the peak of memory begins anew
        before, started = _memory("VmRSS"), time.process_time()
        watch.begin(folder)
        outcome, told = _outcome(kind, folder)
        outside = watch.end()
        answer = {
            "outcome": "outside" if outside else outcome,
            "told": outside or told,
            "seconds": time.process_time() - started,
            "memory": max(0, _memory("VmHWM") - before),
        }
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def _outcome(kind: str, folder: Path) -> tuple[str, str]:
    try:
        READERS[kind](folder)
    except CnnkitError as error:
        return "refused", str(error).splitlines()[0][:200]
    except BaseException:  # noqa: BLE001 - whatever comes is what we look for
        return "traceback", traceback.format_exc()[-3000:]
    return "read", ""


class _Watch:
    """Notes every file that is opened for writing or made outside of a folder, every process and every connection."""

    def __init__(self) -> None:
        self._folder: str | None = None
        self._found = ""

    def begin(self, folder: Path) -> None:
        self._folder, self._found = str(folder), ""
        os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
        os.chdir(folder)

    def end(self) -> str:
        self._folder = None
        return self._found

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self._folder is None:
            return
        if event in ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "socket.connect", "ctypes.dlopen"):
            self._found = self._found or f"{event} {arguments}"[:300]
        writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        if writes or event in ("os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.symlink", "os.chmod", "os.truncate"):
            for path in arguments[: 2 if event in ("os.rename", "os.link", "os.symlink") else 1]:
                if isinstance(path, str | bytes | os.PathLike) and not self._inside(os.fsdecode(path)):
                    self._found = self._found or f"{event} {os.fsdecode(path)}"[:300]

    def _inside(self, path: str) -> bool:
        return path == os.devnull or os.path.realpath(path).startswith(f"{self._folder}{os.sep}")


def _memory(what: str) -> int:
    status = Path("/proc/self/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith(what + ":")).split()[1]) * 1024


def _warm_up(kind: str) -> None:
    """Imports, whose memory and time are not the inputs'."""
    from cnnkit.keras_api.signatures import signature_table

    signature_table()
    with contextlib.suppress(CnnkitError):
        READERS[kind](Path("/nonexistent"))
    if kind == "keras":
        import h5py  # noqa: F401
        import keras

        keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)]).compile("adam", "mse", metrics=["mae"])


def _request(folder: Path) -> Any:
    from cnnkit.data.source import Request

    return Request(0, folder, {})


def _read_all(source: Any, folder: Path) -> None:
    dataset = source.load(_request(folder))
    for part in (dataset.train, dataset.validation, dataset.test):
        if part is not None and len(part):
            part.rows.read(part.index[:256])


def _read_yaml(folder: Path) -> None:
    from cnnkit.data.binding import load

    loaded = load([folder / "input.yaml"])
    (folder / "again.yaml").write_text(loaded.as_yaml())
    assert load([folder / "again.yaml"]).config == loaded.config, "as_yaml does not load to the same config"


def _read_set(folder: Path) -> None:
    from cnnkit.config.packaged import packaged_config
    from cnnkit.data.binding import load

    text = (folder / "input.set").read_bytes().decode("utf-8", "surrogateescape") if (folder / "input.set").exists() else ""
    load([packaged_config("cifar")], [text])


def _read_json(folder: Path) -> None:
    from cnnkit.artifacts.model_metadata import read_metadata

    read_metadata((folder / "input.json").rename(folder / "model.json") if folder.exists() else folder / "model.json")


def _read_manifest(folder: Path) -> None:
    from cnnkit.runs.directory import RunDirectory

    if folder.exists():
        (folder / "input.manifest").rename(folder / "manifest.csv")
    RunDirectory(folder).read_manifest()


def _read_csv(folder: Path) -> None:
    from cnnkit.config.schema import Data
    from cnnkit.data.sources.csv_file import open_csv

    _read_all(open_csv(Data(csv=str(folder / "input.csv"), image_size=8, on_bad_file="skip")), folder)


def _read_exclude(folder: Path) -> None:
    from cnnkit.config.schema import Data
    from cnnkit.data.sources.folder import open_folder

    _read_all(open_folder(Data(folder=str(folder / "images"), exclude=str(folder / "input.exclude"), image_size=8)), folder)


def _read_npz(folder: Path) -> None:
    from cnnkit.config.schema import Data
    from cnnkit.data.sources.arrays import open_npz

    _read_all(open_npz(Data(npz=str(folder / "input.npz"))), folder)


def _read_npy(folder: Path) -> None:
    from cnnkit.config.schema import Data
    from cnnkit.data.sources.arrays import open_npy

    _read_all(open_npy(Data(npy=str(folder / "input.npy"), target="targets.npy")), folder)


def _read_keras(folder: Path) -> None:
    from cnnkit.model.loading.load import load_model

    load_model(folder / "input.keras")


def _read_checkpoint(folder: Path) -> None:
    from cnnkit.training.checkpoint.store import read_checkpoint

    read_checkpoint(folder / "input.checkpoint")


def _read_image(folder: Path) -> None:
    from cnnkit.data.images.decode import read_image

    read_image(folder / "input.image", size=(32, 32), resize="stretch", channels=3, max_pixels=100_000_000)


READERS = {
    "yaml": _read_yaml,
    "set": _read_set,
    "json": _read_json,
    "manifest": _read_manifest,
    "csv": _read_csv,
    "exclude": _read_exclude,
    "npz": _read_npz,
    "npy": _read_npy,
    "keras": _read_keras,
    "checkpoint": _read_checkpoint,
    "image": _read_image,
}

if __name__ == "__main__":
    main()
