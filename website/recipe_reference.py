"""The reference of the packaged configs: what each trains, its commands, and what was measured, from their leading comments."""

from cnnkit.config.measured import Measured
from cnnkit.config.packaged import PackagedConfig, commands_in, packaged_config, packaged_configs

HEAD = """# Recipes

The configs that come with cnnkit, and what each was measured to reach: generated from their leading comments, which
`benchmarks/recipes.py` writes. `cnnkit configs` lists them too, and `cnnkit configs NAME` copies one. Each figure is the mean and the
standard deviation over several seeds, on examples that chose nothing; the time is that of a whole process.
"""


def recipe_reference() -> str:
    """The page, as Markdown."""
    return "\n".join([HEAD, *(_recipe(config) for config in packaged_configs())])


def _recipe(config: PackagedConfig) -> str:
    commands = "\n".join(f"    cnnkit {command}" for command in commands_in(packaged_config(config.name)))
    measured = _measured(config.measured) if config.measured is not None else "Not measured in its present form.\n"
    return f"## {config.name}\n\n{config.description}\n\n{commands}\n\n{measured}"


def _measured(measured: Measured) -> str:
    rows = {
        "task": measured.task,
        measured.metric: f"**{measured.value:.3f}** ± {measured.spread:.3f} ({measured.seeds} seeds)",
        "time": f"{measured.seconds:,.0f} s on {measured.machine}, TensorFlow {measured.tensorflow}",
        "operations": f"{measured.operations:.1e}",
        "parameters": f"{measured.parameters:,}",
    }
    return "| | |\n|---|---|\n" + "".join(f"| {label} | {text} |\n" for label, text in rows.items())
