"""A sweep as it is configured: search space, objective, sampler and pruner, all checked before the first trial."""

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from cnnkit.config.load import LoadedConfig
from cnnkit.config.schema import Config, Sweep
from cnnkit.config.sweep_space import End, SearchSpace, check_space
from cnnkit.data.binding import BoundConfig, bind
from cnnkit.errors import BuildError, CnnkitError, ConfigError, Fault, Problem
from cnnkit.experiments.sweep.objective import objective_faults, objective_of
from cnnkit.keras_api.building import build
from cnnkit.keras_api.optuna_objects import require_optuna
from cnnkit.metrics import Metric

_ONE_SEQUENCE = ("QMCSampler",)  # samplers whose seed fixes one sequence that all trials share


@dataclass(frozen=True)
class SweepPlan:
    """A checked sweep.

    Attributes:
        bound: The config with its data opened.
        space: The search space.
        objective: The validation column that is optimized.
    """

    bound: BoundConfig
    space: SearchSpace
    objective: Metric

    @property
    def name(self) -> str:
        """The name of the sweep, of its folder, and of Optuna's study."""
        return self.bound.config.name

    @property
    def sweep(self) -> Sweep:
        """The section `sweep`."""
        return _sweep_of(self.bound.config)

    @property
    def trials(self) -> int:
        """How many trials there are to be; no more than there are different ones, for a sampler that tries each once."""
        combinations = self.space.combinations
        if combinations is None or self.sweep.sampler.name != "BruteForceSampler":
            return self.sweep.trials
        return min(combinations, self.sweep.trials)

    def trial_config(self, values: Mapping[str, Any]) -> BoundConfig:
        """The config of a trial, with its data opened.

        Raises:
            ConfigError: The values are not valid together, or do not fit the data.
        """
        return _rebound(self.bound, self.space.config_of(values))

    def sampler(self, number: int) -> Any:
        """Optuna's sampler for a trial.

        Each trial has a seed of its own, so that what is chosen does not depend on which worker chooses, nor on how often the
        sweep was interrupted before.

        Raises:
            BuildError: Optuna rejects its arguments, or it wants a package that is not installed.
        """
        return _build_sampler(self.bound.config, number)

    def pruner(self) -> Any:
        """Optuna's pruner; a resource is an epoch, so `max_resource` is the number of epochs where it is left out.

        Raises:
            BuildError: Optuna rejects its arguments.
        """
        return _build_pruner(self.space)


def plan_sweep(loaded: LoadedConfig, *, is_checked: bool = False) -> SweepPlan:
    """Check everything about a sweep that can be known without TensorFlow; the config's data is opened.

    Args:
        loaded: The config; its data is opened where that is not done yet.
        is_checked: Whether the ends of the space were checked with the data before, in another process.

    Raises:
        CnnkitError: The config has no sweep, Optuna is not installed, or something in the config is not valid.
    """
    if loaded.config.sweep is None:
        source = loaded.document.values[()].source
        example = "sweep: {trials: 20, objective: val_accuracy, space: {data.batch_size: {CategoricalDistribution: {choices: [32, 64]}}}}"
        raise CnnkitError(f"{source}: has no `sweep` section", f"Add one, such as `{example}`.")
    require_optuna()
    space, faults = check_space(loaded)
    faults += _object_faults(space)
    try:
        bound = loaded if isinstance(loaded, BoundConfig) else bind(loaded)
    except ConfigError as error:
        raise ConfigError([*loaded.config_error(faults).problems, *error.problems]) from error
    faults += objective_faults(bound)
    if not is_checked:
        faults += _end_faults(bound, space, lambda config: None)
    if faults:
        raise loaded.config_error(faults)
    return SweepPlan(bound, space, objective_of(bound))


def _object_faults(space: SearchSpace) -> list[Fault]:
    """Faults of the sampler and the pruner."""
    faults, sampler = [], _sweep_of(space.loaded.config).sampler
    if "seed" in sampler.arguments:
        path = ("sweep", "sampler", *sampler.key, "seed")
        faults.append(Fault(path, "cannot be set: each trial's seed follows from the config's `seed`", "Leave it out.", on_key=True))
    for build_object, arguments in ((_build_sampler, (space.loaded.config, 0)), (_build_pruner, (space,))):
        try:
            build_object(*arguments)
        except BuildError as error:
            faults.append(error.fault)
    return faults


def _sweep_of(config: Config) -> Sweep:
    assert config.sweep is not None
    return config.sweep


def _build_sampler(config: Config, number: int) -> Any:
    """Optuna's sampler for a trial, with a seed that follows from the config's and the trial's number."""
    entry, seed = _sweep_of(config).sampler, config.seed
    if entry.name not in _ONE_SEQUENCE:
        seed = int(np.random.SeedSequence([seed, number]).generate_state(1)[0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # experimental and deprecated arguments: the user's choice
        return build("samplers", entry, ("sweep", "sampler"), seed=seed)


def _build_pruner(space: SearchSpace) -> Any:
    """Optuna's pruner, with the largest number of epochs in the space as its `max_resource`."""
    configs = [space.loaded.config, *(space.config_of({end.name: end.value}).config for end in space.ends)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return build(
            "pruners",
            _sweep_of(space.loaded.config).pruner,
            ("sweep", "pruner"),
            max_resource=max(config.train.total_epochs for config in configs),
        )


def check_networks(plan: SweepPlan) -> None:
    """Build the network of every end of the space, as `cnnkit check` does with that of a config. Imports TensorFlow.

    Raises:
        ConfigError: With every end at which there is no network.
    """
    from cnnkit.model.compile import build_and_compile
    from cnnkit.training.trial import try_training

    faults = _end_faults(plan.bound, plan.space, lambda config: try_training(config, build_and_compile(config)))
    if faults:
        raise plan.bound.config_error(faults)


def _end_faults(bound: BoundConfig, space: SearchSpace, check: Callable[[BoundConfig], object]) -> list[Fault]:
    """Faults of the configs at every end of the space with their data, each at the line of its end."""
    faults = []
    for end in space.ends:
        try:
            check(_rebound(bound, space.config_of({end.name: end.value})))
        except CnnkitError as error:
            faults += _faults_at(end, error)
    return faults


def _faults_at(end: End, error: CnnkitError) -> list[Fault]:
    found = error.problems if isinstance(error, ConfigError) else (Problem(error.message, error.remedy, error.location),)
    where = [f"{each.path}: " if each.path else "" for each in found]
    return [
        Fault(end.path, f"{end.words} is not valid: {path}{each.message}", each.remedy) for path, each in zip(where, found, strict=True)
    ]


def _rebound(bound: BoundConfig, loaded: LoadedConfig) -> BoundConfig:
    """Another config bound to the data; its source is opened only where its `data` section is another one."""
    source = bound.source if _same_source(bound.config, loaded.config) else None
    return bind(loaded, source=source)


def _same_source(one: Config, other: Config) -> bool:
    """Whether two configs read the same examples: only how they are batched, sampled and augmented may differ."""
    neutral = {"batch_size": 32, "augment": [], "sampling": "shuffle", "augment_passes": None}
    return one.data.model_copy(update=neutral) == other.data.model_copy(update=neutral)
