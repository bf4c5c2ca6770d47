"""Good files of each kind, from which hostile ones are made."""

import io
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

ROOT = Path(__file__).parent.parent.parent


def seeds_of(kind: str) -> list[bytes]:
    """A few good files."""
    made: list[bytes] = globals()[f"_{kind}"]()
    return made


def _yaml() -> list[bytes]:
    return [path.read_bytes() for path in sorted((ROOT / "configs").glob("*.yaml"))]


def _set() -> list[bytes]:
    return [
        b"train.epochs=3", b"model.layers[0].Conv2D.filters=8", b"data.augment=[{RandomFlip: {mode: horizontal}}]", b"train.optimizer={SGD: {}}",
        b"model.layers.-1.Dense={units: 10, activation: softmax}",
    ]  # fmt: skip


def _json() -> list[bytes]:
    metadata = {"data": "x", "task": {"kind": "classification", "names": ["a", "b"]}, "stand_in_for": "", "notices": ["n"]}
    return [json.dumps(metadata).encode()]


def _csv() -> list[bytes]:
    classes = "path,label,split,patient\n" + "".join(f"images/{i}.png,{'ab'[i % 2]},,p{i // 2}\n" for i in range(12))
    numbers = "path;age;height\n" + "".join(f"images/{i}.png;{i / 2};{i * i}\n" for i in range(12))
    labels = "file,labels\n" + "".join(f"images/{i}.png,{'a|b' if i % 3 else 'b'}\n" for i in range(12))
    return [classes.encode(), numbers.encode(), labels.encode()]


def _manifest() -> list[bytes]:
    return [b"path,label,split\n" + b"".join(b"%d.png,a,train\n" % i for i in range(9))]


def _exclude() -> list[bytes]:
    return [b"# files to leave out\nimages/0.png\ttruncated\nimages/3.png\n"]


def _npy() -> list[bytes]:
    return [_saved(np.zeros((9, 4, 4, 3), np.uint8)), _saved(np.linspace(0, 1, 9 * 8 * 2, dtype=np.float32).reshape(9, 8, 2))]


def _saved(array: Any) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def _npz() -> list[bytes]:
    x, y = np.zeros((12, 4, 4, 3), np.uint8), np.arange(12) % 3
    made = []
    for arrays in ({"x": x, "y": y, "class_names": np.array(["a", "b", "c"])}, {"x_train": x, "y_train": y, "x_test": x, "y_test": y}):
        for save in (np.savez, np.savez_compressed):
            buffer = io.BytesIO()
            save(buffer, **arrays)
            made.append(buffer.getvalue())
    return made


def _keras() -> list[bytes]:
    import keras

    made = []
    for shape, rank in (((6, 6, 2), 2), ((12, 3), 1)):
        inputs = keras.Input(shape)
        hidden = getattr(keras.layers, f"Conv{rank}D")(3, 3, activation="relu")(keras.layers.Rescaling(0.5)(inputs))
        hidden = keras.layers.BatchNormalization()(hidden) + 1.0
        outputs = keras.layers.Dense(2, activation="softmax")(keras.layers.Dropout(0.2)(keras.layers.Flatten()(hidden)))
        model = keras.Model(inputs, outputs)
        model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        model.optimizer.build(model.trainable_variables)
        with tempfile.TemporaryDirectory() as folder:
            model.save(Path(folder) / "m.keras")
            made.append((Path(folder) / "m.keras").read_bytes())
    return made


def _checkpoint() -> list[bytes]:
    from cnnkit.training.checkpoint.state import TrainingState
    from cnnkit.training.checkpoint.store import Checkpoint, write_checkpoint

    row = {"epoch": 1, "loss": 0.5, "val_loss": 0.6, "learning_rate": 0.1, "seconds": 1.5, "images_per_second": 9.0}
    stopping = {"name": "EarlyStopping", "values": {"wait": 1, "stopped_epoch": 0, "best": 0.6, "best_epoch": 0}, "weights": 1}
    state = TrainingState.model_validate({
        "run": {
            "config": {"name": "x"}, "data": {"fingerprint": "f", "name": "digits", "stand_in_for": ""}, "base": None, "notices": ["n"],
        },
        "phase": 0, "phase_started": True, "epochs_before_phase": 0, "step": 3, "epoch_seconds": 0.5, "stopped": False, "history": [row],
        "seconds": 1.5, "feature_seconds": 0.0, "best": {"epoch": 1, "loss": 0.6}, "halvings": 0, "callbacks": [stopping],
    })  # fmt: skip
    arrays = {"model.0": np.ones((3, 4), np.float32), "augment.0": np.array([1, 2], np.uint32), "callback.0.0": np.zeros(())}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "c.safetensors")
        write_checkpoint(path, Checkpoint(state, arrays))
        return [path.read_bytes()]


def _image() -> list[bytes]:
    pixels = np.random.default_rng(0).integers(0, 256, (20, 24, 4), np.uint8)
    made = []
    for mode, formats in (
        ("RGB", ("PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF")),
        ("RGBA", ("PNG", "WEBP", "TIFF")),
        ("P", ("PNG", "GIF")),
        ("L", ("PNG",)),
    ):
        image = Image.fromarray(pixels).convert(mode)
        for each in formats:
            buffer = io.BytesIO()
            image.save(buffer, each)
            made.append(buffer.getvalue())
    return made
