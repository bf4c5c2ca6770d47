"""What two configs differ in is told entry by entry, and equal configs differ in nothing."""

from cnnkit.config.differences import differences

CONFIG = {"name": "a", "model": {"layers": [{"Conv2D": {"filters": 8}}, "Flatten"]}, "train": {"epochs": 3}}


def test_equal_configs_differ_in_nothing() -> None:
    assert differences(CONFIG, CONFIG) == {}


def test_a_changed_layer_is_one_row_and_a_longer_list_one_entry() -> None:
    changed = {"name": "a", "model": {"layers": [{"Conv2D": {"filters": 16}}, "Flatten"]}, "train": {"epochs": 3, "loss": "mse"}}
    assert differences(CONFIG, changed) == {"model.layers[0].Conv2D.filters": (8, 16), "train.loss": (None, "mse")}
    longer = {**CONFIG, "model": {"layers": ["Flatten", "Flatten", "Flatten"]}}
    assert differences(CONFIG, longer) == {"model.layers": (CONFIG["model"]["layers"], ["Flatten"] * 3)}
