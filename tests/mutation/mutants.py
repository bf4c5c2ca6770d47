"""A seeded sample of mutants: one small change each, made by mutmut's operators in a function of the packages under test."""

import difflib
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import libcst
from mutmut.configuration import config
from mutmut.mutation.file_mutation import create_mutations, deep_replace


@dataclass(frozen=True)
class Mutant:
    """A module with one change.

    Attributes:
        path: The module's file, from the repository's root.
        function: The function changed, with its class: `BatchSource.order`.
        change: The lines changed, before and after.
        source: The whole module with the change.
    """

    path: str
    function: str
    change: str
    source: str

    @property
    def key(self) -> str:
        """What names it in results and tables, also when other lines of the module change."""
        return f"{self.path} {self.function}: {self.change}"

    @property
    def package(self) -> str:
        """The package it stands in."""
        return self.path.split("/")[1]


def sample(root: Path, seed: int, count: int, stored: Path) -> tuple[list[Mutant], int]:
    """The first `count` of all mutants in an order that follows from the seed, and how many there are in all.

    The order is that of a hash of seed, function and number, so that most of a sample stays when the code changes a little.

    Args:
        root: The repository.
        seed: What the order follows.
        count: How many are wanted.
        stored: A folder where the sample is kept: finding all mutants takes a minute or more.
    """
    paths = {path.relative_to(root).as_posix(): path for path in sorted(root.glob("cnnkit/**/*.py"))}
    paths = {name: path for name, path in paths.items() if config().should_mutate(name)}
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in paths.values())).hexdigest()[:16]
    file = stored / f"sample-{digest}-{seed}-{count}.json"
    if not file.exists():
        mutants, total = _sample(paths, seed, count)
        stored.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps({"total": total, "mutants": [asdict(mutant) for mutant in mutants]}))
    known = json.loads(file.read_text())
    return [Mutant(**mutant) for mutant in known["mutants"]], known["total"]


def _sample(paths: Mapping[str, Path], seed: int, count: int) -> tuple[list[Mutant], int]:
    candidates = []
    modules = {}
    for name, path in paths.items():
        modules[name], mutations = _mutations(path)
        for function, number, mutation in mutations:
            rank = hashlib.sha256(f"{seed} {name} {function} {number}".encode()).hexdigest()
            candidates.append((rank, name, function, mutation))
    candidates.sort(key=lambda candidate: candidate[0])
    chosen: dict[str, Mutant] = {}  # two operators may make the same change
    for _, name, function, mutation in candidates:
        if len(chosen) == count:
            break
        module = modules[name]
        mutated = deep_replace(module, mutation.original_node, mutation.mutated_node)
        assert isinstance(mutated, libcst.Module)
        mutant = Mutant(name, function, _change(module.code, mutated.code), mutated.code)
        if mutant.change and _compiles(mutated.code):
            chosen[mutant.key] = mutant
    return list(chosen.values()), len(candidates)


def _mutations(path: Path) -> tuple[libcst.Module, list[tuple[str, int, Any]]]:
    """A module, and its mutations with the function that each is in and a number that counts from 0 in every function."""
    module, mutations, _, _ = create_mutations(str(path), path.read_text("utf-8"))
    functions = {id(function): name for name, function in _functions(module, "")}
    counts: dict[str, int] = {}
    found = []
    for mutation in mutations:
        name = functions.get(id(mutation.contained_by_top_level_function))
        if name is not None:  # what stands outside of functions is mostly fields and constants, whose change is another program
            found.append((name, counts.setdefault(name, 0), mutation))
            counts[name] += 1
    return module, found


def _functions(parent: Any, prefix: str) -> Iterator[tuple[str, libcst.FunctionDef]]:
    for statement in parent.body:
        if isinstance(statement, libcst.FunctionDef):
            yield prefix + statement.name.value, statement
        elif isinstance(statement, libcst.ClassDef) and isinstance(statement.body, libcst.IndentedBlock):
            yield from _functions(statement.body, f"{prefix}{statement.name.value}.")


def _change(before: str, after: str) -> str:
    lines = list(difflib.unified_diff(before.splitlines(), after.splitlines(), n=0, lineterm=""))[3:]
    old, new = (" ".join(line[1:].strip() for line in lines if line[0] == sign) for sign in "-+")
    return f"{old} => {new}" if lines else ""


def _compiles(source: str) -> bool:
    try:
        compile(source, "mutant", "exec")
    except SyntaxError:
        return False
    return True
