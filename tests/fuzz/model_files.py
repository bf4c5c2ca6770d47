"""Mutated model files of other formats through `open_model` and what `cnnkit show` computes: only a `CnnkitError` may come out.

    python -m tests.fuzz.model_files 500 --seeds FOLDER                all formats
    python -m tests.fuzz.model_files 100 --seeds FOLDER --kind onnx

Each file is read in a fork of its own, without the trial in another process that `open_model` makes: what crashes there has to be
refused once the trial is made. Any other exception is a fault, so is a file that appears or changes beside those that were put there.
SavedModels are checked, but not loaded: TensorFlow does not live in a fork.
"""

import argparse
import contextlib
import hashlib
import os
import random
import resource
import shutil
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from tests.fuzz.mutations import mutated_bytes

KINDS = {"onnx": "model.onnx", "litert": "model.tflite", "openvino": "model.xml", "saved_model": "saved/1/saved_model.pb"}
CPU_SECONDS, MEMORY = 30, 16 * 2**30  # of one file


def mutated_file(content: bytes, other: bytes, number: int) -> bytes:
    """The mutated content of a number: bits flipped, cut short, spliced with another file, or changed as other inputs are."""
    chance = random.Random(f"model file {number}")
    way = chance.randrange(4)
    changed = bytearray(content)
    if way == 0:
        for _ in range(chance.choice((1, 1, 4, 30))):
            changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    elif way == 1:
        del changed[chance.randrange(len(changed)) :]
    elif way == 2:
        start, length = chance.randrange(len(other)), chance.choice((8, 100, len(other)))
        at = chance.randrange(len(changed))
        changed[at : at + chance.choice((0, length))] = other[start : start + length]
    else:
        return mutated_bytes(content, chance)
    return bytes(changed)


def listing(folder: Path) -> dict[str, str]:
    """Every file below a folder with a hash of its content."""
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.rglob("*")) if path.is_file()}


def run(seeds: Path, count: int, kinds: list[str], first: int = 0) -> tuple[Counter[str], list[str]]:
    """Read mutated files.

    Args:
        seeds: A folder with a good model of each format, as `KINDS` names them.
        count: Number of files.
        kinds: Their formats, in turns.
        first: Number of the first.

    Returns:
        How often each outcome came, and what was at fault.
    """
    outcomes: Counter[str] = Counter()
    faults = []
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        work = Path(folder) / "work"
        os.chdir(folder)
        for number in range(first, first + count):
            kind = kinds[number % len(kinds)]
            model = work / KINDS[kind]
            shutil.rmtree(work, ignore_errors=True)
            shutil.copytree(seeds, work)
            other = KINDS["litert" if kind == "onnx" else "onnx"]
            model.write_bytes(mutated_file((seeds / KINDS[kind]).read_bytes(), (seeds / other).read_bytes(), number))
            before = listing(Path(folder))
            outcome = in_fork(lambda path=model, kind=kind: _read(path, kind, tried=False))
            if outcome == "crash":
                outcome = f"crash, then {in_fork(lambda path=model, kind=kind: _read(path, kind, tried=True))}"
            outcomes[f"{kind}: {outcome.splitlines()[0]}"] += 1
            if outcome not in ("read", "refused", "crash, then refused") or listing(Path(folder)) != before:
                faults.append(f"{kind} {number}: {outcome}")
        os.chdir("/")
    return outcomes, faults


def in_fork(action: Callable[[], str]) -> str:
    """What an action returns in a forked process; `crash` where that process ends otherwise."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
        resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        os.write(writing, action()[-4000:].encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as answers:
        answer = answers.read().decode("utf-8", "replace")
    _, status = os.waitpid(child, 0)
    return "crash" if status or not answer else answer


def _read(path: Path, kind: str, *, tried: bool) -> str:
    from cnnkit.artifacts import opening
    from cnnkit.artifacts.formats import FORMATS
    from cnnkit.artifacts.safety.check import check_file
    from cnnkit.errors import CnnkitError
    from cnnkit.prediction.description import describe

    if not tried:
        opening.tried_elsewhere = lambda path: contextlib.nullcontext()  # type: ignore[assignment]
    try:
        if kind == "saved_model":
            check_file(path.parent, FORMATS[kind])
        else:
            describe(path).as_dict()
    except CnnkitError:
        return "refused"
    except BaseException:  # noqa: BLE001 - whatever comes is what we look for
        return f"traceback\n{traceback.format_exc()[-3000:]}"
    return "read"


def warm_up(kinds: list[str]) -> None:
    """Import what each fork needs, once."""
    from cnnkit.artifacts.formats import FORMATS
    from cnnkit.artifacts.runtimes import import_runtime
    from cnnkit.prediction import description  # noqa: F401

    for kind in kinds:
        if kind != "saved_model":
            import_runtime(FORMATS[kind])


def main() -> None:
    """Print the outcomes, and exit with status 1 where something was at fault."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("count", type=int)
    parser.add_argument("--seeds", type=Path, required=True, help="a folder with a good model of each format")
    parser.add_argument("--kind", action="append", choices=KINDS)
    parser.add_argument("--first", type=int, default=0)
    arguments = parser.parse_args()
    kinds = arguments.kind or list(KINDS)
    warm_up(kinds)
    outcomes, faults = run(arguments.seeds.resolve(), arguments.count, kinds, arguments.first)
    for outcome, number in sorted(outcomes.items()):
        print(f"{outcome}: {number:,}")
    print("\n".join(faults))
    print(f"{arguments.count:,} files, {len(faults)} faults")
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
