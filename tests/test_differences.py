"""What two configs differ in is told entry by entry, and equal configs differ in nothing."""

from cnnkit.config.differences import differences, entry_at
from cnnkit.experiments.compare_runs import changed_entries

CONFIG = {"name": "a", "model": {"layers": [{"Conv2D": {"filters": 8}}, "Flatten"]}, "train": {"epochs": 3}}


def test_equal_configs_differ_in_nothing() -> None:
    assert differences(CONFIG, CONFIG) == {}


def test_a_changed_layer_is_one_row_and_a_longer_list_one_entry() -> None:
    changed = {"name": "a", "model": {"layers": [{"Conv2D": {"filters": 16}}, "Flatten"]}, "train": {"epochs": 3, "loss": "mse"}}
    assert differences(CONFIG, changed) == {"model.layers[0].Conv2D.filters": (8, 16), "train.loss": (None, "mse")}
    longer = {**CONFIG, "model": {"layers": ["Flatten", "Flatten", "Flatten"]}}
    assert differences(CONFIG, longer) == {"model.layers": (CONFIG["model"]["layers"], ["Flatten"] * 3)}


def test_keys_with_dots_have_their_values_on_every_side() -> None:
    first = {"name": "a", "sweep": {"space": {"train.optimizer.SGD.learning_rate": {"low": 0.1}}}, "train": {"class_weight": {"a.b": 1}}}
    other = {"name": "b", "sweep": {"space": {"train.optimizer.SGD.learning_rate": {"low": 0.2}}}, "train": {"class_weight": {"a.b": 2}}}
    without = {"name": "c", "sweep": {"space": {}}, "train": {"class_weight": {"a.b": 1}}}
    assert changed_entries([first, other]) == {
        "sweep.space.train.optimizer.SGD.learning_rate.low": (0.1, 0.2),
        "train.class_weight.a.b": (1, 2),
    }
    assert changed_entries([first, other, without]) == {
        "sweep.space.train.optimizer.SGD.learning_rate": ({"low": 0.1}, {"low": 0.2}, None),
        "train.class_weight.a.b": (1, 2, 1),
    }


def test_a_layer_that_a_shorter_list_lacks_is_none_of_its_entries() -> None:
    assert entry_at(CONFIG, ("model", "layers", 0, "Conv2D", "filters")) == 8
    assert entry_at(CONFIG, ("model", "layers", 2)) is None
    assert entry_at(CONFIG, ("train", "epochs", "x")) is None
