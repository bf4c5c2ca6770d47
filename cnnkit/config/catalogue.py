"""Metadata of the built-in data sets: input shape, classes, targets. No TensorFlow."""

from dataclasses import dataclass

from cnnkit.config.data_spec import DataSpec
from cnnkit.config.task import Task

_CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
_FASHION = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip
_SHAPES = ("circle", "square", "triangle", "star", "cross", "ring", "heart", "crescent", "hexagon", "arrow")
_CIFAR100 = tuple(  # in the order of their indices
    """
    apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can castle caterpillar
    cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin elephant flatfish forest fox girl
    hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster man maple_tree motorcycle mountain mouse mushroom
    oak_tree orange orchid otter palm_tree pear pickup_truck pine_tree plain plate poppy porcupine possum rabbit raccoon ray road
    rocket rose sea seal shark shrew skunk skyscraper snail snake spider squirrel streetcar sunflower sweet_pepper table tank
    telephone television tiger tractor train trout tulip turtle wardrobe whale willow_tree wolf woman worm
    """.split()  # noqa: SIM905
)


@dataclass(frozen=True)
class BuiltIn:
    """Metadata of a built-in data set.

    Attributes:
        input_shape: Shape of one example: (height, width, channels) or (steps, channels).
        class_names: Names in the order of their indices, for target `class`.
        targets: Names of the targets that `data.target` can choose; the first, `class`, is the default, others are regression targets.
        of_keras: Whether Keras downloads it; else cnnkit generates or packages it.
    """

    input_shape: tuple[int, ...]
    class_names: tuple[str, ...]
    targets: tuple[str, ...] = ("class",)
    of_keras: bool = False

    def task(self, target: str | None) -> Task:
        """The task of a target, one of `targets`; None for the default."""
        if target in (None, "class"):
            return Task("classification", self.class_names)
        return Task("regression", (str(target),))


BUILT_IN = {
    "cifar10": BuiltIn((32, 32, 3), _CIFAR10, of_keras=True),
    "cifar100": BuiltIn((32, 32, 3), _CIFAR100, of_keras=True),
    "mnist": BuiltIn((28, 28, 1), tuple("0123456789"), of_keras=True),
    "fashion_mnist": BuiltIn((28, 28, 1), _FASHION, of_keras=True),
    "digits": BuiltIn((8, 8, 1), tuple("0123456789")),
    "shapes": BuiltIn((32, 32, 3), _SHAPES, ("class", "size")),
    "waves": BuiltIn((128, 1), ("sine", "square", "triangle", "sawtooth", "pulse", "chirp"), ("class", "frequency")),
}


OFFLINE = tuple(name for name, built_in in BUILT_IN.items() if not built_in.of_keras)


def built_in_spec(name: str, target: object = None) -> DataSpec:
    """The data spec of a built-in data set.

    Args:
        name: A key of BUILT_IN.
        target: `data.target`; its first target where that is not a name.
    """
    built_in = BUILT_IN[name]
    return DataSpec(name, built_in.input_shape, built_in.task(target if isinstance(target, str) else None))
