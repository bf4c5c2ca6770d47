"""Mutated model files of other formats through `open_model` and what `cnnkit show` computes: only a `CnnkitError` may come out.

    python -m tests.fuzz.model_files 500              all formats
    python -m tests.fuzz.model_files 100 --kind onnx

One process reads them all: what crashes it is a fault, so is any other exception, and any file that appears or changes beside those
that were put there. The seeds are files that another process wrote, given as a folder.
"""

import argparse
import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import traceback
from collections import Counter
from pathlib import Path

from tests.fuzz.mutations import mutated_bytes

ROOT = Path(__file__).parent.parent.parent
KINDS = {"onnx": "model.onnx", "litert": "model.tflite", "openvino": "model.xml", "saved_model": "saved/1/saved_model.pb"}
SECONDS = 300.0  # by the clock, for one file


def mutated_file(content: bytes, other: bytes, number: int) -> bytes:
    """The mutated content of a number: bits flipped, cut short, changed as other inputs are, or spliced with another file."""
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
        home, work = Path(folder) / "home", Path(folder) / "work"
        home.mkdir()
        work.mkdir()
        reader: subprocess.Popen[str] | None = None
        for number in range(first, first + count):
            kind = kinds[number % len(kinds)]
            model = work / KINDS[kind]
            shutil.rmtree(work)
            shutil.copytree(seeds, work)
            model.write_bytes(mutated_file(model.read_bytes(), (seeds / KINDS[kinds[(number + 1) % len(kinds)]]).read_bytes(), number))
            before = listing(work)
            if reader is None or reader.poll() is not None:
                reader = _start(home)
            assert reader.stdin is not None
            assert reader.stdout is not None
            reader.stdin.write(f"{model.parent if kind == 'saved_model' else model}\n")
            reader.stdin.flush()
            line = reader.stdout.readline()
            outcome, text = json.loads(line) if line else ("crash", f"ended with {reader.wait()}")
            outcomes[f"{kind} {outcome}"] += 1
            left = {path for path in listing(Path(folder)).items() if path not in before.items()}
            if outcome in ("crash", "traceback") or left:
                faults.append(f"{kind} {number}: {outcome}: {text or sorted(left)}")
                shutil.rmtree(home)
                home.mkdir()
        if reader is not None:
            reader.kill()
            reader.communicate()
    return outcomes, faults


def _start(home: Path) -> "subprocess.Popen[str]":
    places = {"HOME": str(home), "XDG_CACHE_HOME": str(home), "TMPDIR": str(home), "PYTHONPATH": os.environ.get("PYTHONPATH", str(ROOT))}
    return subprocess.Popen(
        [sys.executable, "-P", "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r}); from tests.fuzz.model_files import read; read()"],
        cwd=home, env=os.environ | places, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip


def read() -> None:
    """Read each file named on standard input; answers with a line of JSON each."""
    from cnnkit.errors import CnnkitError
    from cnnkit.prediction.description import describe

    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        try:
            description = describe(Path(line.rstrip("\n")))
            json.dumps(description.as_dict())
            outcome = ("read", "")
        except CnnkitError as error:
            outcome = ("refused", str(error)[:300])
        except BaseException:  # noqa: BLE001 - whatever comes is what we look for
            outcome = ("traceback", traceback.format_exc()[-2000:])
        answers.write(json.dumps(outcome) + "\n")
        answers.flush()


def main() -> None:
    """Print the outcomes, and exit with status 1 where something was at fault."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("count", type=int)
    parser.add_argument("--seeds", type=Path, required=True, help="a folder with a good model of each format")
    parser.add_argument("--kind", action="append", choices=KINDS)
    parser.add_argument("--first", type=int, default=0)
    arguments = parser.parse_args()
    outcomes, faults = run(arguments.seeds, arguments.count, arguments.kind or list(KINDS), arguments.first)
    for outcome, number in sorted(outcomes.items()):
        print(f"{outcome}: {number:,}")
    print("\n".join(faults) or "0 faults")
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
