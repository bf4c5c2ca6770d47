"""What cnnkit takes from inside Keras and TensorFlow is still there; where an upgrade moved it, the test names what to mend.

Over 300 lines: one check for each entry of `keras_api/compat.py`, and the scan for what has none.
"""

import ast
import inspect
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras.src.utils.naming import to_snake_case

import cnnkit
from cnnkit.keras_api import compat

PACKAGE = Path(cnnkit.__file__).parent


def network() -> keras.Model:
    keras.utils.clear_session(free_memory=False)  # names count from the start
    inputs = keras.Input((4, 4, 3), name="x")
    nested = keras.Sequential([keras.Input((4, 4, 3)), keras.layers.Conv2D(2, 3, name="conv")], name="nested")
    hidden = keras.layers.Flatten(name="flat")(nested(keras.ops.flip(inputs, axis=-1)))
    return keras.Model(inputs, keras.layers.Dense(2, name="answer")(hidden))


def graph_of() -> bool:
    model = network()
    nested = model.get_layer("nested")
    return compat.graph_of(model) is model and compat.graph_of(nested) is not None and compat.graph_of(model.layers[-1]) is None


def nodes_of() -> bool:
    return [node.operation.name for node in compat.nodes_of(network())] == ["x", "flip", "nested", "flat", "answer"]


def all_uses() -> bool:
    layer, inputs = keras.layers.Dense(3), keras.Input((3,))
    outputs = [layer(inputs), layer(inputs)]
    return [node.output_tensors[0] is output for node, output in zip(compat.all_uses(layer), outputs, strict=True)] == [True, True]


def source_of() -> bool:
    model = network()
    node = compat.source_of(model.output)
    return node.operation is model.get_layer("answer") and node.output_tensors[0] is model.output and not node.is_input


def flat_layers() -> bool:
    model = network()
    names = {layer.name for layer in compat.flat_layers(model)}
    inner = {layer.name for layer in compat.flat_layers(model, include_self=False)}
    return {"conv", "nested", "answer"} <= inner and names == inner | {model.name}


def run_graph() -> bool:
    model, called = network(), []

    def call(operation: Any, *arguments: Any, **options: Any) -> Any:
        called.append(operation.name)
        return operation(*arguments, **options)

    values = np.random.default_rng(0).normal(size=(2, 4, 4, 3)).astype("float32")
    return np.allclose(compat.run_graph(model, values, call), model(values), atol=1e-6) and called == ["flip", "nested", "flat", "answer"]


def merges_inputs() -> bool:
    return compat.merges_inputs(keras.layers.Concatenate()) and not compat.merges_inputs(keras.layers.Dense(2))


def preferred_size() -> bool:
    sizes = {"MobileNetV2": 224, "InceptionV3": 299, "EfficientNetB1": 240, "NASNetLarge": 331}
    return {name: compat.preferred_size(name) for name in sizes} == sizes


def smallest_size() -> bool:
    try:
        keras.applications.MobileNetV2(include_top=False, weights=None, input_shape=(1, 1, 3))
    except ValueError as error:
        return compat.smallest_size(str(error)) == 32 and compat.smallest_size("units must be positive") is None
    return False


def preprocess_input_of() -> bool:
    pixels = np.array([0.0, 127.5, 255.0]).reshape(1, 1, 1, 3)
    return np.allclose(compat.preprocess_input_of("MobileNetV2")(pixels.copy()).ravel(), [-1, 0, 1])


def stopped_before_weights() -> bool:
    load = keras.Model.load_weights
    try:
        with compat.stopped_before_weights(), keras.StatelessScope(initialize_variables=False):
            keras.applications.MobileNetV2(include_top=False, weights="imagenet", input_shape=(96, 96, 3))
    except compat.ReachedWeightsError as reached:
        named = reached.file == "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_96_no_top.h5"
        return named and isinstance(reached.model, keras.Model) and keras.Model.load_weights is load
    finally:
        keras.utils.clear_session(free_memory=False)  # forgets the variables that wait for values
    return False


def registry() -> bool:
    return compat.registry("losses")["mse"] is keras.losses.mean_squared_error and "adam" in compat.registry("optimizers")


def operations() -> bool:
    stored = keras.saving.serialize_keras_object(network())["config"]["layers"][1]
    return (stored["module"], stored["class_name"]) in compat.operations()


def application_layers() -> bool:
    return ("keras.src.applications.convnext", "LayerScale") in compat.application_layers()


def mismatched_weight() -> bool:
    layers = [keras.Input((4,)), keras.layers.Dense(3, name="answer")]
    with tempfile.TemporaryDirectory() as folder:
        keras.Sequential(layers).save_weights(f"{folder}/x.weights.h5")
        other = keras.Sequential([keras.Input((4,)), keras.layers.Dense(5, name="answer")])
        try:
            other.load_weights(f"{folder}/x.weights.h5")
        except ValueError as error:
            path, *shapes = compat.mismatched_weight(error) or ("", "", "")
            return path.endswith("answer/kernel") and shapes == ["(4, 5)", "(4, 3)"] and compat.mismatched_weight(ValueError("x")) is None
    return False


def limited_variables() -> bool:
    make = keras.Variable.__init__
    with compat.limited_variables(12):
        keras.layers.Dense(3).build((None, 3))
        try:
            keras.layers.Dense(100).build((None, 100))
        except compat.VariableLimitError:
            refused = True
        else:
            refused = False
    return refused and keras.Variable.__init__ is make


def socket_timeout() -> bool:
    connect = socket.create_connection

    def silent(*arguments: Any, **options: Any) -> Any:
        time.sleep(60)

    socket.create_connection = silent
    begun = time.perf_counter()
    try:
        with compat.socket_timeout(0.1), tempfile.TemporaryDirectory() as folder:
            keras.utils.get_file("x", "https://example.invalid/x", cache_dir=folder)
    except Exception as error:  # noqa: BLE001 - Keras raises a bare Exception
        return time.perf_counter() - begun < 50 and "no answer from the network in 0.1 s" in str(compat.download_failure(error))
    finally:
        socket.create_connection = connect
    return False


def download_failure() -> bool:
    source = inspect.getsource(keras.utils.get_file)
    return (
        "URL fetch failure on" in source and "Incomplete or corrupted file" in source and compat.download_failure(ValueError("x")) is None
    )


def schedule_of() -> bool:
    schedule = keras.optimizers.schedules.CosineDecay(0.1, 10)
    return compat.schedule_of(keras.optimizers.SGD(schedule)) is schedule and compat.schedule_of(keras.optimizers.SGD(0.1)) is None


def set_schedule() -> bool:
    optimizer = keras.optimizers.SGD(keras.optimizers.schedules.CosineDecay(0.1, 10))
    compat.set_schedule(optimizer, keras.optimizers.schedules.ExponentialDecay(0.5, 10, 0.9))
    return bool(np.isclose(float(optimizer.learning_rate), 0.5))


def scale_updates() -> bool:
    variables = [keras.Variable([1.0, 1.0]), keras.Variable([1.0, 1.0])]
    optimizer = keras.optimizers.SGD(0.1)
    compat.scale_updates(optimizer, variables, [1.0, 0.5])
    optimizer.build(variables)
    tf.function(lambda: optimizer.apply([tf.ones(2), tf.ones(2)], variables))()
    return np.allclose([variable.numpy() for variable in variables], [[0.9, 0.9], [0.95, 0.95]])


def moving_averages() -> bool:
    variables = [keras.Variable([1.0]), keras.Variable([2.0])]
    optimizer = keras.optimizers.SGD(0.5, use_ema=True, ema_momentum=0.75)
    optimizer.build(variables)
    for _ in range(2):
        optimizer.apply([tf.ones(1), tf.ones(1)], variables)
    values = [(start - 0.5, start - 1.0) for start in (1.0, 2.0)]  # after each step
    averages = [0.75 * first + 0.25 * second for first, second in values]  # Keras begins with the values after the first step
    found = compat.moving_averages(optimizer)
    same = [variable is own for (variable, _), own in zip(found, variables, strict=True)]
    return all(same) and np.allclose([average.numpy()[0] for _, average in found], averages)


def has_averages_in_model() -> bool:
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.1, use_ema=True), "mse")
    model.optimizer.build(model.trainable_variables)
    callback = keras.callbacks.SwapEMAWeights(swap_on_epoch=True)
    callback.set_params({"epochs": 2})
    callback.set_model(model)
    before = compat.has_averages_in_model([keras.callbacks.TerminateOnNaN(), callback])
    callback.on_epoch_end(0)
    return not before and compat.has_averages_in_model([callback])


def with_constant_weights() -> bool:
    model = network()
    traced = tf.function(lambda x: model(x, training=False), input_signature=[tf.TensorSpec((None, 4, 4, 3))])
    constant = compat.with_constant_weights(traced.get_concrete_function())
    values = np.random.default_rng(0).normal(size=(2, 4, 4, 3)).astype("float32")
    return np.allclose(constant(tf.constant(values))[0], model(values), atol=1e-5)


def fresh_names() -> bool:
    def built() -> list[str]:
        return [keras.metrics.AUC().name, keras.metrics.AUC().name]

    keras.metrics.AUC()
    with compat.fresh_names():
        first = built()
    with compat.fresh_names():
        second = built()
    return first == second == ["auc", "auc_1"]


def sequentials_built_once() -> bool:
    layers = [keras.Input((4,)), *(keras.layers.Dense(4) for _ in range(3))]
    config = keras.Sequential(layers).get_config()
    with compat.sequentials_built_once():
        once = keras.Sequential.from_config(config)
    again = keras.Sequential.from_config(config)
    uses = [[len(compat.all_uses(layer)) for layer in model.layers] for model in (once, again)]
    return once.built and uses[0] == [1, 1, 1] and uses[1][0] > 1


def layer_not_deserialized() -> bool:
    inputs = keras.Input((4,))
    config = keras.Model(inputs, keras.layers.Dense(4, name="wide")(inputs)).get_config()
    config["layers"][1]["config"]["units"] = -4
    try:
        keras.Model.from_config(config)
    except Exception as error:  # noqa: BLE001 - of which kind is Keras's choice
        return compat.layer_not_deserialized(error) == ("Dense", "wide") and compat.layer_not_deserialized(ValueError("other")) is None
    return False


def snake_case() -> bool:
    classes = [each for each in vars(keras.metrics).values() if inspect.isclass(each)]
    return len(classes) > 40 and all(compat.snake_case(each.__name__) == to_snake_case(each.__name__) for each in classes)


def choose_direction() -> bool:
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse", metrics=["mae", keras.metrics.FalsePositives()])
    model.test_on_batch(np.zeros((1, 2)), np.zeros((1, 1)))
    refused = []
    for column in ("val_mae", "false_positives"):
        callback = keras.callbacks.EarlyStopping(column)
        callback.set_model(model)
        try:
            compat.choose_direction(callback)
        except ValueError:
            refused.append(column)
    return refused == ["false_positives"]


def without_loss_scaling() -> bool:
    inner = keras.optimizers.SGD()
    return compat.without_loss_scaling(keras.optimizers.LossScaleOptimizer(inner)) is inner and compat.without_loss_scaling(inner) is inner


def mirrored() -> tuple[Any, keras.Model]:
    """A mirrored strategy of one replica, and a compiled model in its scope."""
    strategy = tf.distribute.MirroredStrategy(["CPU:0"])
    compat.update_without_merging(strategy)
    with strategy.scope():
        regularizers = {"kernel_regularizer": keras.regularizers.L2(0.5), "activity_regularizer": keras.regularizers.L1(0.5)}
        layers = [keras.layers.Dense(2, kernel_initializer="ones", **regularizers), keras.layers.BatchNormalization()]
        model = keras.Sequential([keras.Input((3,)), *layers])
        optimizer = keras.optimizers.SGD(1.0, gradient_accumulation_steps=2)
    model.compile(optimizer, "mse")
    return strategy, model


def update_without_merging() -> bool:
    strategy, model = mirrored()
    with strategy.scope():
        model.optimizer.build(model.trainable_variables)
    zeros = [tf.zeros(variable.shape) for variable in model.trainable_variables]

    @tf.function
    def step() -> None:  # updates inside a condition, which TensorFlow refuses where replicas take turns
        with compat.replica_tracing(model):
            strategy.run(lambda: model.optimizer.apply(zeros, model.trainable_variables))

    step()
    step()
    return int(model.optimizer.iterations) == 1 and not strategy.extended._use_merge_call()  # one update for two accumulated steps


def replica_tracing() -> bool:
    from keras.src.losses import loss as loss_module
    from tensorflow.python.distribute import values

    _, model = mirrored()
    from keras.src.backend.tensorflow import nn

    patched = (
        (nn, "_compute_moments_sync"),
        (values, "_on_write_update_replica"),
        (loss_module, "scale_loss_for_distribution"),
        (keras.random.SeedGenerator, "next"),
    )
    before = [getattr(owner, name) for owner, name in patched]
    normalization, seed = model.layers[-1], keras.random.SeedGenerator(7)
    with compat.replica_tracing(model):
        inside = [getattr(owner, name) for owner, name in patched]
        synchronized, drawn = normalization.synchronized, np.array(seed.next()).tolist()
    after = [getattr(owner, name) for owner, name in patched]
    is_patched = before == after and set(map(id, inside)).isdisjoint(map(id, before))
    sources = inspect.getsource(values.MirroredVariable._update_replica), inspect.getsource(loss_module.reduce_values)
    is_called = "_on_write_update_replica(" in sources[0] and "scale_loss_for_distribution(" in sources[1]
    is_called &= "_compute_moments_sync(x, axes, keepdims)" in inspect.getsource(nn.moments)
    return is_patched and is_called and synchronized and not normalization.synchronized and drawn == [7, 0]


def gradients_are_summed() -> bool:
    optimizer = keras.optimizers.SGD(1.0)
    original = optimizer._all_reduce_sum_gradients
    compat.gradients_are_summed(optimizer)
    pairs = [(tf.ones(2), None)]
    return callable(original) and optimizer._all_reduce_sum_gradients(pairs) is pairs


def data_loss() -> bool:
    _, model = mirrored()
    loss = compat.data_loss(model, tf.zeros((2, 2)), [tf.fill((2, 2), 3.0)], tf.constant([1.0, 3.0]))
    return np.isclose(float(loss), 18.0)  # (9 * 1 + 9 * 3) / 2, without the regularizers


def outputs_with_logits() -> bool:
    logits = tf.constant([[40.0, 0.0]])
    model = keras.Sequential([keras.Input((2,)), keras.layers.Activation("softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy")

    @tf.function
    def loss() -> Any:
        return compat.data_loss(model, tf.constant([1]), compat.outputs_with_logits(model(logits)))

    return np.isclose(float(loss()), 40.0)  # of clipped probabilities, it is 16.1


def loss_tracker() -> bool:
    _, model = mirrored()
    compat.loss_tracker(model).update_state(5.0)
    return float(model.get_metrics_result()["loss"]) == 5.0


def regularization_losses() -> bool:
    _, model = mirrored()
    model(tf.ones((4, 3)))
    of_weights, of_outputs = compat.regularization_losses(model)
    return [float(of_weights), float(of_outputs)] == [3.0, 3.0]  # 0.5 * 6 ones squared; 0.5 * (3 + 3) a mean over the examples


WORKS: dict[str, Callable[[], bool]] = {
    check.__name__: check
    for check in (
        graph_of, nodes_of, all_uses, source_of, flat_layers, run_graph, merges_inputs, preferred_size, smallest_size, preprocess_input_of,
        stopped_before_weights, registry, operations, application_layers, sequentials_built_once, layer_not_deserialized, mismatched_weight, limited_variables, socket_timeout,
        download_failure, schedule_of, set_schedule, scale_updates, with_constant_weights, moving_averages, has_averages_in_model,
        fresh_names, snake_case, choose_direction, without_loss_scaling, update_without_merging, replica_tracing, gradients_are_summed,
        data_loss, outputs_with_logits, loss_tracker, regularization_losses,
    )
}  # fmt: skip


@pytest.mark.parametrize("entry", WORKS)
def test_keras_still_has_what_this_entry_takes_from_inside_it(entry: str) -> None:
    mend = (
        f"Keras {keras.__version__} or TensorFlow {tf.__version__} changed what compat.{entry} relies on: mend cnnkit/keras_api/compat.py"
    )
    try:
        works = WORKS[entry]()
    except Exception as error:  # noqa: BLE001 - whatever an upgrade makes of it
        pytest.fail(f"{mend} ({type(error).__name__}: {error})")
    assert works, mend


def test_every_entry_of_compat_has_a_check() -> None:
    public = {name for name, value in vars(compat).items() if inspect.isfunction(value) and value.__module__ == compat.__name__}
    assert {name for name in public if not name.startswith("_")} == set(WORKS)


def foreign(tree: ast.Module) -> Iterator[str]:
    """What a module takes from inside another library: private attributes, private modules, patches, source code."""
    own = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    own |= {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")
    }
    own |= {node.target.id for node in ast.walk(tree) if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.endswith("__") and node.attr not in own:
            yield from {ast.unparse(node)} - {"os._exit"}  # documented, in spite of its name
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            yield from (name for name in names if name.startswith(("keras.src", "tensorflow.python")))
        if isinstance(node, ast.Call):
            called, texts = ast.unparse(node.func), [part.value for part in ast.walk(node) if isinstance(part, ast.Constant)]
            inside = any(isinstance(text, str) and text.startswith(("keras.src", "tensorflow.python")) for text in texts)
            if (called.endswith("import_module") and inside) or called.endswith("getsource"):
                yield ast.unparse(node)
            private = any(isinstance(text, str) and text.startswith("_") and not text.endswith("__") for text in texts[:1])
            if called in ("getattr", "hasattr", "setattr") and private:
                yield ast.unparse(node)
        if isinstance(node, ast.Assign):
            yield from (ast.unparse(t) for t in node.targets if ast.unparse(t).startswith(("keras.", "tf.", "socket.", "file_utils.")))


def test_nothing_but_compat_reaches_inside_keras_or_tensorflow() -> None:
    found = {
        f"{path.relative_to(PACKAGE)}: {what}"
        for path in PACKAGE.rglob("*.py")
        if path != Path(compat.__file__)
        for what in foreign(ast.parse(path.read_text(encoding="utf-8")))
    }
    assert found == set(), f"give it a function in cnnkit/keras_api/compat.py with a check here: {sorted(found)}"


@pytest.mark.parametrize(
    "code",
    [
        "layer._inbound_nodes",
        "getattr(model, '_functional', None)",
        "from keras.src.utils import file_utils",
        "import tensorflow.python.framework",
        "importlib.import_module(f'keras.src.{kind}')",
        "keras.Variable.__init__ = counted",
        "inspect.getsource(keras.applications.VGG16)",
    ],
)
def test_the_scan_sees_what_it_is_for(code: str) -> None:
    assert list(foreign(ast.parse(code)))
