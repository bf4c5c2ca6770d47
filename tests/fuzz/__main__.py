"""Hostile files by the thousand through everything that reads: only a `CnnkitError` may come out.

    python -m tests.fuzz 10000                  all kinds
    python -m tests.fuzz 500 --kind npz         one kind
    python -m tests.fuzz --kind npz --only 17   one input, kept for a look

Each input is read in a process of its own kind, which may take 1 GB more than it had and 5 seconds of processor time, and may
write nowhere but in the input's folder.
"""

import argparse
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from tests.fuzz.mutations import mutated
from tests.fuzz.seeds import ROOT, seeds_of

SHARES = {  # of all inputs, in percent
    "yaml": 20, "set": 5, "csv": 15, "npz": 15, "npy": 10, "keras": 15, "image": 10, "checkpoint": 5, "json": 2, "manifest": 2, "exclude": 1,
}  # fmt: skip
SECONDS = 5.0  # of processor time
PATIENCE = 60.0  # seconds by the clock: who waits so long, hangs without computing


@dataclass
class Tally:
    """What came of the inputs of one kind."""

    kind: str
    outcomes: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    slowest: float = 0.0
    memory: int = 0
    faults: list[tuple[int, str, str]] = field(default_factory=list)

    @property
    def tried(self) -> int:
        """How many inputs."""
        return sum(self.outcomes.values())


class Worker:
    """A process that reads files of one kind; a new one takes the place of one that died or was killed."""

    def __init__(self, kind: str, home: Path) -> None:
        self._kind, self._home = kind, home
        self._start()

    def _start(self) -> None:
        places = {"HOME": self._home, "XDG_CACHE_HOME": Path.home() / ".cache", "KERAS_HOME": self._home, "MPLCONFIGDIR": self._home}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.fuzz.worker", self._kind],
            cwd=ROOT, env=os.environ | {name: str(path) for name, path in places.items()} | {"PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        if self._line(300) != "ready":
            raise RuntimeError(f"the worker for {self._kind} did not start")

    def _line(self, patience: float) -> str:
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], patience)
        return self._process.stdout.readline().decode().strip() if ready else "late"

    def read(self, folder: Path) -> dict[str, object]:
        """What came of the file in a folder."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{folder}\n".encode())
        self._process.stdin.flush()
        line = self._line(PATIENCE)
        if line and line != "late":
            answer: dict[str, object] = json.loads(line)
            if float(str(answer["seconds"])) > SECONDS:
                answer["outcome"] = "slow"
            return answer
        self._process.kill()
        status = self._process.wait()
        self._start()
        told = "no answer" if line == "late" else f"the process died with status {status}"
        return {"outcome": "hang" if line == "late" else "crash", "told": told, "seconds": PATIENCE, "memory": 0}

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()


def fuzz(kind: str, numbers: range, keep: Path) -> Tally:
    """Read the inputs of some numbers.

    Args:
        kind: A key of SHARES.
        numbers: Which inputs.
        keep: Where inputs at fault are put.
    """
    tally = Tally(kind)
    seeds = seeds_of(kind)
    with tempfile.TemporaryDirectory(prefix="fuzz-") as name:
        root = Path(name).resolve()
        home, folder = root / "home", root / "inputs" / "one"
        home.mkdir()
        worker = Worker(kind, home)
        around = _files(root)
        begun = time.perf_counter()
        for number in numbers:
            path = _lay_out(folder, kind, mutated(seeds, kind, number))
            answer = worker.read(folder)
            if _files(root, but=folder) != around:
                answer |= {"outcome": "outside", "told": f"files outside: {_files(root, but=folder) - around}"}
                around = _files(root, but=folder)
            outcome = str(answer["outcome"])
            tally.outcomes[outcome] += 1
            tally.slowest = max(tally.slowest, float(str(answer["seconds"])))
            tally.memory = max(tally.memory, int(str(answer["memory"])))
            if outcome not in ("read", "refused"):
                tally.faults.append((number, outcome, str(answer["told"])))
                keep.mkdir(parents=True, exist_ok=True)
                (keep / f"{kind}-{number}-{outcome}{path.suffix}").write_bytes(mutated(seeds, kind, number))
            shutil.rmtree(folder)
        tally.seconds = time.perf_counter() - begun
        worker.close()
    return tally


def _lay_out(folder: Path, kind: str, content: bytes) -> Path:
    """A folder with the input, and what it may refer to."""
    folder.mkdir(parents=True)
    path = folder / f"input.{kind}"
    path.write_bytes(content)
    if kind in ("csv", "exclude"):
        for number in range(12 if kind == "csv" else 6):
            there = folder / "images" / ("" if kind == "csv" else "ab"[number % 2])
            there.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (8, 8), (number * 9, 0, 0)).save(there / f"{number}.png")
    if kind == "npy":
        np.save(folder / "targets.npy", np.arange(9) % 3)
    return path


def _files(root: Path, but: Path | None = None) -> set[str]:
    return {str(path) for path in root.rglob("*") if but is None or (but not in path.parents and path not in (but, but.parent))}


def main() -> int:
    """Run, print a table of counts and every fault; 1 where there were any."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("count", type=int, nargs="?", default=300, help="inputs in all")
    parser.add_argument("--kind", choices=SHARES, action="append", help="only this kind; may be repeated")
    parser.add_argument("--only", type=int, help="only the input of this number")
    parser.add_argument("--keep", type=Path, default=Path(tempfile.gettempdir()) / "cnnkit-fuzz", help="where inputs at fault are put")
    arguments = parser.parse_args()
    kinds = arguments.kind or list(SHARES)
    tallies = []
    print(f"{'kind':10}{'inputs':>8}{'read':>8}{'refused':>9}{'faults':>8}{'slowest s':>11}{'peak MB':>9}{'seconds':>9}")
    for kind in kinds:
        numbers = range(max(1, round(arguments.count * SHARES[kind] / sum(SHARES[each] for each in kinds))))
        numbers = numbers if arguments.only is None else range(arguments.only, arguments.only + 1)
        tally = fuzz(kind, numbers, arguments.keep)
        tallies.append(tally)
        counts = f"{tally.tried:8,}{tally.outcomes['read']:8,}{tally.outcomes['refused']:9,}{len(tally.faults):8,}"
        print(f"{kind:10}{counts}{tally.slowest:11.2f}{tally.memory / 2**20:9.0f}{tally.seconds:9.0f}", flush=True)
    for tally in tallies:
        for number, outcome, told in tally.faults:
            print(f"\n{tally.kind} {number}: {outcome}\n{told}")
    tried, faults = sum(tally.tried for tally in tallies), sum(len(tally.faults) for tally in tallies)
    print(f"\n{tried:,} inputs, {faults:,} faults, peak memory {max(tally.memory for tally in tallies) / 2**20:.0f} MB")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
