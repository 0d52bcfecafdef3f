"""tensor/device_random.py and torch.cuda's seeds: numbers drawn on the GPU."""

import os
from importlib.util import find_spec

import numpy as np
import pytest

if find_spec("numba_cuda") is None or os.environ.get("LIFTGRAD_TEST_DEVICE") != "cuda":
    pytest.skip("runs on a GPU or the simulator: LIFTGRAD_TEST_DEVICE=cuda", allow_module_level=True)

import tensor

pytestmark = pytest.mark.usefixtures("device")
DRAWS = {
    "rand": lambda g: tensor.rand(5, device="cuda", generator=g),
    "randn": lambda g: tensor.randn(2, 3, device="cuda", generator=g, dtype=tensor.float64),
    "randint": lambda g: tensor.randint(-2, 9, (5,), device="cuda", generator=g, dtype=tensor.int32),
    "wide randint": lambda g: tensor.randint(0, 2**40, (5,), device="cuda", generator=g),
    "randperm": lambda g: tensor.randperm(9, device="cuda", generator=g),
    "uniform_": lambda g: tensor.empty(3, 2, device="cuda").t().uniform_(2, 3, generator=g),
    "normal_": lambda g: tensor.empty(3, 2, device="cuda").t().normal_(2, 3, generator=g),
    "random_": lambda g: tensor.empty(4, device="cuda", dtype=tensor.uint8).random_(generator=g),
    "bernoulli_": lambda g: tensor.empty(9, device="cuda").bernoulli_(0.3, generator=g),
    "bernoulli": lambda g: tensor.bernoulli(tensor.full((9,), 0.3, device="cuda"), generator=g),
    "exponential_": lambda g: tensor.empty(5, device="cuda").exponential_(2.0, generator=g),
    "cauchy_": lambda g: tensor.empty(5, device="cuda").cauchy_(generator=g),
    "geometric_": lambda g: tensor.empty(5, device="cuda").geometric_(0.3, generator=g),
    "log_normal_": lambda g: tensor.empty(5, device="cuda").log_normal_(generator=g),
    "poisson": lambda g: tensor.poisson(tensor.tensor([0.5, 3.0, 25.0, 1e3, 1e6], device="cuda"), g),
    "multinomial": lambda g: tensor.multinomial(
        tensor.tensor([0.1, 0.0, 0.9], device="cuda"), 4, True, generator=g
    ),
}


@pytest.mark.parametrize("name", DRAWS)
def test_a_seed_gives_the_same_numbers_on_the_gpu(name: str) -> None:
    tensor.manual_seed(3)
    first, second = DRAWS[name](None), DRAWS[name](None)
    assert first.is_cuda
    assert first.tolist() != second.tolist()
    tensor.manual_seed(3)
    assert DRAWS[name](None).tolist() == first.tolist()
    tensor.cuda.manual_seed(3)
    state = tensor.cuda.get_rng_state()
    assert DRAWS[name](None).tolist() == first.tolist()
    after = tensor.cuda.get_rng_state()
    tensor.cuda.set_rng_state(state)
    with tensor.random.fork_rng():
        assert DRAWS[name](None).tolist() == first.tolist()
    assert tensor.cuda.get_rng_state().tolist() == state.tolist()
    tensor.cuda.set_rng_state(after)
    assert DRAWS[name](None).tolist() == second.tolist()
    generator = tensor.Generator("cuda").manual_seed(3)
    assert DRAWS[name](generator).tolist() == first.tolist()
    assert DRAWS[name](generator.clone_state()).tolist() == second.tolist()


def test_the_two_generators_are_apart() -> None:
    tensor.manual_seed(0)
    on_cpu = tensor.rand(3)
    tensor.manual_seed(0)
    on_gpu = tensor.rand(3, device="cuda")
    assert tensor.rand(3).tolist() == on_cpu.tolist()
    np.testing.assert_allclose(on_gpu.tolist(), [0.3990, 0.5167, 0.0249], atol=6e-5)
    with tensor.device("cuda"):
        assert tensor.rand(3).is_cuda
    for wrong in (
        lambda: tensor.rand(3, device="cuda", generator=tensor.Generator()),
        lambda: tensor.rand(3, generator=tensor.Generator("cuda")),
    ):
        with pytest.raises(RuntimeError, match="device type for generator but found"):
            wrong()
    assert tensor.Generator("cuda").device.type == "cuda"
    assert isinstance(tensor.Generator("cuda"), tensor.Generator)


def test_states_are_pytorchs() -> None:
    tensor.cuda.manual_seed(2**64 - 1)
    tensor.rand(3, device="cuda")
    assert tensor.cuda.initial_seed() == 2**64 - 1
    assert tensor.cuda.get_rng_state().tolist() == [*[255] * 8, 4, *[0] * 7]
    assert tensor.cuda.get_rng_state().device.type == "cpu"
    for wrong in (tensor.zeros(16), tensor.zeros(5056, dtype=tensor.uint8)):
        with pytest.raises((TypeError, RuntimeError), match="set_state"):
            tensor.cuda.set_rng_state(wrong)


def test_dropout_draws_on_the_gpu() -> None:
    x = tensor.ones(4, 25, device="cuda", requires_grad=True)
    tensor.manual_seed(1)
    before = tensor.get_rng_state().tolist()
    out = tensor.nn.functional.dropout(x, 0.5)
    out.sum().backward()
    assert set(out.flatten().tolist()) == {0.0, 2.0}
    assert x.grad.tolist() == out.tolist()
    assert 20 < (out > 0).sum().item() < 80
    assert tensor.get_rng_state().tolist() == before
    whole = tensor.nn.functional.dropout1d(tensor.ones(2, 8, 3, device="cuda"), 0.5)
    assert all(len(set(row)) == 1 for example in whole.tolist() for row in example)
    assert tensor.nn.functional.dropout(x, 1.0).sum().item() == 0.0


def test_a_checkpoint_draws_once() -> None:
    x = tensor.ones(40, device="cuda", requires_grad=True)
    out = tensor.utils.checkpoint.checkpoint(
        lambda x: tensor.nn.functional.dropout(x, 0.5), x, use_reentrant=False
    )
    out.sum().backward()
    assert x.grad.tolist() == out.tolist()


def test_what_draws_beside_tensors_draws_where_they_are() -> None:
    x = tensor.tensor([[0.1, 0.2, 0.7], [1.0, 1.0, 1.0]], device="cuda")
    d, f = tensor.distributions, tensor.nn.functional
    for draw in (
        lambda: tensor.normal(x, x), lambda: tensor.normal(x, 2.0), lambda: d.Normal(x, x).sample(),
        lambda: d.Normal(x, x).rsample(), lambda: d.Uniform(x, x + 1).sample(),
        lambda: d.Exponential(x).sample((8,)), lambda: d.Categorical(x).sample((30,)),
        lambda: d.Bernoulli(x[0]).sample((30,)), lambda: d.Laplace(x, x).sample(),
        lambda: d.Cauchy(x, x).sample(), lambda: d.Geometric(x[0]).sample((30,)),
        lambda: f.gumbel_softmax(x), lambda: f.rrelu(x - 2, training=True), lambda: f.dropout(x.repeat(9, 1)),
        lambda: tensor.vmap(lambda row: tensor.rand_like(row), randomness="different")(x),
    ):  # fmt: skip
        tensor.manual_seed(5)
        first, second = draw(), draw()
        assert first.is_cuda
        assert first.tolist() != second.tolist()
        tensor.manual_seed(5)
        assert draw().tolist() == first.tolist()
    same = tensor.vmap(lambda row: tensor.rand_like(row), randomness="same")(x).tolist()
    assert same[0] == same[1]
    with pytest.raises(RuntimeError, match="randomness error mode"):
        tensor.vmap(lambda row: tensor.rand_like(row))(x)
