"""The summary against Keras's own counts and shapes, and against sums done by hand.

Over 300 lines: every layer of Keras goes through the same few checks.
"""

import io
import json
import re
from fractions import Fraction

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers as kl
from rich.console import Console

from cnnkit.console.summary import readable_bytes, render_summary
from cnnkit.errors import CnnkitError
from cnnkit.model.summary.summarize import Row, Summary, summarize

IMAGE, SIGNAL, VOLUME = (13, 10, 4), (19, 6), (9, 8, 7, 2)

# Layers whose output shape and parameter count must both be explained in numbers, with the input they take.
EXPLAINED = [
    (IMAGE, kl.Conv2D(5, 3)),
    (IMAGE, kl.Conv2D(5, (3, 2), strides=(2, 3), use_bias=False)),
    (IMAGE, kl.Conv2D(6, 3, strides=2, padding="same", groups=2)),
    (IMAGE, kl.Conv2D(6, 3, dilation_rate=(3, 2))),
    (IMAGE, kl.Conv2D(6, 1, strides=3)),
    (SIGNAL, kl.Conv1D(8, 4, strides=3)),
    (SIGNAL, kl.Conv1D(8, 4, strides=2, padding="causal", dilation_rate=1)),
    (SIGNAL, kl.Conv1D(9, 3, dilation_rate=4, groups=3, padding="same")),
    (VOLUME, kl.Conv3D(3, (2, 3, 4), strides=(1, 2, 2))),
    (VOLUME, kl.Conv3D(3, 3, padding="same", strides=2, use_bias=False)),
    (IMAGE, kl.Conv2DTranspose(5, 3, strides=2)),
    (IMAGE, kl.Conv2DTranspose(5, 2, strides=3, use_bias=False)),
    (IMAGE, kl.Conv2DTranspose(5, 4, strides=2, padding="same")),
    (IMAGE, kl.Conv2DTranspose(5, 3, strides=2, padding="same", output_padding=1)),
    (IMAGE, kl.Conv2DTranspose(5, 4, strides=3, padding="valid", output_padding=(1, 2))),
    (SIGNAL, kl.Conv1DTranspose(5, 4, strides=3, padding="same", output_padding=1)),
    (SIGNAL, kl.Conv1DTranspose(5, 3, dilation_rate=2)),
    (VOLUME, kl.Conv3DTranspose(2, 3, strides=(1, 2, 2))),
    (IMAGE, kl.DepthwiseConv2D(3, strides=2, padding="same")),
    (IMAGE, kl.DepthwiseConv2D((2, 3), depth_multiplier=3, use_bias=False)),
    (SIGNAL, kl.DepthwiseConv1D(5, depth_multiplier=2, strides=2)),
    (IMAGE, kl.SeparableConv2D(7, 3, depth_multiplier=2)),
    (IMAGE, kl.SeparableConv2D(7, 3, use_bias=False, padding="same", strides=2)),
    (SIGNAL, kl.SeparableConv1D(7, 3, dilation_rate=2)),
]
# Layers whose output shape must be explained in numbers; they have no weights.
RESHAPING = [
    (IMAGE, kl.MaxPooling2D(3)),
    (IMAGE, kl.MaxPooling2D((2, 3), strides=1)),
    (IMAGE, kl.AveragePooling2D(3, strides=2, padding="same")),
    (SIGNAL, kl.AveragePooling1D(4, strides=3)),
    (SIGNAL, kl.MaxPooling1D(2, padding="same")),
    (VOLUME, kl.MaxPooling3D((2, 3, 2))),
    (VOLUME, kl.AveragePooling3D(2, padding="same")),
    (IMAGE, kl.Flatten()),
    (IMAGE, kl.ZeroPadding2D(((1, 2), (0, 3)))),
    (SIGNAL, kl.ZeroPadding1D((2, 1))),
    (VOLUME, kl.ZeroPadding3D(2)),
    (IMAGE, kl.Cropping2D(((1, 2), (0, 3)))),
    (SIGNAL, kl.Cropping1D(3)),
    (VOLUME, kl.Cropping3D(1)),
    (IMAGE, kl.UpSampling2D((2, 3))),
    (SIGNAL, kl.UpSampling1D(3)),
    (VOLUME, kl.UpSampling3D(2)),
]
# Layers whose parameters must be explained in numbers.
WEIGHTED = [
    ((20,), kl.Dense(7)),
    ((20,), kl.Dense(7, use_bias=False)),
    (IMAGE, kl.Dense(3)),
    (IMAGE, kl.BatchNormalization()),
    (IMAGE, kl.BatchNormalization(scale=False)),
    (IMAGE, kl.BatchNormalization(center=False, scale=False)),
    (IMAGE, kl.BatchNormalization(axis=1)),
    (IMAGE, kl.BatchNormalization(trainable=False)),
    (IMAGE, kl.LayerNormalization()),
    (IMAGE, kl.PReLU(shared_axes=[1, 2])),
    (SIGNAL, kl.LSTM(5)),
    (SIGNAL, kl.GRU(5, return_sequences=True)),
    (SIGNAL, kl.Bidirectional(kl.LSTM(3))),
    (SIGNAL, kl.MultiHeadAttention(2, 3)),
]


def summary_of(inputs, *apply) -> Summary:
    """The summary of layers applied one after another."""
    tensor = start = keras.Input(inputs)
    for layer in apply:
        tensor = layer(tensor, tensor) if isinstance(layer, kl.MultiHeadAttention) else layer(tensor)
    return summarize(keras.Model(start, tensor))


def equations(reason: str) -> list[tuple[Fraction, int]]:
    """Both sides of every equation in a reason, the left one worked out as arithmetic."""
    sides = re.findall(r"(?:^|; )([^;=]+) = (\d+)(?=;|$)", reason)
    assert reason.count("=") == len(sides), reason
    return [(work_out(left), int(right)) for left, right in sides]


def work_out(formula: str) -> Fraction:
    """A printed formula's value: `·` and `−` as they read, brackets without feet rounded down, without heads up."""
    text = re.sub(r"\d+", lambda number: f"Fraction({number[0]})", formula)
    for shown, meant in (("·", "*"), ("−", "-"), ("⌊", "floor("), ("⌋", ")"), ("⌈", "ceil("), ("⌉", ")")):
        text = text.replace(shown, meant)
    names = {
        "Fraction": Fraction,
        "floor": lambda value: Fraction(value.__floor__()),
        "ceil": lambda value: Fraction(value.__ceil__()),
    }
    return Fraction(eval(text, {"__builtins__": {}}, names))


def identify(value) -> str | None:
    return type(value).__name__ if isinstance(value, keras.Layer) else None


@pytest.mark.parametrize(("inputs", "layer"), [*EXPLAINED, *RESHAPING], ids=identify)
def test_the_arithmetic_of_a_shape_reason_gives_the_shape_that_keras_has(inputs, layer):
    (row,) = summary_of(inputs, layer).rows
    real = tuple(layer.compute_output_shape((None, *inputs)))
    spatial = real[1:] if len(real) == 2 else real[1:-1]
    assert row.output_shape == real
    sides = equations(row.shape_reason)
    assert {left for left, _ in sides} == set(spatial)
    assert all(left == right for left, right in sides)


@pytest.mark.parametrize(("inputs", "layer"), [*EXPLAINED, *WEIGHTED], ids=identify)
def test_the_arithmetic_of_a_parameter_reason_gives_the_count_of_the_weights(inputs, layer):
    (row,) = summary_of(inputs, layer).rows
    real = sum(int(np.prod(array.shape)) for array in layer.get_weights())
    assert row.parameters == real
    assert equations(row.parameter_reason) == [(real, real)]


def test_reasons_read_as_in_a_textbook():
    body = (kl.Conv2D(32, 3), kl.BatchNormalization(scale=False), kl.MaxPooling2D(4), kl.DepthwiseConv2D(3, dilation_rate=2))
    rows = summary_of((32, 32, 3), *body, kl.GlobalMaxPooling2D(), kl.Dense(10)).rows
    assert [(row.shape_reason, row.parameter_reason) for row in rows] == [
        ("(32 − 3)/1 + 1 = 30", "(3·3·3 + 1)·32 = 896"),
        ("same as the input", "3·32 = 96; 32 trained; 64 statistics"),
        ("⌊(30 − 4)/4⌋ + 1 = 7", ""),
        ("(7 − ((3 − 1)·2 + 1))/1 + 1 = 3", "(3·3 + 1)·32 = 320"),
        ("one value for each of 32 channels", ""),
        ("10 units", "(32 + 1)·10 = 330"),
    ]
    assert [(row.parameters, row.trainable_parameters) for row in rows][:2] == [(896, 896), (96, 32)]


def test_a_layer_of_unknown_form_gets_no_shape_reason():
    custom = type(
        "Conv2D",
        (kl.Conv2D,),
        {"compute_output_shape": lambda self, shape: (*shape[:-1], 5), "call": lambda self, x: x[..., :1] * tf.ones(5)},
    )
    for inputs, layer in ((SIGNAL, kl.Permute((2, 1))), (SIGNAL, kl.LSTM(5)), (IMAGE, custom(5, 3))):
        (row,) = summary_of(inputs, layer).rows
        assert row.shape_reason == ""
        assert row.multiply_adds is (0 if layer.name.startswith("permute") else None)


def test_an_input_of_any_size_leaves_open_what_depends_on_it():
    conv, dense = summary_of((None, None, 3), kl.Conv2D(8, 3, strides=2, padding="same"), kl.Dense(4)).rows
    assert conv.output_shape == (None, None, None, 8)
    assert (conv.shape_reason, conv.parameter_reason) == ("", "(3·3·3 + 1)·8 = 224")
    assert (conv.multiply_adds, conv.activation_bytes, conv.receptive_field) == (None, None, (3, 3))
    assert (dense.multiply_adds, dense.activation_bytes, dense.receptive_field) == (None, None, (3, 3))
    for layer in (kl.ZeroPadding2D(1), kl.Cropping2D(1), kl.UpSampling2D(2)):
        assert summary_of((None, None, 3), layer).rows[0].shape_reason == ""


def multiply_adds_by_hand(layer, inputs) -> int:
    """With weights and inputs of one, no bias and no padding, an output value is the number of products in its sum."""
    layer.set_weights([np.ones_like(array) for array in layer.get_weights()])
    return round(float(np.sum(layer(np.ones((1, *inputs), np.float32)))))


@pytest.mark.parametrize(
    ("inputs", "layer"),
    [
        ((20,), kl.Dense(7, use_bias=False)),
        (IMAGE, kl.Dense(3, use_bias=False)),
        (IMAGE, kl.Conv2D(6, (3, 2), strides=2, groups=2, use_bias=False)),
        (IMAGE, kl.Conv2D(6, 3, dilation_rate=2, use_bias=False)),
        (SIGNAL, kl.Conv1D(4, 5, strides=2, use_bias=False)),
        (VOLUME, kl.Conv3D(3, (2, 3, 4), use_bias=False)),
        (IMAGE, kl.DepthwiseConv2D(3, depth_multiplier=2, use_bias=False)),
        (SIGNAL, kl.DepthwiseConv1D(3, strides=2, use_bias=False)),
        (IMAGE, kl.Conv2DTranspose(5, 3, strides=2, use_bias=False)),
        (VOLUME, kl.Conv3DTranspose(5, 2, strides=3, use_bias=False)),
    ],
    ids=identify,
)
def test_multiply_adds_are_the_products_that_the_layer_really_sums(inputs, layer):
    (row,) = summary_of(inputs, layer).rows
    assert row.multiply_adds == multiply_adds_by_hand(layer, inputs)


def test_multiply_adds_of_a_separable_convolution_are_those_of_its_two_parts():
    (whole,) = summary_of(IMAGE, kl.SeparableConv2D(7, 3, strides=2, depth_multiplier=2)).rows
    parts = summary_of(IMAGE, kl.DepthwiseConv2D(3, strides=2, depth_multiplier=2), kl.Conv2D(7, 1)).rows
    assert whole.multiply_adds == sum(row.multiply_adds for row in parts)


def measured_field(model: keras.Model) -> tuple[int, ...]:
    """The widest spread, over all output places, of the input places whose change reaches the output.

    A network without activation or maximum is linear: with positive weights a pulse at an input place moves exactly
    those outputs that depend on it, which is the gradient without its cancellations.
    """
    for layer in model.layers:
        layer.set_weights([np.abs(array) + 0.1 for array in layer.get_weights()])
    shape = model.input_shape[1:-1]
    pulses = np.zeros((np.prod(shape), *shape, model.input_shape[-1]), np.float32)
    pulses.reshape(len(pulses), len(pulses), -1)[np.arange(len(pulses)), np.arange(len(pulses))] = 1e4
    moved = (model(pulses).numpy() != model(np.zeros_like(pulses)).numpy()).any(axis=-1).reshape(len(pulses), -1)
    places = np.argwhere(np.ones(shape))
    spreads = [np.ptp(places[seen], axis=0) + 1 for seen in moved.T if seen.any()]
    return tuple(int(size) for size in np.max(spreads, axis=0))


def in_a_row(*apply):
    def network(tensor):
        for layer in apply:
            tensor = layer(tensor)
        return tensor

    return network


def inception(tensor):
    wide = kl.Conv2D(3, (5, 1), padding="same", strides=2)(kl.Conv2D(2, 2, padding="same")(tensor))
    pooled = kl.AveragePooling2D(2)(tensor)
    return kl.Conv2D(2, 2)(kl.Concatenate()([wide, pooled, kl.Conv2D(1, 1, strides=2)(tensor)]))


def residual(tensor):
    long_way = kl.Conv2D(3, 3, padding="same")(kl.BatchNormalization()(kl.Conv2D(3, 3, padding="same", strides=2)(tensor)))
    return kl.AveragePooling2D(2)(kl.Add()([long_way, kl.Conv2D(3, 1, strides=2)(tensor)]))


def lopsided(tensor):
    """Two paths that look to different sides: together they see more than either."""
    left = kl.Cropping1D((0, 6))(tensor)
    return kl.Add()([left, kl.Conv1D(2, 3)(kl.Cropping1D((4, 0))(tensor))])


def beside_a_shift(padding, shift, strides=1):
    """A padded convolution and a path that only sees `shift` places aside: their hull tells where the padding stands."""

    def network(tensor):
        before, behind = max(-shift, 0), max(shift, 0)
        moved = kl.ZeroPadding1D((before, behind))(kl.Cropping1D((behind, before))(tensor))
        padded = kl.Conv1D(2, 5, padding=padding, strides=strides)(tensor)
        return kl.Add()([padded, kl.Conv1D(2, 1, strides=strides)(moved)])

    return network


def nothing_between(tensor):
    """A transposed convolution whose stride leaves places that see nothing, beside a path that sees all places."""
    sparse = kl.Conv1DTranspose(2, 1, strides=3)(kl.Conv1D(2, 5, strides=3, padding="same")(tensor))
    return kl.Conv1D(2, 2)(kl.Add()([sparse, kl.Conv1D(2, 2, padding="same")(tensor)]))


def narrow_beside_wide(tensor):
    """A path through an upsampling that sees little, beside one that sees more."""
    narrow = kl.UpSampling1D(2)(kl.AveragePooling1D(2)(tensor))
    return kl.Add()([narrow, kl.Conv1D(2, 7, padding="same")(tensor)])


def enlarged_again(tensor):
    """A padded transposed convolution beside the places that it brings back."""
    return kl.Add()([kl.Conv1DTranspose(2, 5, strides=2, padding="same")(kl.AveragePooling1D(2)(tensor)), tensor])


def nested(tensor):
    narrowed = kl.Conv2D(3, 2)(tensor)
    inner = keras.Sequential([keras.Input(narrowed.shape[1:]), kl.Conv2D(4, 3, strides=2), kl.DepthwiseConv2D(2)])
    return kl.Conv2D(1, 2)(inner(narrowed))


STACKS = [
    ((40, 2), [kl.Conv1D(3, 3), kl.AveragePooling1D(2), kl.Conv1D(2, 4, strides=3), kl.Conv1D(1, 2)]),
    ((40, 2), [kl.Conv1D(3, 3, padding="causal", dilation_rate=r) for r in (2, 4)]),
    (
        (32, 28, 2),
        [kl.Conv2D(3, (3, 2), dilation_rate=(2, 3)), kl.ZeroPadding2D(1), kl.SeparableConv2D(2, 3, strides=2)],
    ),
    ((10, 10, 10, 1), [kl.Conv3D(2, (3, 2, 1)), kl.AveragePooling3D(2), kl.Dense(2)]),
    ((28, 28, 2), [kl.AveragePooling2D(4), kl.Conv2DTranspose(2, 3, strides=2), kl.Conv2D(2, 3)]),
    ((28, 28, 2), [kl.Conv2D(2, 3, strides=3), kl.Conv2DTranspose(2, 4, strides=2, padding="same"), kl.Conv2D(1, 2)]),
    ((18, 18, 1), [kl.AveragePooling2D(3), kl.Conv2DTranspose(2, 2, strides=3), kl.Conv2D(1, 2)]),
    ((24, 24, 1), [kl.AveragePooling2D(3), kl.UpSampling2D(2), kl.Conv2D(2, 4)]),
    ((24, 24, 1), [kl.AveragePooling2D(2), kl.UpSampling2D((2, 3), interpolation="bilinear"), kl.Conv2D(2, 2)]),
]


@pytest.mark.parametrize(
    ("inputs", "network"),
    [
        *((inputs, in_a_row(*stack)) for inputs, stack in STACKS),
        ((24, 24, 2), inception),
        ((32, 32, 2), residual),
        ((20, 2), lopsided),
        ((20, 2), beside_a_shift("same", -1)),
        ((20, 2), beside_a_shift("same", 3, strides=2)),
        ((21, 2), beside_a_shift("same", 2, strides=2)),
        ((21, 2), beside_a_shift("causal", 1)),
        ((21, 2), nothing_between),
        ((20, 2), enlarged_again),
        ((20, 2), narrow_beside_wide),
        ((20, 20, 2), nested),
    ],
)
def test_the_receptive_field_is_as_wide_as_what_moves_an_output_value(inputs, network):
    start = keras.Input(inputs)
    model = keras.Model(start, network(start))
    assert summarize(model).rows[-1].receptive_field == measured_field(model)


def test_the_receptive_field_is_the_whole_input_once_places_are_mixed():
    def excited(tensor):
        squeezed = kl.GlobalAveragePooling2D(keepdims=True)(tensor)
        return kl.Multiply()([tensor, kl.Dense(4)(squeezed)])

    fields = []
    for network in (
        kl.Flatten(),
        kl.GlobalMaxPooling2D(),
        in_a_row(kl.Flatten(), kl.Dense(3)),
        excited,
        kl.Permute((2, 1, 3)),
    ):
        start = keras.Input(IMAGE)
        fields.append(summarize(keras.Model(start, network(start))).rows[-1].receptive_field)
    assert fields == ["all", "all", "all", "all", None]


def test_the_receptive_field_is_left_open_where_axes_are_mixed_or_in_another_order():
    layers = (kl.LayerNormalization(axis=1), kl.Softmax(axis=2), kl.MaxPooling2D(2, data_format="channels_first"))
    assert [summary_of(IMAGE, layer).rows[0].receptive_field for layer in layers] == [None, None, None]
    assert summary_of(IMAGE, layers[2]).rows[0].shape_reason == "(10 − 2)/2 + 1 = 5; (4 − 2)/2 + 1 = 2"
    assert summary_of(IMAGE, kl.LayerNormalization()).rows[0].receptive_field == (1, 1)


# Receptive fields as published by Araujo et al. (2019), multiply-adds as published by Howard et al. (2017).
@pytest.mark.parametrize(
    ("name", "arguments", "field", "millions"),
    [
        ("MobileNet", {"alpha": 0.25, "include_top": True}, 315, 41),
        ("MobileNet", {"include_top": True}, 315, 569),
        ("VGG16", {}, 212, None),
        ("ResNet50", {}, 483, None),
    ],
)
def test_well_known_networks_have_the_figures_of_their_papers(name, arguments, field, millions):
    network = getattr(keras.applications, name)(weights=None, input_shape=(224, 224, 3), **{"include_top": False, **arguments})
    rows = summarize(network).rows
    assert [row.receptive_field for row in rows if row.receptive_field != "all"][-1] == (field, field)
    if millions:
        assert round(sum(row.multiply_adds for row in rows) / 1e6) == millions


def cifar_network() -> keras.Model:
    start = keras.Input((32, 32, 3))
    tensor = kl.Rescaling(1 / 255)(start)
    for layer in (
        kl.Conv2D(32, 3, activation="relu", name="conv2d"),
        kl.MaxPooling2D(2, name="max_pooling2d"),
        kl.Conv2D(64, 3, name="conv2d_1"),
        kl.MaxPooling2D(2, name="max_pooling2d_1"),
        kl.Conv2D(64, 3, name="conv2d_2"),
        kl.Flatten(name="flatten"),
        kl.Dense(64, name="dense"),
        kl.Dense(10, name="dense_1"),
    ):
        tensor = layer(tensor)
    return keras.Model(start, tensor)


def test_the_summary_of_the_cifar_network_is_keras_own_table():
    summary = summarize(cifar_network())
    assert summary.preprocessing == ("Rescaling(scale=0.00392157)",)
    assert [(row.name, row.output_shape, row.parameters) for row in summary.rows] == [
        ("conv2d", (None, 30, 30, 32), 896),
        ("max_pooling2d", (None, 15, 15, 32), 0),
        ("conv2d_1", (None, 13, 13, 64), 18496),
        ("max_pooling2d_1", (None, 6, 6, 64), 0),
        ("conv2d_2", (None, 4, 4, 64), 36928),
        ("flatten", (None, 1024), 0),
        ("dense", (None, 64), 65600),
        ("dense_1", (None, 10), 650),
    ]
    assert (summary.total_parameters, summary.trainable_parameters, summary.non_trainable_parameters) == (
        122570,
        122570,
        0,
    )
    assert [row.receptive_field for row in summary.rows] == [
        (3, 3),
        (4, 4),
        (8, 8),
        (10, 10),
        (18, 18),
        "all",
        "all",
        "all",
    ]
    assert {row.connected_to for row in summary.rows} == {()}
    assert json.loads(json.dumps(summary.as_dict()))["rows"][0]["shape_reason"] == "(32 − 3)/1 + 1 = 30"


def test_activation_memory_follows_the_dtype_of_the_output():
    sizes = [
        summary_of((8, 8, 2), kl.Conv2D(4, 3, dtype=dtype)).rows[0].activation_bytes for dtype in ("float32", "mixed_float16", "float64")
    ]
    assert sizes == [6 * 6 * 4 * 4, 6 * 6 * 4 * 2, 6 * 6 * 4 * 8]


def test_a_frozen_base_is_one_row_with_the_costs_of_its_layers():
    base = keras.Sequential([keras.Input((8, 8, 3)), kl.Conv2D(4, 3), kl.BatchNormalization(), kl.Conv2D(2, 3)], name="base")
    base.trainable = False
    start = keras.Input((8, 8, 3))
    model = keras.Model(start, kl.Dense(2, name="head")(kl.Flatten(name="flatten")(base(kl.Rescaling(2.0, -1, name="scale")(start)))))
    summary, inside = summarize(model, preprocess=["scale"]), summarize(base)
    row = summary.rows[0]
    assert [row.name for row in summary.rows] == ["base", "flatten", "head"]
    assert summary.preprocessing == ("Rescaling(scale=2, offset=-1)",)
    assert (row.parameters, row.trainable_parameters, row.trainable) == (base.count_params(), 0, False)
    assert row.multiply_adds == sum(inner.multiply_adds for inner in inside.rows)
    assert row.activation_bytes == sum(inner.activation_bytes for inner in inside.rows)
    assert row.receptive_field == (5, 5)
    assert (row.shape_reason, row.parameter_reason) == ("", "")
    assert inside.rows[1].parameter_reason == "4·4 = 16; none trained"
    assert summary.non_trainable_parameters == sum(int(np.prod(array.shape)) for array in base.get_weights())


def test_a_shared_layer_is_one_row_whose_work_counts_twice():
    start = keras.Input((9, 2))
    shared = kl.Conv1D(2, 3, padding="same", name="shared")
    row = summarize(keras.Model(start, shared(shared(start)))).rows[0]
    assert (row.parameters, row.multiply_adds, row.activation_bytes) == (14, 2 * 9 * 2 * 3 * 2, 2 * 9 * 2 * 4)
    assert row.receptive_field == (5,)


def test_connections_are_told_where_the_row_above_is_not_the_source():
    start = keras.Input((8, 8, 2), name="pixels")
    left, right = kl.Conv2D(2, 1, name="left")(start), kl.Conv2D(2, 1, name="right")(start)
    rows = summarize(keras.Model(start, kl.Add(name="sum")([left, right]))).rows
    assert [(row.name, row.connected_to) for row in rows] == [
        ("left", ()),
        ("right", ("pixels",)),
        ("sum", ("left", "right")),
    ]
    assert rows[2].shape_reason == "same as the inputs"


def test_the_turn_from_rgb_to_bgr_belongs_to_the_preprocessing():
    start = keras.Input((8, 8, 3))
    scaled = kl.Rescaling([1.0, 1.0, 1.0], [-103.9, -116.7, -123.6], name="scale")(keras.ops.flip(start, axis=-1))
    summary = summarize(keras.Model(start, kl.Conv2D(2, 3)(scaled)))
    assert summary.preprocessing == ("Flip()", "Rescaling(scale=[1, 1, 1], offset=[-103.9, -116.7, -123.6])")
    assert len(summary.rows) == 1


def test_arrays_among_the_preprocessing_are_told_by_their_numbers():
    for layer, words in (
        (kl.Rescaling(np.array([1.0, 0.5, 2.0])), "Rescaling(scale=[1, 0.5, 2])"),
        (
            kl.Normalization(mean=range(3), variance=[1.0] * 3),
            "Normalization(axis=[-1], mean=[0, 1, 2], variance=[1, 1, 1])",
        ),
        (kl.Resizing(4, 6, interpolation="nearest"), "Resizing(height=4, width=6, interpolation=nearest)"),
    ):
        assert summary_of((8, 8, 3), layer, kl.Conv2D(2, 3)).preprocessing == (words,)


def test_augmentation_lets_images_pass_when_predicting():
    rows = summary_of((8, 8, 3), kl.RandomFlip(), kl.RandomRotation(0.1), kl.Conv2D(2, 3)).rows
    assert [row.receptive_field for row in rows] == [(1, 1), (1, 1), (3, 3)]


def test_a_model_without_known_shapes_is_refused_with_the_way_out():
    with pytest.raises(CnnkitError) as caught:
        summarize(keras.Sequential([kl.Dense(2)], name="open"))
    assert str(caught.value) == (
        "model 'open' is a Sequential without known shapes\n    Build it as a functional model, or give its Sequential an Input layer."
    )


def rendered(summary: Summary, width: int, explain: bool = False) -> str:
    stream = io.StringIO()
    render_summary(summary, Console(file=stream, width=width, highlight=False), explain=explain)
    return stream.getvalue()


def test_the_totals_are_worded_as_keras_words_them():
    model, lines = cifar_network(), []
    model.summary(print_fn=lines.append)
    ours = rendered(summarize(model), 100)
    theirs = [line.rstrip() for line in "\n".join(lines).splitlines() if "params:" in line]
    assert theirs == [line for line in ours.splitlines() if "params:" in line]
    assert "Total params: 122,570 (478.79 KB)" in theirs[0]


@pytest.mark.parametrize("width", [80, 100, 120])
def test_the_explained_table_fits_the_terminal_and_keeps_numbers_whole(width):
    text = rendered(summarize(cifar_network()), width, explain=True)
    assert max(map(len, text.splitlines())) <= width
    for number in (
        "122,570",
        "36,928",
        "3,115,008",
        "112.50 KB",
        "(None, 30, 30, 32)",
        "(32 − 3)/1 + 1 = 30",
        "= 18496",
        "18×18",
    ):
        assert number in text
    assert not re.search(r"= *\n", re.sub(r" +\n", "\n", text))


def test_names_from_a_file_are_shown_as_they_are_and_not_obeyed():
    evil = summary_of((4,), kl.Dense(2, name="[red]x[-]\x1b[2J"))
    for explain in (False, True):
        assert "[red]x[-]\\x1b[2J" in rendered(evil, 120, explain)


def test_frozen_layers_are_marked():
    text = rendered(summary_of((4,), kl.Dense(2, name="kept", trainable=False), kl.Dense(3, name="learned")), 100)
    words = {line.split()[1]: line.split()[-2] for line in text.splitlines() if "(Dense)" in line}
    assert words == {"kept": "frozen", "learned": "yes"}


@pytest.mark.parametrize(("count", "words"), [(40, "40.00 B"), (1024, "1.00 KB"), (490280, "478.79 KB"), (3 * 2**30, "3.00 GB")])
def test_bytes_read_as_keras_writes_them(count, words):
    assert readable_bytes(count) == words


def test_every_attribute_of_a_row_is_told():
    documented = set(re.findall(r"^        (\w+):", Row.__doc__ or "", re.MULTILINE))
    assert documented == set(Row.__dataclass_fields__)
