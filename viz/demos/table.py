"""The demos by name: a module each, which is imported when its page is asked for."""

from dataclasses import dataclass
from importlib import import_module

__all__ = ["DEMOS", "Demo"]


@dataclass(frozen=True)
class Demo:
    """A demo of `viz.demos`.

    Args:
        name: of its module, its page and its template.
        title: the headline of its page.
        line: what it shows, in one line that any terminal can print.
        options: the names of the options that its `write` takes, such as "seed".
    """

    name: str
    title: str
    line: str
    options: tuple[str, ...] = ()

    def write(self, **options: int) -> str:
        """Run the engine and return the page as text; options not given are the demo's own."""
        return import_module(f"viz.demos.{self.name}").write(**options)


# In the order of the list and of the index page.
_ALL: tuple[Demo, ...] = (
    Demo(
        "optimizers",
        "Four optimizers, one surface",
        "SGD, momentum, RMSprop and Adam walk down a surface side by side",
    ),
    Demo(
        "moons",
        "Two moons, and a network that learns them",
        "a network of scalars learns: what each neuron responds to, and each gradient, epoch by epoch",
        ("seed", "epochs"),
    ),
    Demo(
        "softmax",
        "Softmax, cross-entropy and p − y",
        "drag the logits: probabilities, cross-entropy and its gradient follow",
    ),
    Demo(
        "shapes",
        "Shapes through a network",
        "how tensor shapes change through the MLPs and the CNNs for a chosen batch size, and back",
    ),
    Demo(
        "conv",
        "What a convolution does",
        "a kernel slides over a digit, and gradients flow back to the pixels and to its weights",
        ("seed",),
    ),
)

DEMOS = {demo.name: demo for demo in _ALL}
