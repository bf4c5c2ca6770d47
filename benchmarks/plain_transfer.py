"""The script a tutorial would have you write: a head on a frozen MobileNetV2, in plain Keras. The last line is JSON."""

import json
import os
import sys

import keras
import numpy as np

epochs, size, archive, folder = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4]
with np.load(archive) as data:
    x, y, split = data["x"], data["y"], data["split"]
x_train, y_train = x[split == "train"], y[split == "train"]
x_validation, y_validation = x[split == "validation"], y[split == "validation"]

base = keras.applications.MobileNetV2(include_top=False, input_shape=(size, size, 3))
base.trainable = False
inputs = keras.Input((32, 32, 3))
x = keras.layers.Resizing(size, size)(inputs)
x = keras.applications.mobilenet_v2.preprocess_input(x)
x = base(x, training=False)
x = keras.layers.GlobalAveragePooling2D()(x)
x = keras.layers.Dropout(0.2)(x)
outputs = keras.layers.Dense(10, activation="softmax")(x)
model = keras.Model(inputs, outputs)
model.compile(optimizer=keras.optimizers.Adam(1e-3), loss="sparse_categorical_crossentropy", metrics=["accuracy"])
model.fit(x_train, y_train, batch_size=32, epochs=epochs, validation_data=(x_validation, y_validation))
loss, accuracy = model.evaluate(x_validation, y_validation)
model.save(os.path.join(folder, "plain.keras"))
print(json.dumps({"accuracy": accuracy}))
