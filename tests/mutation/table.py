"""The table of `docs/testing.md`: how many mutants were caught, by package, and why each of the others was not."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from tests.mutation.mutants import Mutant

BEGIN, END = "<!-- mutants: written by `make mutants` -->", "<!-- /mutants -->"
REASONS = Path(__file__).with_name("survivors.yaml")  # key of a mutant -> why no test catches it


@dataclass(frozen=True)
class Result:
    """What came of a mutant: `caught` by a test, `out of time`, or `survived`."""

    outcome: str
    tests: int


def write_table(page: Path, mutants: Sequence[Mutant], total: int, results: Mapping[str, Result], command: str) -> None:
    """Put the table in the place of the one that stands between two marks of a page."""
    before, _, rest = page.read_text("utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    page.write_text(f"{before}{BEGIN}\n{_table(mutants, total, results, command)}\n{END}{after}", "utf-8")


def _table(mutants: Sequence[Mutant], total: int, results: Mapping[str, Result], command: str) -> str:
    tried = [mutant for mutant in mutants if mutant.key in results]
    lines = [
        f"`{command}`: {len(tried)} of {total:,} mutants.",
        "",
        "| package | mutants | caught | out of time | survived | share caught |",
    ]
    lines.append("|---|---:|---:|---:|---:|---:|")
    by_package: dict[str, list[Result]] = {}
    for mutant in sorted(tried, key=lambda mutant: mutant.package):
        by_package.setdefault(mutant.package, []).append(results[mutant.key])
    lines += [_row(f"`{package}`", of_package) for package, of_package in by_package.items()]
    if tried:
        lines.append(_row("all", [results[mutant.key] for mutant in tried]))
    survivors = [mutant for mutant in tried if results[mutant.key].outcome == "survived"]
    reasons = yaml.safe_load(REASONS.read_text("utf-8")) or {}
    lines += ["", "| survivor | change | tests run | why |", "|---|---|---:|---|"]
    for mutant in sorted(survivors, key=lambda mutant: mutant.key):
        where = f"`{mutant.path.removeprefix('cnnkit/')}` `{mutant.function}`"
        change = " → ".join(f"`` {side} ``" if side else "nothing" for side in mutant.change.replace("|", "\\|").split(" => ", 1))
        lines.append(f"| {where} | {change} | {results[mutant.key].tests} | {reasons.get(mutant.key, 'not looked at yet')} |")
    return "\n".join(lines)


def _row(name: str, results: Sequence[Result]) -> str:
    caught, late, survived = (sum(each.outcome == outcome for each in results) for outcome in ("caught", "out of time", "survived"))
    return f"| {name} | {len(results)} | {caught} | {late} | {survived} | {(caught + late) / len(results):.0%} |"
