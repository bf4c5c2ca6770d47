"""`cnnkit check`: list every error of a config."""

from cnnkit.commands.options import Configs, Set, build_model, print_schedules
from cnnkit.console.text import print_line, print_notice


def check(configs: Configs, overrides: Set = None) -> None:
    """List every error of a config, by line."""
    from cnnkit.config.sweep_space import load_config_with_sweep
    from cnnkit.data.binding import bind

    loaded = bind(load_config_with_sweep(configs, overrides or []))
    from cnnkit.model.summary.summarize import summarize
    from cnnkit.training.distribution.opening import device_notices
    from cnnkit.training.trial import try_training

    network = build_model(loaded)
    try_training(loaded, network)
    if loaded.config.sweep is not None:
        from cnnkit.experiments.sweep.plan import check_networks, plan_sweep

        check_networks(plan_sweep(loaded))
    for notice in device_notices(loaded.config.train):
        print_notice(notice)
    print_schedules(loaded)
    total = summarize(network.model, preprocess=network.preprocess).total_parameters
    print_line(f"{', '.join(map(str, configs))}: good. {len(network.model.layers)} layers, {total:,} parameters.")
