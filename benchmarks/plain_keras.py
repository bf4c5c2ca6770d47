"""The script a tutorial would have you write: the network of configs/cifar.yaml in plain Keras. The last line is JSON."""

import json
import os
import sys
import time

import keras
import numpy as np

epochs, folder = int(sys.argv[1]), sys.argv[2]
archive = os.path.join(os.environ.get("KERAS_HOME", os.path.expanduser("~/.keras")), "datasets", "cifar10.npz")
if os.path.exists(archive):
    with np.load(archive) as data:
        x_train, y_train, x_test, y_test = (data[key] for key in ("x_train", "y_train", "x_test", "y_test"))
else:
    (x_train, y_train), (x_test, y_test) = keras.datasets.cifar10.load_data()
x_train, x_test = x_train / np.float32(255), x_test / np.float32(255)

model = keras.Sequential(
    [
        keras.Input((32, 32, 3)),
        keras.layers.Conv2D(32, 3, activation="relu"),
        keras.layers.MaxPooling2D(),
        keras.layers.Conv2D(64, 3, activation="relu"),
        keras.layers.MaxPooling2D(),
        keras.layers.Conv2D(64, 3, activation="relu"),
        keras.layers.Flatten(),
        keras.layers.Dense(64, activation="relu"),
        keras.layers.Dense(10, activation="softmax"),
    ]
)
model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])


class Stopwatch(keras.callbacks.Callback):
    """Times the training part of each epoch, validation left out."""

    def __init__(self):
        super().__init__()
        self.seconds = []

    def on_epoch_begin(self, epoch, logs=None):
        self.start = time.perf_counter()

    def on_test_begin(self, logs=None):
        self.seconds.append(time.perf_counter() - self.start)


stopwatch = Stopwatch()
model.fit(x_train, y_train, batch_size=32, epochs=epochs, validation_data=(x_test, y_test), callbacks=[stopwatch])
loss, accuracy = model.evaluate(x_test, y_test)
model.save(os.path.join(folder, "plain.keras"))
rates = [len(x_train) / seconds for seconds in stopwatch.seconds]
print(json.dumps({"accuracy": accuracy, "images_per_second": rates}))
