"""A server as tutorials write it: FastAPI, Keras, one picture a request. `python benchmarks/plain_server.py MODEL PORT`."""

import io
import sys

import keras
import numpy as np
import uvicorn
from fastapi import FastAPI, UploadFile
from PIL import Image

model = keras.models.load_model(sys.argv[1])
app = FastAPI()


@app.post("/predict")
def predict(image: UploadFile) -> dict[str, list[float]]:
    """The probabilities of one picture."""
    picture = Image.open(io.BytesIO(image.file.read())).convert("RGB").resize(model.input_shape[1:3][::-1])
    return {"probabilities": np.asarray(model(np.asarray(picture, np.float32)[None], training=False))[0].tolist()}


uvicorn.run(app, port=int(sys.argv[2]), log_level="error")
