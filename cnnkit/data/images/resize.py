"""A decoded picture in the size that a network takes."""

from PIL import Image

from cnnkit.config.picture_options import Resize

Size = tuple[int, int]  # (height, width) in pixels
WidthHeight = tuple[int, int]  # in pixels, the order of Pillow
Box = tuple[float, float, float, float]  # left, top, right, bottom in pixels


def resized(image: Image.Image, full: WidthHeight, size: Size, resize: Resize) -> Image.Image:
    """A picture brought to a size by Pillow's antialiased bilinear resize, `image.resize(size, BILINEAR, box)`.

    Args:
        image: The decoded picture, perhaps at a reduced scale.
        full: Its size before it was reduced, which decides the proportions.
        size: Height and width wanted.
        resize: `stretch` ignores the proportions; `crop` takes the largest box in the middle that has the wanted ones; `letterbox`
            fits the whole picture in, rounded to whole pixels, between black bars.
    """
    height, width = size
    if resize == "letterbox":
        fitted = fitted_size(full, size)
        framed = Image.new(image.mode, (width, height))
        framed.paste(_scaled(image, fitted), ((width - fitted[0]) // 2, (height - fitted[1]) // 2))
        return framed
    if resize == "crop":
        scale = min(full[0] / width, full[1] / height)
        part_x, part_y = width * scale / full[0], height * scale / full[1]  # shares of the picture that are kept
        left, top = image.width * (1 - part_x) / 2, image.height * (1 - part_y) / 2
        return _scaled(image, (width, height), (left, top, image.width - left, image.height - top))
    return _scaled(image, (width, height))


def fitted_size(full: WidthHeight, size: Size) -> WidthHeight:
    """The size of a picture scaled to lie within `size`."""
    scale = min(size[1] / full[0], size[0] / full[1])
    return max(1, round(full[0] * scale)), max(1, round(full[1] * scale))


def _scaled(image: Image.Image, size: WidthHeight, box: Box | None = None) -> Image.Image:
    return image.resize(size, Image.Resampling.BILINEAR, box)
