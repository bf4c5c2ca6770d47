"""The search space of a sweep: its paths and every value at its ends checked as the config is. No TensorFlow.

A trial's config is the config without its `sweep` section, with the chosen values in place.
"""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any

from cnnkit.config.load import LoadedConfig, config_error, load_document, resolve_paths, resolved
from cnnkit.config.schema import SOURCES
from cnnkit.config.stack import set_entry
from cnnkit.config.validate import validate
from cnnkit.config.yaml_loader import Document
from cnnkit.errors import BuildError, ConfigError, Fault, Path, Problem, did_you_mean, dotted, format_value
from cnnkit.keras_api.building import build
from cnnkit.metrics import LOSS_COLUMN, VALIDATION_PREFIX

SWEEP = "sweep"

_SPLIT = ("seed", "validation", "test", "fold", "split", "group", "target", "separator", "task", "classes", "exclude", *SOURCES)
_SAME_IN_ALL_TRIALS: Mapping[Path, str] = {
    ("name",): "it is the name of the sweep",
    (SWEEP,): "it is the sweep itself",
    ("seed",): "it decides the validation examples and the noise of training, so trials could not be compared",
    **{("data", key): "it decides the validation examples, so trials could not be compared" for key in _SPLIT},
}


@dataclass(frozen=True)
class End:
    """A value that a distribution can yield: one of its two ends, or one of its choices.

    Attributes:
        name: The parameter.
        path: Path of the value in the config, within the distribution.
        words: What it is, such as `the low end`.
        value: The value.
    """

    name: str
    path: Path
    words: str
    value: Any


@dataclass(frozen=True)
class SearchSpace:
    """A checked search space.

    Attributes:
        loaded: The config with the sweep.
        distributions: Path of an entry, such as `data.batch_size` -> Optuna's distribution of its values.
        ends: The values at the ends of each distribution, and each choice.
    """

    loaded: LoadedConfig
    distributions: Mapping[str, Any]
    ends: tuple[End, ...]

    def config_of(self, values: Mapping[str, Any]) -> LoadedConfig:
        """The config of a trial.

        Args:
            values: Parameter -> value.

        Raises:
            ConfigError: The values are not valid together.
        """
        document = _document_with(self.loaded.document, values)
        config, faults = validate(document.value)
        trial = LoadedConfig(config or self.loaded.config, document)
        if config is None:
            raise trial.config_error(faults)
        return trial

    @property
    def combinations(self) -> int | None:
        """How many different trials there are; None where a distribution is continuous."""
        count = 1
        for each in self.distributions.values():
            choices, step = getattr(each, "choices", None), getattr(each, "step", None)
            if choices is None and step is None:
                return None
            count *= len(choices) if choices is not None else round((each.high - each.low) / step) + 1
        return count


def load_config_with_sweep(paths: Sequence[FilePath], overrides: Sequence[str] = ()) -> LoadedConfig:
    """Like `load_config`; where only the sweep has faults, those of its search space are reported together with them.

    Raises:
        ConfigError: With every problem that can be known without TensorFlow.
    """
    document = load_document(paths, overrides)
    config, faults = validate(document.value)
    if config is not None:
        return LoadedConfig(config, document)
    rest = _without_faulty_entries(document.value, faults)
    config = validate(rest)[0] if rest is not None else None
    if rest is not None and config is not None:
        faults += check_space(LoadedConfig(config, Document(rest, document.keys, document.values)))[1]
    raise config_error(document, faults)


def _without_faulty_entries(value: Mapping[str, Any], faults: Sequence[Fault]) -> dict[str, Any] | None:
    """A config without the faulty entries of its sweep; None where others are faulty, or nothing would be left to check."""
    if not all(fault.path[:1] == (SWEEP,) and len(fault.path) > 1 for fault in faults) or not isinstance(value[SWEEP].get("space"), dict):
        return None
    keys = {fault.path[1] for fault in faults if fault.path[1] != "space"}
    names = {fault.path[2] for fault in faults if fault.path[1] == "space" and len(fault.path) > 2}
    space = {name: entry for name, entry in value[SWEEP]["space"].items() if name not in names}
    neutral: dict[str | int, object] = {"trials": 1, "objective": f"{VALIDATION_PREFIX}{LOSS_COLUMN}"}  # what a sweep has to have
    sweep = {**{key: neutral[key] for key in keys & neutral.keys()}, **{key: each for key, each in value[SWEEP].items() if key not in keys}}
    return {**value, SWEEP: {**sweep, "space": space}} if space else None


def check_space(loaded: LoadedConfig) -> tuple[SearchSpace, list[Fault]]:
    """The search space of a config that has a sweep.

    Returns:
        The space, of the parameters without faults; and the faults: every path that the config does not have, every distribution
        that Optuna rejects, and every end of one that is not a valid value.
    """
    sweep = loaded.config.sweep
    assert sweep is not None
    faults: list[Fault] = []
    distributions: dict[str, Any] = {}
    taken: dict[Path, str] = {}
    for name, entry in sweep.space.items():
        at = (SWEEP, "space", name)
        try:
            path = _path_of(loaded, name)
        except ConfigError as error:
            faults.append(Fault(at, _said(error), error.problems[0].remedy, on_key=True))
            continue
        found = [*_path_faults(loaded, name, path), *_overlaps(name, path, taken)]
        taken.setdefault(path, name)
        found = found or [*_choice_faults(entry.arguments.get("choices"), (*at, *entry.key, "choices"))]
        try:
            if not found:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # a high end that no step reaches: Optuna lowers it
                    distributions[name] = build("distributions", entry, at)
        except BuildError as error:
            found = [error.fault]
        faults += found
    ends = {name: list(_ends(name, each, (SWEEP, "space", name, *sweep.space[name].key))) for name, each in distributions.items()}
    space = SearchSpace(loaded, distributions, tuple(end for each in ends.values() for end in each))
    wrong = {name: found for name in distributions if (found := list(_value_faults(space, name)))}
    valid = {name: each for name, each in distributions.items() if name not in wrong}
    faults += [fault for found in wrong.values() for fault in found]
    return SearchSpace(loaded, valid, tuple(end for name in valid for end in ends[name])), faults


def _path_of(loaded: LoadedConfig, name: str) -> Path:
    """A parameter's name as a path into the config, list items counted from the front."""
    mark = loaded.document.mark((SWEEP, "space", name))
    assert mark is not None
    return set_entry(deepcopy(resolved(loaded.config)), name, None, mark)


def _path_faults(loaded: LoadedConfig, name: str, path: Path) -> Iterator[Fault]:
    """Faults of a path that leads nowhere in the config, or to an entry that has to be the same in all trials."""
    at = (SWEEP, "space", name)
    for length in range(1, len(path) + 1):
        if reason := _SAME_IN_ALL_TRIALS.get(path[:length]):
            yield Fault(at, f"`{dotted(path[:length])}` is the same in all trials: {reason}", "Leave it out of the space.", on_key=True)
            return
    sweep = loaded.config.sweep
    assert sweep is not None
    if path[:2] == ("train", "loss") and sweep.objective == f"{VALIDATION_PREFIX}{LOSS_COLUMN}":
        message = "the objective is the loss itself, whose values under another loss cannot be compared"
        yield Fault(at, message, "Choose another objective, such as a metric of `train.metrics`.", on_key=True)
    here: Any = resolved(loaded.config)
    for index, part in enumerate(path[:-1]):
        if isinstance(here, dict) and here.get(part) is None and part not in here:
            known = [str(key) for key in here]
            meant = did_you_mean(str(part), known)
            remedy = "" if meant else f"There: {', '.join(known)}." if known else ""
            yield Fault(at, f"the config has no `{dotted(path[: index + 1])}`.{meant}", remedy, on_key=True)
            return
        here = here[part] if here[part] is not None else {}


def _overlaps(name: str, path: Path, taken: Mapping[Path, str]) -> Iterator[Fault]:
    for other, other_name in taken.items():
        shorter = min(len(path), len(other))
        if path[:shorter] == other[:shorter]:
            yield Fault((SWEEP, "space", name), f"names an entry that `{other_name}` sets as well", "Keep one of the two.", on_key=True)


def _choice_faults(choices: object, path: Path) -> Iterator[Fault]:
    """Faults of choices that Optuna cannot store: it takes numbers, words, booleans and null."""
    if choices is None:
        return
    if not isinstance(choices, list) or not choices:
        yield Fault(path, f"wants a list of choices, got {format_value(choices)}")
        return
    for index, choice in enumerate(choices):
        if isinstance(choice, dict | list):
            message = f"wants a number, a word, true, false or null, got {format_value(choice)}"
            yield Fault((*path, index), message, "Optuna stores no other choices; search their entries one by one.")


def _ends(name: str, distribution: Any, path: Path) -> Iterator[End]:
    choices = getattr(distribution, "choices", None)
    if choices is not None:
        for index, choice in enumerate(choices):
            yield End(name, (*path, "choices", index), f"the choice {format_value(choice)}", choice)
        return
    for end in ("low", "high"):
        value = getattr(distribution, end)
        yield End(name, (*path, end), f"the {end} end {format_value(value)}", value)


def _value_faults(space: SearchSpace, name: str) -> Iterator[Fault]:
    """Faults of the configs in which one parameter has the value of an end, at the line of that end.

    What is wrong whatever the value, such as an unknown argument, is told once, at the parameter's name.
    """
    problems: dict[End, tuple[Problem, ...]] = {}
    ends = [end for end in space.ends if end.name == name]
    for end in ends:
        try:
            space.config_of({name: end.value})
        except ConfigError as error:
            problems[end] = error.problems
    same = {(problem.path, problem.message, problem.remedy) for found in problems.values() for problem in found}
    if len(problems) > 1 and len(problems) == len(ends) and len(same) == 1:
        ((_, message, remedy),) = same
        yield Fault((SWEEP, "space", name), message, remedy, on_key=True)
        return
    for end, found in problems.items():
        for problem in found:
            yield Fault(end.path, f"{end.words} is not valid: {problem.path}: {problem.message}", problem.remedy)


def _said(error: ConfigError) -> str:
    problem = error.problems[0]
    return f"`{problem.path}` {problem.message}" if problem.path else problem.message


def _document_with(document: Document, values: Mapping[str, Any]) -> Document:
    """The document without its sweep, with the values in place, each with the mark of its parameter."""
    value = deepcopy({key: entry for key, entry in document.value.items() if key != SWEEP})
    keys, marks = dict(document.keys), dict(document.values)
    for name, chosen in values.items():
        mark = document.mark((SWEEP, "space", name))
        assert mark is not None
        path = set_entry(value, name, deepcopy(chosen), mark)
        keys[path] = marks[path] = mark
    trial = Document(value, keys, marks)
    resolve_paths(trial)
    return trial
