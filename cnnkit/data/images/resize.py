"""Resize a decoded image to a network's input size."""

from PIL import Image

from cnnkit.config.picture_options import Resize

Size = tuple[int, int]  # (height, width) in pixels
WidthHeight = tuple[int, int]  # in pixels, Pillow's order
Box = tuple[float, float, float, float]  # left, top, right, bottom in pixels


def resized(image: Image.Image, full: WidthHeight, size: Size, resize: Resize) -> Image.Image:
    """Resize an image with Pillow's antialiased bilinear filter, `image.resize(size, BILINEAR, box)`.

    Args:
        image: The decoded image, possibly at a reduced scale.
        full: Its size before the reduction, which defines the aspect ratio.
        size: (height, width) in pixels.
        resize: `stretch` ignores the aspect ratio; `crop` takes the largest centered box with the target aspect ratio; `letterbox`
            scales the whole image to fit, rounded to whole pixels, and pads with black bars.
    """
    height, width = size
    if resize == "letterbox":
        fitted = fitted_size(full, size)
        framed = Image.new(image.mode, (width, height))
        framed.paste(_scaled(image, fitted), ((width - fitted[0]) // 2, (height - fitted[1]) // 2))
        return framed
    if resize == "crop":
        return _scaled(image, (width, height), center_box(image.size, full, size))
    return _scaled(image, (width, height))


def center_box(decoded: WidthHeight, full: WidthHeight, size: Size) -> Box:
    """The largest centered box with the aspect ratio of `size` in an image decoded at `decoded` pixels, `full` before the reduction.

    Rounding of floats makes a fraction of 1 slightly larger for some sizes, such as 450 x 600 to 224 x 224; Pillow refuses boxes
    that begin outside the image.
    """
    height, width = size
    scale = min(full[0] / width, full[1] / height)
    part_x, part_y = (min(1.0, side * scale / whole) for side, whole in zip((width, height), full, strict=True))  # inside the box
    left, top = decoded[0] * (1 - part_x) / 2, decoded[1] * (1 - part_y) / 2
    return left, top, decoded[0] - left, decoded[1] - top


def fitted_size(full: WidthHeight, size: Size) -> WidthHeight:
    """The size (width, height) of an image scaled to fit within `size`."""
    scale = min(size[1] / full[0], size[0] / full[1])
    return max(1, round(full[0] * scale)), max(1, round(full[1] * scale))


def _scaled(image: Image.Image, size: WidthHeight, box: Box | None = None) -> Image.Image:
    return image.resize(size, Image.Resampling.BILINEAR, box)
