"""All uses of private or patched Keras and TensorFlow internals, each behind one function.

An upgrade may break any of it. Each entry has a test in `tests/test_compat.py` that then names the entry to fix, and a
test there scans the rest of cnnkit for private names. Over 300 lines, because whoever upgrades Keras reads this one file.
"""

import contextlib
import inspect
import math
import re
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    import keras

SEEDS_APART = 1_000_003  # between the seeds of two replicas: more than seeds of a run are apart

Node = Any  # keras.src.ops.node.Node: one use of an operation, with `operation`, `input_tensors`, `output_tensors`, `is_input`

# --- The graph of a model -------------------------------------------------------------------------------------------


def graph_of(operation: Any) -> Any | None:
    """The functional graph inside a functional or built sequential model; None for any other layer or operation."""
    graph = getattr(operation, "_functional", None) or operation
    return graph if hasattr(graph, "_nodes_by_depth") else None


def nodes_of(graph: Any) -> list[Node]:
    """Every use of every layer in a functional graph, in topological order."""
    return [node for _, nodes in sorted(graph._nodes_by_depth.items(), reverse=True) for node in nodes]


def all_uses(operation: Any) -> list[Node]:
    """Every use of an operation, in whichever graph, oldest first."""
    return list(operation._inbound_nodes)


def source_of(tensor: Any) -> Node:
    """The node that outputs a symbolic tensor."""
    history = tensor._keras_history
    return history.operation._inbound_nodes[history.node_index]


def flat_layers(model: "keras.layers.Layer", *, include_self: bool = True) -> list[Any]:
    """All layers of a model or of a wrapper, those of nested models and wrappers included, each once."""
    layers: list[Any] = model._flatten_layers(include_self=include_self, recursive=True)
    return layers


def run_graph(network: "keras.Model", inputs: Any, call: Callable[..., Any]) -> Any:
    """The output of a functional model whose operations are called through `call(operation, *arguments, **options)`."""
    return network._run_through_graph(inputs, call_fn=call)


def merges_inputs(layer: Any) -> bool:
    """Whether a layer merges several inputs into one, as Add and Concatenate do."""
    return hasattr(layer, "_merge_function")


# --- keras.applications ---------------------------------------------------------------------------------------------


def preferred_size(application: str) -> int:
    """Default input side in pixels of a network of keras.applications, parsed from its source code; 224 where not found."""
    import keras

    function = getattr(keras.applications, application)
    for source in (inspect.getsource(function), inspect.getsource(sys.modules[function.__module__])):
        found = re.search(r"default_size ?= ?(\d+)", source) or re.search(r"EfficientNet\(\s*[\d.]+,\s*[\d.]+,\s*(\d+)", source)
        if found:
            return int(found.group(1))
    return 224


def smallest_size(message: str) -> int | None:
    """The smallest input side in pixels that an error of keras.applications names; None where it is another error."""
    found = re.search(r"at least (\d+)x", message)
    return int(found.group(1)) if found else None


def preprocess_input_of(application: str) -> Callable[[Any], Any]:
    """The `preprocess_input` that belongs to a network of keras.applications."""
    import keras

    function: Callable[[Any], Any] = sys.modules[getattr(keras.applications, application).__module__].preprocess_input
    return function


class ReachedWeightsError(BaseException):
    """Keras is about to load pretrained weights; not an Exception, so that no `except Exception` in Keras catches it.

    Attributes:
        model: The network, built.
        file: Name of its weights file.
    """

    def __init__(self, model: "keras.Model", file: str) -> None:
        self.model, self.file = model, file


@contextlib.contextmanager
def stopped_before_weights() -> Iterator[None]:
    """Context manager: a network of keras.applications raises ReachedWeightsError in place of downloading and loading its weights."""
    import keras
    from keras.src.utils import file_utils

    get_file, load_weights = file_utils.get_file, keras.Model.load_weights

    def stop(model: "keras.Model", file: str, *arguments: Any, **options: Any) -> NoReturn:
        raise ReachedWeightsError(model, file)

    file_utils.get_file = lambda file, *arguments, **options: file
    keras.Model.load_weights = stop
    try:
        yield
    finally:
        file_utils.get_file, keras.Model.load_weights = get_file, load_weights


# --- Names and serialization ----------------------------------------------------------------------------------------


def registry(kind: str) -> Mapping[str, Any]:
    """The strings that Keras's `get` accepts for a kind of object, such as `adam` of `optimizers`, with their objects."""
    import importlib

    names: Mapping[str, Any] = getattr(importlib.import_module(f"keras.src.{kind}"), "ALL_OBJECTS_DICT", {})
    return names


def operations() -> frozenset[tuple[str, str]]:
    """Module and class name of each `keras.ops` operation, as functional models store those called on symbolic tensors."""
    import keras

    return _subclasses(keras.Operation, ("keras.src.ops.", "keras.src.activations.")) - {("keras.src.ops.function", "Function")}


def application_layers() -> frozenset[tuple[str, str]]:
    """Module and class name of each layer used only by networks of keras.applications, such as ConvNeXt's LayerScale."""
    import keras

    return _subclasses(keras.Layer, ("keras.src.applications.",))


def _subclasses(parent: type, modules: tuple[str, ...]) -> frozenset[tuple[str, str]]:
    """Module and name of all subclasses of a class that are defined in some modules."""
    found: set[tuple[str, str]] = set()
    waiting: list[type] = list(parent.__subclasses__())
    while waiting:
        each = waiting.pop()
        waiting += each.__subclasses__()
        if each.__module__.startswith(modules):
            found.add((each.__module__, each.__name__))
    return frozenset(found)


@contextlib.contextmanager
def sequentials_built_once() -> Iterator[None]:
    """Context manager: a sequential model from a config is built once, after its last layer.

    Keras builds it again for each layer it adds, which takes time quadratic in the number of layers: minutes for 800.
    """
    import keras

    add, from_config = keras.Sequential.add, keras.Sequential.__dict__["from_config"]

    def add_only(self: Any, layer: Any, rebuild: bool = True) -> None:
        add(self, layer, rebuild=False)

    def built_at_the_end(cls: Any, config: Any, custom_objects: Any = None) -> Any:
        model = from_config.__func__(cls, config, custom_objects)
        if model._functional is None and model._layers:
            model._maybe_rebuild()
        return model

    keras.Sequential.add, keras.Sequential.from_config = add_only, classmethod(built_at_the_end)
    try:
        yield
    finally:
        keras.Sequential.add, keras.Sequential.from_config = add, from_config


def layer_not_deserialized(error: Exception) -> tuple[str, str] | None:
    """Class and name of the innermost layer that Keras could not make from its config; None where the error names none."""
    found = re.findall(r"Error when deserializing class '(\w+)' using config=\{'name': '([^'\n]*)'", str(error))
    return found[-1] if found else None


def mismatched_weight(error: Exception) -> tuple[str, str, str] | None:
    """Path, expected shape and stored shape of a weight that Keras could not load.

    Returns:
        None for any other error; empty texts where Keras does not name the weight.
    """
    text = str(error)
    if "objects could not be loaded" not in text:
        return None
    found = re.search(r"variable\.shape=(\(.*?\)), Received: value\.shape=(\(.*?\))\. Target variable: <Variable path=([^,]*),", text)
    return (found[3], found[1], found[2]) if found else ("", "", "")


# --- Variables ------------------------------------------------------------------------------------------------------


class VariableLimitError(BaseException):
    """A network exceeds its limit on variable elements; not an Exception, which Keras would catch and replace.

    Attributes:
        elements: Elements requested so far, the refused variable included.
    """

    def __init__(self, elements: int) -> None:
        self.elements = elements


@contextlib.contextmanager
def limited_variables(max_elements: int) -> Iterator[None]:
    """Context manager: Keras variables of more than `max_elements` elements in total raise VariableLimitError before allocation."""
    import keras

    original = keras.Variable.__init__
    requested = 0

    def counted_init(self: Any, initializer: Any, shape: Any = None, *arguments: Any, **options: Any) -> None:
        nonlocal requested
        requested += abs(math.prod(shape)) if shape is not None else 0
        if requested > max_elements:
            raise VariableLimitError(requested)
        original(self, initializer, shape, *arguments, **options)

    keras.Variable.__init__ = counted_init
    try:
        yield
    finally:
        keras.Variable.__init__ = original


# --- Downloads ------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def socket_timeout(seconds: float) -> Iterator[None]:
    """Context manager: connecting, DNS lookup included, raises TimeoutError after `seconds`; Keras itself sets no timeout."""
    connect, timeout = socket.create_connection, socket.getdefaulttimeout()

    def connect_with_timeout(*arguments: Any, **options: Any) -> socket.socket:
        outcome: list[Any] = []

        def attempt() -> None:
            try:
                outcome.append(connect(*arguments, **options))
            except OSError as error:
                outcome.append(error)

        thread = threading.Thread(target=attempt, daemon=True)  # a DNS lookup cannot be interrupted, only abandoned
        thread.start()
        thread.join(seconds)
        result = outcome[0] if outcome else TimeoutError(f"no answer from the network in {seconds} s")
        if isinstance(result, OSError):
            raise result
        return result  # type: ignore[no-any-return]

    socket.create_connection = connect_with_timeout
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.create_connection = connect
        socket.setdefaulttimeout(timeout)


def download_failure(error: Exception) -> str | None:
    """Why a download by Keras failed; None for any other error. Keras raises a bare Exception for these."""
    text = str(error)
    if isinstance(error, OSError) or text.startswith(("URL fetch failure", "Incomplete or corrupted file")):
        return text.removeprefix("URL fetch failure on ")
    return None


# --- Training -------------------------------------------------------------------------------------------------------


def choose_direction(callback: Any) -> None:
    """Let a callback that monitors a column choose whether its values are better high or low, as it does after the first epoch.

    Args:
        callback: A Keras callback whose model has built its metrics.

    Raises:
        ValueError: Keras does not know the direction of the column.
    """
    if hasattr(callback, "_set_monitor_op"):
        callback._set_monitor_op()


def without_loss_scaling(optimizer: "keras.optimizers.Optimizer") -> "keras.optimizers.Optimizer":
    """The optimizer inside a LossScaleOptimizer, which updates the weights; any other optimizer as it is."""
    return getattr(optimizer, "inner_optimizer", optimizer)


def schedule_of(optimizer: "keras.optimizers.Optimizer") -> Any | None:
    """The learning-rate schedule of an optimizer; None where its learning rate is constant."""
    import keras

    rate = without_loss_scaling(optimizer)._learning_rate
    return rate if isinstance(rate, keras.optimizers.schedules.LearningRateSchedule) else None


def set_schedule(optimizer: "keras.optimizers.Optimizer", schedule: Any) -> None:
    """Replace the learning-rate schedule of an optimizer that has one, without touching its step count."""
    without_loss_scaling(optimizer)._learning_rate = schedule


def moving_averages(optimizer: "keras.optimizers.Optimizer") -> list[tuple[Any, Any]]:
    """The variables that an optimizer with `use_ema` trains, each with its moving average; empty for others."""
    optimizer = without_loss_scaling(optimizer)
    if not optimizer.use_ema:
        return []
    pairs = zip(optimizer._trainable_variables, optimizer._model_variables_moving_average, strict=True)
    return [(variable, average) for variable, average in pairs if average is not None]


def has_averages_in_model(callbacks: Sequence[Any]) -> bool:
    """Whether a callback has put the moving averages of the weights into the model, and the weights into the optimizer."""
    return any(getattr(callback, "_ema_weights_in_model", False) for callback in callbacks)


def scale_updates(optimizer: "keras.optimizers.Optimizer", variables: Sequence[Any], factors: Sequence[float]) -> None:
    """Permanently multiply the learning rate of each variable by its own factor.

    Args:
        optimizer: A Keras optimizer; its `update_step` is replaced on the instance.
        variables: The Keras variables that it trains.
        factors: One per variable, at least 0.
    """
    optimizer = without_loss_scaling(optimizer)
    step = optimizer.update_step
    by_key = {optimizer._var_key(variable): factor for variable, factor in zip(variables, factors, strict=True)}

    def scaled(gradient: Any, variable: Any, learning_rate: Any) -> None:
        step(gradient, variable, learning_rate * by_key[optimizer._var_key(variable)])  # Keras passes the copy on one device here

    optimizer.update_step = scaled


def with_constant_weights(function: Any) -> Callable[[Any], Sequence[Any]]:
    """A concrete TensorFlow function with its variables converted to constants, so that normalizations fold into convolutions."""
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    constant: Callable[[Any], Sequence[Any]] = convert_variables_to_constants_v2(function)
    return constant


# --- Several devices ------------------------------------------------------------------------------------------------


def update_without_merging(strategy: Any) -> None:
    """Let the replicas of a mirrored strategy run to their end one by one, as TensorFlow does where XLA compiles them on GPUs.

    By default they run in turns from one variable update to the next, and overwrite each other's regularization losses,
    which Keras keeps in the layers that they share; and no update can be inside a condition, as those of an optimizer with
    `gradient_accumulation_steps` are.
    """
    strategy.extended._use_merge_call = lambda: False


@contextlib.contextmanager
def replica_tracing(model: "keras.Model") -> Iterator[None]:
    """Context manager around `strategy.run` for a step whose loss and gradients are equal on all replicas; of effect while it is traced.

    - A variable assigned in a replica changes the copy of that replica alone, without communication.
    - Losses are not divided by the number of replicas.
    - BatchNormalization computes its statistics over all replicas.
    - The seeds of Dropout and other random layers differ from replica to replica; those of the first are the ones of one device.
    """
    import keras
    import tensorflow as tf
    from keras.src.backend.tensorflow import nn
    from keras.src.losses import loss as loss_module
    from tensorflow.python.distribute import values

    normalizations = [layer for layer in flat_layers(model) if isinstance(layer, keras.layers.BatchNormalization)]
    before = [layer.synchronized for layer in normalizations]
    patched = [
        (values, "_on_write_update_replica"),
        (loss_module, "scale_loss_for_distribution"),
        (nn, "_compute_moments_sync"),
        (keras.random.SeedGenerator, "next"),
    ]
    originals = [getattr(owner, name) for owner, name in patched]
    draw = originals[-1]

    def assign_own_copy(variable: Any, update: Any, value: Any, **options: Any) -> Any:
        return update(variable._get_on_device_or_primary(), value, **options)

    def next_seed(self: Any, ordered: bool = True) -> Any:
        seed = draw(self, ordered)
        context = tf.distribute.get_replica_context()
        replica = context.replica_id_in_sync_group if context is not None else 0
        return seed + tf.cast(tf.stack([replica * SEEDS_APART, 0]), seed.dtype)

    for (owner, name), replacement in zip(patched, (assign_own_copy, lambda loss: loss, _moments_over_replicas, next_seed), strict=True):
        setattr(owner, name, replacement)
    for layer in normalizations:
        layer.synchronized = True
    try:
        yield
    finally:
        for (owner, name), original in zip(patched, originals, strict=True):
            setattr(owner, name, original)
        for layer, synchronized in zip(normalizations, before, strict=True):
            layer.synchronized = synchronized


def _moments_over_replicas(values: Any, axes: Sequence[int], keepdims: bool) -> tuple[Any, Any]:
    """Mean and variance over some axes and all replicas, as Keras computes them, but with one exchange in place of three."""
    import tensorflow as tf

    count = tf.cast(tf.reduce_prod(tf.gather(tf.shape(values), axes)), values.dtype)
    own = [tf.reduce_sum(values, axes, keepdims=keepdims), tf.reduce_sum(tf.square(values), axes, keepdims=keepdims), count]
    total, squares, number = tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, own)
    mean = total / number
    return mean, tf.maximum(squares / number - tf.square(mean), 0.0)


def gradients_are_summed(optimizer: "keras.optimizers.Optimizer") -> None:
    """Let an optimizer take gradients that are summed over the replicas already; by itself it sums them after it has clipped them."""
    without_loss_scaling(optimizer)._all_reduce_sum_gradients = lambda pairs: pairs


def outputs_with_logits(predictions: Any) -> list[Any]:
    """Predictions and, where they are float32 and come from a softmax or sigmoid, the logits that Keras's losses use in their place.

    Cross-entropy of logits is exact; of probabilities, Keras clips them to 1e-7.
    """
    logits = getattr(predictions, "_keras_logits", None)
    if logits is None and predictions.op.type in ("Softmax", "Sigmoid"):
        logits = predictions.op.inputs[0]
    return [predictions] if logits is None or predictions.dtype != logits.dtype or predictions.dtype != "float32" else [predictions, logits]


def data_loss(model: "keras.Model", targets: Any, outputs: Sequence[Any], weights: Any = None) -> Any:
    """The compiled loss of `outputs_with_logits`, without regularization losses."""
    import tensorflow as tf

    predictions = tf.identity(outputs[0])
    if len(outputs) > 1:
        predictions._keras_logits = outputs[1]
    return model._compile_loss(targets, predictions, weights)


def loss_tracker(model: "keras.Model") -> Any:
    """The metric of a compiled model that holds its mean loss."""
    return model._loss_tracker


def regularization_losses(model: "keras.Model") -> tuple[Any, Any]:
    """The sums of a model's regularization losses after a call, float32 scalars: those of weights, and those of the outputs of layers.

    The latter are means over the examples of the call.
    """
    import tensorflow as tf

    def total(losses: Sequence[Any]) -> Any:
        return tf.add_n([tf.constant(0.0), *(tf.cast(tf.reduce_sum(each), tf.float32) for each in losses)])

    losses = list(model.losses)
    first_of_weights = len(losses) - len(model._get_regularization_losses())
    return total(losses[first_of_weights:]), total(losses[:first_of_weights])


# --- Automatic names ------------------------------------------------------------------------------------------------


def snake_case(name: str) -> str:
    """The name that Keras derives from a class: `MeanIoU` gives `mean_io_u`. Needs no Keras, so that a config is checked without it."""
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()


@contextlib.contextmanager
def fresh_names() -> Iterator[None]:
    """Context manager: Keras's automatic names start again (`auc`, `auc_1`, …); afterwards the previous counters are restored.

    Works as a decorator as well. Without it, the metric AUC is `auc` in a run that was never interrupted and `auc_3` in
    one that compiled more often.
    """
    from keras.src.backend.common import global_state

    counters = "object_name_uids"  # number of objects per automatic name
    before = global_state.get_global_attribute(counters)
    global_state.set_global_attribute(counters, None)  # Keras creates new counters at the next name
    try:
        yield
    finally:
        global_state.set_global_attribute(counters, before)
