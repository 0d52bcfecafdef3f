"""The rows: each piece of work, with the same work for each peer."""

from .arrays import (
    CONVOLUTIONS,
    FUNCTIONS,
    PRODUCTS,
    array_product,
    conv_forward,
    conv_gradient,
    jax_conv,
    jax_lifted,
    jax_pool,
    lifted,
    moons,
    pool,
    tensor_product,
)
from .case import OURS, Work, both
from .language import GPTS, Language, language
from .training import CNN, MLP, TINYCNN, jax_training, training

WORKS: tuple[Work, ...] = (
    Work("scalar", "moons step, 2-16-16-1, 100 points", {OURS: moons, "micrograd": moons}, 1e-9),
    *(
        Work("matmul", f"matmul {name}", {OURS: array_product(operands), "numpy": array_product(operands)})
        for name, operands in PRODUCTS.items()
    ),
    *(
        Work("matmul", f"tensors: matmul {name}", both(tensor_product(operands)))
        for name, operands in PRODUCTS.items()
    ),
    *(
        Work("conv", f"{name} {what}", both(make(*shapes), jax_conv(which, *shapes)))
        for name, shapes in CONVOLUTIONS.items()
        for what, which, make in (
            ("forward", None, conv_forward),
            ("dx", 0, lambda *shapes: conv_gradient(0, *shapes)),
            ("dw", 1, lambda *shapes: conv_gradient(1, *shapes)),
        )
    ),
    *(
        Work("pool", f"max-pool 2x2 of (64,32,28,28) {part}", both(pool(part), jax_pool(part)), 0.0)
        for part in ("forward", "backward", "forward and backward")
    ),
    *(
        Work("elementwise", f"{name} of 1,000,000, both ways", both(lifted(name), jax_lifted(name)))
        for name in FUNCTIONS
    ),
    Work("mlp", "step of 784-128-10, batch 64, Adam", both(training(MLP), jax_training(MLP)), 1e-5),
    Work("cnn", "step of the CNN (25,258), batch 64, Adam", both(training(CNN), jax_training(CNN)), 3e-5),
    Work(
        "tinycnn", "step of the TinyCNN (114), batch 32, Adam",
        both(training(TINYCNN), jax_training(TINYCNN)), 1e-5,
    ),
    *(
        Work("gpt", f"step of a {name}{how}", both(language(Language(*sizes, fused))), 1e-4)
        for name, sizes in GPTS.items()
        for how, fused in (("", True), (", attention written out", False))
    ),
)  # fmt: skip
