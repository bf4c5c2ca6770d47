"""`cnnkit bases`: the pretrained networks of the installed Keras."""

from cnnkit.commands.options import AsJson
from cnnkit.console.text import print_json


def bases(as_json: AsJson = False) -> None:
    """List the pretrained networks of the installed Keras."""
    from cnnkit.console.bases import print_bases
    from cnnkit.console.progress import counting
    from cnnkit.keras_api.downloads import keras_home
    from cnnkit.model.bases import list_bases

    with counting("networks") as on_progress:
        listed = list_bases(on_progress)
    if as_json:
        print_json([base.as_dict() for base in listed])
    else:
        print_bases(listed, str(keras_home() / "models"))
