"""What a server says when it starts and when it has ended."""

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from cnnkit.console.text import print_line, print_notice

if TYPE_CHECKING:
    from cnnkit.serving.service import Service
    from cnnkit.serving.source import Chosen

LOOPBACK = ("127.", "::1")


def print_exporting() -> None:
    """A line before an export."""
    print_line("Exporting the model to ONNX, and comparing it with the Keras model …")


def print_serving(service: "Service", chosen: "Chosen", address: tuple[Any, ...], *, has_token: bool) -> None:
    """The model, its runtime, and the addresses."""
    from cnnkit.serving.predict_api import runtime_label

    for notice in chosen.notices:
        print_notice(notice)
    if service.predictor.note:
        print_notice(service.predictor.note, title="A stand-in for the data")
    host, port = str(address[0]), int(address[1])
    if not host.startswith(LOOPBACK) and not has_token:
        print_notice(f"Whoever reaches {host}:{port} can use the model: no token is set (CNNKIT_TOKEN or --token-file).", title="No token")
    url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    task, shape = service.predictor.metadata.task, " x ".join(map(str, service.predictor.input_shape))
    print_line(f"Serving {service.served.name}: {task.outputs_text} from inputs of {shape}, by {runtime_label(service)}")
    print_line(f"  model    {chosen.origin}")
    print_line(f"  page     {url}/")
    print_line(f"  predict  {url}/v1/predict")
    print_line(f"  KServe   {url}/v2/models/{quote(service.served.name)}")
    print_line(f"  routes   {url}/docs")
    print_line(f"  token    {'required' if has_token else 'none'}")
    if service.served.heatmaps is not None:
        print_line("The first heatmap loads TensorFlow, half a gigabyte; --no-heatmaps spares it.")
    print_line("Stop with Ctrl-C; requests under way are answered.")


def print_stopped(accepted: int, answered: int) -> None:
    """How many requests were answered."""
    print_line(f"Stopped. {answered:,} of {accepted:,} accepted requests answered.")
