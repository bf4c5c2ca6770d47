"""The reference of the packaged configs: what each trains, its commands, and what was measured, from their leading comments."""

import re

from cnnkit.config.measured import Measured
from cnnkit.config.packaged import PackagedConfig, commands_in, packaged_config, packaged_configs

HEAD = """# Recipes

The configs that come with cnnkit, each with its command and what it was measured to reach. `cnnkit train digits` trains one by its name;
`cnnkit configs digits` copies it into your folder, where you can change it. To use one on data of your own, replace its `data` section, or
let [`cnnkit init`](../your-own-data.md) write a config.
"""

FOOT = """## How it was measured

`benchmarks/recipes.py` trains each config with several seeds and writes the results into its leading comment, from which this page is
made. A metric is the mean ± the standard deviation over the seeds, on test examples by which nothing was chosen. The time is the
median of whole processes, from the start of Python to the final evaluation. Operations are the multiplications and additions of one
training, which do not depend on the machine. Where a row says "not measured", the config has changed since.
"""

_PATH = re.compile(r"\bconfigs/([\w-]+)\.yaml\b")
_SUPERSCRIPTS = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")


def recipe_reference() -> str:
    """The page, as Markdown."""
    configs = packaged_configs()
    rows = "\n".join(_row(config) for config in configs)
    table = f"| recipe | data | measured | time | parameters |\n|---|---|---|---:|---:|\n{rows}\n"
    return "\n".join([HEAD, table, *(_recipe(config) for config in configs), FOOT])


def _row(config: PackagedConfig) -> str:
    measured = config.measured
    link = f"[{config.name}](#{config.name})"
    if measured is None:
        return f"| {link} | | not measured | | |"
    value = f"{measured.metric} **{measured.value:.3f}** ± {measured.spread:.3f}"
    return f"| {link} | {measured.task} | {value} | {measured.seconds:,.0f} s | {measured.parameters:,} |"


def _recipe(config: PackagedConfig) -> str:
    commands = "\n".join("    cnnkit " + _PATH.sub(r"\1", command) for command in commands_in(packaged_config(config.name)))
    measured = _measured(config.measured) if config.measured is not None else "Not measured in its present form."
    return f"## {config.name}\n\n{config.description}\n\n{commands}\n\n{measured}\n"


def _measured(measured: Measured) -> str:
    value = f"{measured.metric[:1].upper()}{measured.metric[1:]} **{measured.value:.3f}** ± {measured.spread:.3f} ({measured.seeds} seeds)"
    work = f"{_scientific(measured.operations)} operations, {measured.parameters:,} parameters"
    return f"{value} in {measured.seconds:,.0f} s on {measured.machine}, TensorFlow {measured.tensorflow}; {work}."


def _scientific(number: float) -> str:
    """A number such as 1.0 × 10¹¹."""
    digits, exponent = f"{number:.1e}".split("e")
    return f"{digits} × 10{str(int(exponent)).translate(_SUPERSCRIPTS)}"
