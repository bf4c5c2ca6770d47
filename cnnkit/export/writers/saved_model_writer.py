"""SavedModels: folders, with a signature for tensors and, for pictures, one for encoded image files."""

from pathlib import Path
from typing import TYPE_CHECKING

from cnnkit.artifacts.saved_model_runtime import ASSET, SIGNATURE
from cnnkit.export.image_bytes import BYTES_SIGNATURE
from cnnkit.export.writers.writer import INPUT, OUTPUT, BytesFunction, Writer
from cnnkit.io.atomic import write_text

if TYPE_CHECKING:
    import keras


class SavedModelWriter(Writer):
    """Writes SavedModels."""

    def write_float(self, model: "keras.Model", path: Path, from_bytes: BytesFunction | None) -> None:
        """Write a model, with a signature for image files where `from_bytes` is given."""
        import keras
        import tensorflow as tf

        archive = keras.export.ExportArchive()
        archive.track(model)
        inputs = [tf.TensorSpec((None, *model.input_shape[1:]), tf.float32, name=INPUT)]
        archive.add_endpoint(SIGNATURE, lambda batch: {OUTPUT: model(batch, training=False)}, inputs)
        if from_bytes is not None:
            files = [tf.TensorSpec((None,), tf.string, name="image_bytes")]
            archive.add_endpoint(BYTES_SIGNATURE, lambda batch: {OUTPUT: from_bytes(batch)}, files)
        archive.write_out(str(path), verbose=False)

    def put_metadata(self, path: Path, text: str) -> None:
        """Write the metadata as an asset."""
        (path / ASSET).parent.mkdir(exist_ok=True)
        write_text(path / ASSET, text)


WRITER = SavedModelWriter()
