"""Automatic names of Keras objects that do not depend on what the process built before."""

import contextlib
from collections.abc import Iterator

_COUNTERS = "object_name_uids"  # Keras's own counters: how many objects have taken each automatic name


@contextlib.contextmanager
def fresh_names() -> Iterator[None]:
    """Within: Keras's automatic names begin anew (`auc`, `auc_1`, …); afterwards they go on as if nothing had been built.

    Works as a decorator as well. Without it, the metric AUC is `auc` in a run that was never interrupted and `auc_3` in
    one that compiled more often.
    """
    from keras.src.backend.common import global_state

    before = global_state.get_global_attribute(_COUNTERS)
    global_state.set_global_attribute(_COUNTERS, None)  # Keras makes new ones at the next name
    try:
        yield
    finally:
        global_state.set_global_attribute(_COUNTERS, before)
