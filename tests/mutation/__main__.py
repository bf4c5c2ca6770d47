"""Put small faults into cnnkit one at a time, and count how many of them the tests catch.

    make mutants                                  200 of them; writes the table of docs/testing.md
    python -m tests.mutation --minutes 30         as far as that goes; the next call goes on there
    python -m tests.mutation --only "order: "     those whose key contains a text, with what the tests print

Results stand in `.mutants/`. A mutant that was caught stays so until its module changes; one that survived is tried again
when a test that reaches it changes.
"""

import argparse
import hashlib
import importlib.util
import json
import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from tests.mutation.coverage_map import Test, chosen, recorded
from tests.mutation.forking import OUT_OF_TIME, preload, run_pytest
from tests.mutation.mutants import Mutant, sample
from tests.mutation.table import Result, write_table

ROOT = Path(__file__).parents[2]
WORK = ROOT / ".mutants"
NOT_FOUND = 4  # pytest's exit status where a node id is not there


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description="Count how many mutants the tests catch.")
    parser.add_argument("--seed", type=int, default=10, help="what the sample follows")
    parser.add_argument("--count", type=int, default=200, help="mutants in the sample")
    parser.add_argument("--seconds", type=float, default=300.0, help="processor time of the tests that one mutant is tried with")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="begin nothing after so long")
    parser.add_argument("--only", default="", help="mutants whose key contains this; what the tests print is shown, nothing is written")
    options = parser.parse_args()
    deadline = time.monotonic() + 60 * options.minutes
    mutants, total = sample(ROOT, options.seed, options.count, WORK)
    tree = _copy_of_the_tree()
    preload()
    tests = list(recorded(tree, WORK / "tests", deadline))
    results: dict[str, Result] = {}
    for number, mutant in enumerate(mutants, start=1):
        if options.only not in mutant.key:
            continue
        reaching = chosen(tests, mutant.path, mutant.function, options.seconds)
        known = {} if options.only else _known(mutant, reaching)
        if not known and time.monotonic() < deadline:
            begun = time.monotonic()
            known = _try(tree, mutant, reaching)
            print(f"{number}/{len(mutants)} {known['outcome']}, {time.monotonic() - begun:.0f} s: {mutant.key}", flush=True)
        if known:
            results[mutant.key] = Result(known["outcome"], known["tests"])
    if options.only:
        print((WORK / "mutant.log").read_text(errors="replace"))
        return
    command = f"python -m tests.mutation --seed {options.seed} --count {options.count} --seconds {options.seconds:g}"
    write_table(ROOT / "docs" / "testing.md", mutants, total, results, command)
    caught = sum(result.outcome != "survived" for result in results.values())
    print(f"{caught} of {len(results)} mutants caught; see docs/testing.md")


def _copy_of_the_tree() -> Path:
    """The files of the repository as they are now, those not committed yet included, where mutants can be put in."""
    tree = WORK / "tree"
    shutil.rmtree(tree, ignore_errors=True)
    listed = subprocess.run(["git", "ls-files", "-z", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, check=True, text=True)
    for name in listed.stdout.split("\0"):
        if name and (ROOT / name).is_file():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, tree / name)
    return tree


def _result_file(mutant: Mutant) -> Path:
    return WORK / "results" / f"{hashlib.sha256(mutant.key.encode() + mutant.source.encode()).hexdigest()[:24]}.json"


def _known(mutant: Mutant, reaching: Sequence[Test]) -> dict[str, object]:
    """The result of an earlier call that still stands; empty for none."""
    file = _result_file(mutant)
    known: dict[str, object] = json.loads(file.read_text()) if file.exists() else {}
    return known if known.get("outcome") == "caught" or known.get("reaching") == _marks(reaching) else {}


def _marks(reaching: Sequence[Test]) -> list[str]:
    files = sorted({test.name.partition("::")[0] for test in reaching})
    return [f"{file} {hashlib.sha256((ROOT / file).read_bytes()).hexdigest()[:16]}" for file in files]


def _try(tree: Path, mutant: Mutant, reaching: Sequence[Test]) -> dict[str, object]:
    """Run the tests that reach a mutant with it in place."""
    path, log = tree / mutant.path, WORK / "mutant.log"
    original = path.read_bytes()
    compiled = Path(importlib.util.cache_from_source(str(path)))
    limit = 60 + 5 * sum(test.seconds for test in reaching)
    status = 0
    try:
        path.write_text(mutant.source, "utf-8")
        compiled.unlink(missing_ok=True)  # it is told from the source by second and size, which may be the same
        names = [test.name for test in reaching]
        if names:
            status = run_pytest(tree, names, log, limit)
            if status == NOT_FOUND:  # a test's name comes from what the module gives
                status = run_pytest(tree, sorted({name.partition("::")[0] for name in names}), log, limit)
    finally:
        path.write_bytes(original)
        compiled.unlink(missing_ok=True)
    outcome = {0: "survived", OUT_OF_TIME: "out of time"}.get(status, "caught")
    known: dict[str, object] = {"mutant": mutant.key, "outcome": outcome, "tests": len(reaching), "reaching": _marks(reaching)}
    _result_file(mutant).parent.mkdir(exist_ok=True)
    _result_file(mutant).write_text(json.dumps(known, indent=1))
    return known


if __name__ == "__main__":
    main()
