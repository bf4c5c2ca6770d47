"""A transfer recipe as the lines of a config, and what was measured as comments."""

from cnnkit.experiments.starter.data_summary import DataSummary
from cnnkit.experiments.starter.measure import Measurements
from cnnkit.experiments.starter.transfer_recipe import FINE_TUNE_FROM, TransferRecipe

BASE = "MobileNetV2"


def augment_lines(summary: DataSummary, recipe: TransferRecipe) -> list[str]:
    """The lines of `data.augment` and `data.augment_passes`; none where nothing is augmented."""
    if not recipe.augments:
        return []
    lines = [
        f"  augment_passes: {recipe.passes:<16}# over the frozen base: features of this many augmented passes, computed once",
        "  augment:                        # training only",
    ]
    if recipe.flips:
        lines.append(f"    - RandomFlip: {{mode: {recipe.flip_mode}}}")
    lines += ["    - RandomTranslation: {height_factor: 0.08, width_factor: 0.08}", "    - RandomZoom: {height_factor: 0.1}"]
    if recipe.fine_tune_epochs:
        lines.append(f"    - RandomBrightness: {{factor: 0.15{summary.pixels.argument}}}")
    if recipe.fine_tune_epochs and summary.spec.input_shape[-1] == 3:
        lines.append(f"    - RandomContrast: {{factor: 0.15{summary.pixels.argument}}}")
    return lines


def model_lines(summary: DataSummary, recipe: TransferRecipe, alpha: float) -> list[str]:
    """The lines of the `model` section.

    Args:
        summary: The data.
        recipe: The recipe.
        alpha: The base's width, 1 for that of Keras's default.
    """
    task = summary.spec.task
    base = f"  base: {BASE:<26}#" if alpha == 1 else f"  base: {{{BASE}: {{alpha: {alpha}}}}}   #"
    activation = f", activation: {task.activation}" if task.activation else ""
    scaled = [
        "  preprocess:                     # to pixels from 0 to 255, as the base wants them",
        f"    - Rescaling: {{{summary.pixels.rescaling(0, 255)}}}",
    ]
    return [
        "model:",
        *([] if summary.pixels.is_usual else scaled),
        f"{base} any network of keras.applications; its own scaling is part of the model",
        *([] if summary.image_files else [f"  image_size: {recipe.side:<20}# to which images are resized inside the model"]),
        "  head:",
        "    - GlobalAveragePooling2D",
        f"    - Dense: {{units: {task.outputs}{activation}, kernel_regularizer: {{L2: {{l2: {recipe.l2:g}}}}}}}",
    ]


def optimizer_lines(recipe: TransferRecipe) -> list[str]:
    """The lines of `train` on epochs, optimizer and phases; the schedules end with the last epoch, also where epochs are edited."""
    head = "{Adam: {learning_rate: {CosineDecay: {initial_learning_rate: 2e-3, decay_steps: total_steps}}}}"
    if not recipe.fine_tune_epochs:
        last = "  keep: last                      # the loss of a linear head has one minimum, to which the last epoch is nearest"
        return [f"  epochs: {recipe.head_epochs}", f"  optimizer: {head}", last]
    return [
        "  phases:",
        "    - train: head                   # on features of the frozen base, computed once",
        f"      epochs: {recipe.head_epochs}",
        f"      optimizer: {head}",
        f"    - train: from {FINE_TUNE_FROM}  # the upper part of the base, in small steps, on freshly augmented images",
        f"      epochs: {recipe.fine_tune_epochs}",
        "      optimizer:",
        "        Adam:",
        "          learning_rate:",
        "            CosineDecay:",
        "              {initial_learning_rate: 0.0, warmup_target: 1e-4, warmup_steps: 10 %, decay_steps: 90 %}",
    ]


def measured_lines(measured: Measurements, summary: DataSummary, side: int) -> list[str]:
    """What was measured, as lines of text.

    Args:
        measured: What was measured.
        summary: The data.
        side: The size that the recipe uses.
    """
    task = summary.spec.task
    score, loss = ("R²", "squared error") if task.is_regression else ("accuracy", "log loss")
    lines = [f"A linear head on the frozen base, cross-validated on {measured.sampled:,} training examples:"]
    for size in measured.sizes:
        chosen = "  <- used" if size.side == side else ""
        speed = f"{1 / size.seconds:,.0f} images/s"
        lines.append(f"  {size.side:>3} px  {score} {size.judged.score:.3f}  {loss} {size.judged.loss:.3f}  {speed}{chosen}")
    for name, (mirrored, kept) in measured.flips.items():
        as_good = "as good" if round(mirrored, 3) >= round(measured.best.judged.score, 3) else "not worse beyond chance"
        verdict = f"{as_good}, so flips are used" if kept else "worse, so no such flips"
        lines.append(f"  mirrored ({name})  {score} {mirrored:.3f}: {verdict}")
    if group := summary.options.get("group"):
        lines.append(f"  examples of one {group} are on both sides here, so that the {score} is too high; training divides by {group}")
    return lines
