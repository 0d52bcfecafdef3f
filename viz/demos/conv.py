"""What a convolution does: a kernel slides over a digit, and the gradients of its outputs flow back.

The engine computes every output, loss and gradient. Ink comes in ten whole levels and weights in sixteenths,
so that sums can be followed in the head and are exact in float64, in whichever order they are added. The page
adds up the gradients cell by cell: what it holds after any cell is the engine's gradient of a loss over the
cells so far, to the last bit.
"""

from itertools import groupby
from typing import Any, NamedTuple

from viz.demos.table import DEMOS
from viz.document import fill_template, write_document

__all__ = ["INK", "KERNELS", "LOSSES", "PADDINGS", "SIXTEENTHS", "SIZES", "STRIDES", "record", "write"]

INK = 9
"""The most ink in a pixel; 0 is paper."""

SIZES = (14, 28)
STRIDES = (1, 2)
PADDINGS = (0, 1)
SIXTEENTHS = 16

PARTS = (
    "controls.css",
    "demo.css",
    "conv_grid.css",
    "conv.css",
    "elements.js",
    "player.js",
    "conv_data.js",
    "conv_grid.js",
    "conv_panel.js",
    "conv.js",
)
HINT = " With <kbd>shift</kbd> row by row; click a cell to go there. Play passes over what is blank."
BUTTONS = """<div class="buttons more">
<button type="button" id="row-back" aria-keyshortcuts="Shift+ArrowLeft" aria-label="Row back">Row ↑</button>
<button type="button" id="row-next" aria-keyshortcuts="Shift+ArrowRight" aria-label="Row on">Row ↓</button>
<button type="button" id="larger" aria-pressed="false">Larger</button>
</div>
"""
PHASES = """<div id="phases">
<button type="button" id="forward">Forward</button>
<button type="button" id="backward">Backward</button>
</div>
"""


class Kernel(NamedTuple):
    """Weights that slide over a digit; `unit` is what makes all of them whole numbers."""

    name: str
    note: str
    weights: tuple[tuple[float, ...], ...]
    unit: int = 1


KERNELS = (
    Kernel(
        "Upright edges",
        "Dark left and inked right gives plus, the other way round minus, and an even patch 0.",
        ((-1, 0, 1), (-2, 0, 2), (-1, 0, 1)),
    ),
    Kernel(
        "Level edges",
        "The same for edges that lie: the lower row counts plus, the upper row minus.",
        ((-1, -2, -1), (0, 0, 0), (1, 2, 1)),
    ),
    Kernel(
        "Blur",
        "An average in which the middle counts most: weights that sum to 1 keep the ink, and spread it.",
        tuple(tuple(weight / SIXTEENTHS for weight in row) for row in ((1, 2, 1), (2, 4, 2), (1, 2, 1))),
        SIXTEENTHS,
    ),
    Kernel(
        "Sharpen",
        "Five times a pixel less its four neighbours: what differs from its neighbours stands out.",
        ((0, -1, 0), (-1, 5, -1), (0, -1, 0)),
    ),
    Kernel(
        "Laplacian",
        "The four neighbours less four times the pixel: 0 wherever the ink is even or rises evenly.",
        ((0, 1, 0), (1, -4, 1), (0, 1, 0)),
    ),
)
"""The kernels that somebody thought of; `learn_kernel` adds one that nobody did."""

LOSSES = (
    ("pixel", "one output"),
    ("sum", "sum of outputs"),
    ("squares", "squared error"),
)
"""From what the gradients come: the strongest output alone; all of them; 1/2 sum((y - t)**2), where t is the
pixel in the middle of each window."""

LEARN_FROM, TEST_ON = 2000, 500
EPOCHS, BATCH, FILTERS, WIDTH = 6, 50, 8, 5


def write(seed: int = 0) -> str:
    """Return the page as text; the same `seed`, which chooses the digits and the learning, gives the same."""
    controls = fill_template(
        "controls.html", unit="cell", hint=HINT, buttons=BUTTONS, label="Output cell", below=PHASES
    )
    return write_document("conv.html", PARTS, DEMOS["conv"].title, record(seed), controls=controls)


def record(seed: int = 0) -> dict[str, Any]:
    """Slide every kernel over ten digits, with every stride, padding and loss, and return what came of it.

    A list of numbers is one text (`pack_wholes`), in the units of its kernel: outputs `y`, their gradients
    `gy` and those of the weights `gw` in 1 / unit, those of the pixels `gx` in 1 / unit**2. `runs` holds, for
    each size, digit, kernel, stride and padding, in this order of nesting, the outputs and the losses.
    """
    images, labels = _draw_digits(seed)
    kernels = [*KERNELS, learn_kernel(images, labels, seed)]
    chosen = [_choose_typical(images, labels, label) for label in range(10)]
    pictures = [[_shrink(image, size) for image in chosen] for size in SIZES]
    return {
        "ink": INK,
        "sizes": SIZES,
        "strides": STRIDES,
        "paddings": PADDINGS,
        "losses": LOSSES,
        "kernels": [
            {
                "name": kernel.name,
                "note": kernel.note,
                "size": len(kernel.weights),
                "unit": kernel.unit,
                "weights": pack_wholes([weight for row in kernel.weights for weight in row], kernel.unit),
            }
            for kernel in kernels
        ],
        "pictures": [[pack_wholes(picture.flatten().tolist()) for picture in sized] for sized in pictures],
        "runs": [
            [
                [
                    [[run(picture, kernel, stride, padding) for padding in PADDINGS] for stride in STRIDES]
                    for kernel in kernels
                ]
                for picture in sized
            ]
            for sized in pictures
        ],
    }


def run(picture: Any, kernel: Kernel, stride: int, padding: int) -> dict[str, Any]:
    """Return the outputs of one convolution, and of each loss its value and its gradients, packed.

    picture: (size, size) float64.
    """
    import tensor
    from tensor.nn import functional as F

    x: Any = tensor.tensor(picture[None, None], requires_grad=True)
    w: Any = tensor.tensor(kernel.weights, dtype=tensor.float64)[None, None].requires_grad_()
    middle = tensor.zeros_like(w)
    middle[0, 0, len(kernel.weights) // 2, len(kernel.weights) // 2] = 1.0
    with tensor.no_grad():
        target = F.conv2d(x, middle, stride=stride, padding=padding)
    losses = []
    for name, _ in LOSSES:
        x.grad = w.grad = None
        y: Any = F.conv2d(x, w, stride=stride, padding=padding)
        y.retain_grad()
        loss = measure(name, y, target)
        loss.backward()
        losses.append(
            {
                "loss": loss.item(),
                "gy": pack_wholes(y.grad.flatten().tolist(), kernel.unit),
                "gx": pack_wholes(x.grad.flatten().tolist(), kernel.unit**2),
                "gw": pack_wholes(w.grad.flatten().tolist(), kernel.unit),
            }
        )
    return {"y": pack_wholes(y.detach().flatten().tolist(), kernel.unit), "losses": losses}


def measure(name: str, y: Any, target: Any) -> Any:
    """Return the loss `name` of the outputs y: (1, 1, rows, columns)."""
    if name == "pixel":
        return y.flatten()[y.detach().abs().argmax()]
    return y.sum() if name == "sum" else 0.5 * ((y - target) ** 2).sum()


def pack_wholes(values: list[float], unit: int = 1) -> str:
    """Return whole numbers of 1 / unit as one text; `0*20` stands for twenty zeros in a row.

    Raises ValueError where a value is no whole number of 1 / unit: it would not be what the engine computed.
    """
    tokens = []
    for value, group in groupby(values):
        count = len(list(group))
        whole = round(value * unit)
        if whole != value * unit:
            raise ValueError(f"pack_wholes: expected whole numbers of 1/{unit}, got {value!r}")
        tokens += [f"{whole}*{count}"] if count > 2 else [str(whole)] * count
    return " ".join(tokens)


def learn_kernel(images: Any, labels: Any, seed: int) -> Kernel:
    """Train a small network to tell digits apart; return the strongest filter of its convolution.

    images: (count, 28, 28) uint8; labels: (count,). The filter is scaled to a largest weight of 1 or -1 and
    rounded to sixteenths.
    """
    import tensor
    from tensor import nn, optim
    from tensor.nn import functional as F

    tensor.manual_seed(seed)
    x = F.avg_pool2d(tensor.tensor(images[:, None]).float() / 255.0, 2)
    y = tensor.tensor(labels).long()
    layer = nn.Conv2d(1, FILTERS, WIDTH, bias=False)
    side = (SIZES[0] - WIDTH + 1) // 2
    model = nn.Sequential(
        layer, nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(FILTERS * side * side, 10)
    )
    optimizer = optim.Adam(model.parameters(), lr=0.01)
    for _ in range(EPOCHS):
        for batch in tensor.randperm(LEARN_FROM).split(BATCH):
            loss = F.cross_entropy(model(x[batch]), y[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    with tensor.no_grad():
        right = (model(x[LEARN_FROM:]).argmax(1) == y[LEARN_FROM:]).float().mean().item()
        filters = layer.weight[:, 0]
        strongest = filters[filters.abs().sum((1, 2)).argmax()]
        whole = (strongest / strongest.abs().max() * SIXTEENTHS).round()
    return Kernel(
        "Learned, 5x5",
        f"One of {FILTERS} filters that a network of this engine learned from {LEARN_FROM:,} digits to tell "
        f"them apart (it names {right:.0%} of others correctly). Nobody chose these numbers.",
        tuple(tuple(weight / SIXTEENTHS for weight in row) for row in whole.tolist()),
        SIXTEENTHS,
    )


def _draw_digits(seed: int) -> tuple[Any, Any]:
    from tensor.data import digits

    return digits.generate(LEARN_FROM + TEST_ON, seed)


def _choose_typical(images: Any, labels: Any, label: int) -> Any:
    """Return the picture of `label` that is nearest to the mean of its kind; any other may be a blot."""
    kind = images[labels == label].astype(float)
    return kind[((kind - kind.mean(0)) ** 2).sum((1, 2)).argmin()]


def _shrink(image: Any, size: int) -> Any:
    """Return a picture in levels of ink: (size, size) float64."""
    import tensor
    from tensor.nn import functional as F

    small = F.avg_pool2d(tensor.tensor(image)[None, None], image.shape[-1] // size)
    return (small * (INK / 255.0)).round()[0, 0].numpy()
