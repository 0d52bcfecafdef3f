"""Schedulers: rates and momentum over 100 steps as PyTorch's, their state, and what they refuse."""

import io
import math
import warnings

import pytest

import tensor
from tensor import optim
from tensor.optim.lr_scheduler import LRScheduler


def optimizer_of(T, kind="SGD", lr=0.1, **options):
    a, b = T.nn.Parameter(T.ones(1)), T.nn.Parameter(T.ones(2))
    options = options or ({"momentum": 0.9} if kind == "SGD" else {})
    return getattr(T.optim, kind)([{"params": [a]}, {"params": [b], "lr": 0.03}], lr=lr, **options)


class Warmup:
    """A callable object, whose attributes are saved."""

    def __init__(self, steps):
        self.steps = steps

    def __call__(self, epoch):
        return min(1.0, (epoch + 1) / self.steps)


SCHEDULES = {
    "LambdaLR": lambda s, o: s.LambdaLR(o, lambda e: 0.95**e),
    "LambdaLR, two": lambda s, o: s.LambdaLR(o, [lambda e: 0.95**e, Warmup(10)]),
    "MultiplicativeLR": lambda s, o: s.MultiplicativeLR(o, lambda e: 1 - e / 1000),
    "StepLR": lambda s, o: s.StepLR(o, 7, 0.5),
    "MultiStepLR": lambda s, o: s.MultiStepLR(o, [30, 5, 30, 80], gamma=0.3),
    "ConstantLR": lambda s, o: s.ConstantLR(o, 0.5, 4),
    "ConstantLR, default": lambda s, o: s.ConstantLR(o),
    "LinearLR": lambda s, o: s.LinearLR(o, 0.25, 0.75, 12),
    "LinearLR, default": lambda s, o: s.LinearLR(o),
    "ExponentialLR": lambda s, o: s.ExponentialLR(o, 0.97),
    "PolynomialLR": lambda s, o: s.PolynomialLR(o, 60, 2.0),
    "CosineAnnealingLR": lambda s, o: s.CosineAnnealingLR(o, 15, 0.001),
    "CosineAnnealingLR, once": lambda s, o: s.CosineAnnealingLR(o, T_max=100),
    "WarmRestarts": lambda s, o: s.CosineAnnealingWarmRestarts(o, 5, 2, 0.001),
    "WarmRestarts, 1": lambda s, o: s.CosineAnnealingWarmRestarts(o, 9),
    "CyclicLR": lambda s, o: s.CyclicLR(o, 0.001, 0.1, 6),
    "CyclicLR, 2": lambda s, o: s.CyclicLR(o, [0.001, 0.002], [0.1, 0.2], 6, 11, mode="triangular2"),
    "CyclicLR, exp": lambda s, o: s.CyclicLR(o, 0.001, 0.1, 6, mode="exp_range", gamma=0.98),
    "CyclicLR, own": lambda s, o: s.CyclicLR(o, 0.001, 0.1, 6, scale_fn=lambda x: 1 / x),
    "CyclicLR, no momentum": lambda s, o: s.CyclicLR(o, 0.001, 0.1, 6, cycle_momentum=False),
    "OneCycleLR": lambda s, o: s.OneCycleLR(o, 0.1, total_steps=101),
    "OneCycleLR, lists": lambda s, o: s.OneCycleLR(o, [0.1, 0.2], epochs=20, steps_per_epoch=6),
    "OneCycleLR, linear": lambda s, o: s.OneCycleLR(o, 0.1, 101, anneal_strategy="linear", pct_start=0.1),
    "OneCycleLR, three": lambda s, o: s.OneCycleLR(o, 0.1, 101, three_phase=True, final_div_factor=10.0),
    "SequentialLR": lambda s, o: s.SequentialLR(
        o, [s.LinearLR(o, 0.1, total_iters=10), s.CosineAnnealingLR(o, 50), s.ExponentialLR(o, 0.9)], [10, 60]
    ),
    "ChainedScheduler": lambda s, o: s.ChainedScheduler(
        [s.ConstantLR(o, 0.1, 20), s.ExponentialLR(o, 0.9), s.CosineAnnealingLR(o, 40)]
    ),
}


def plain(value):
    """Return settings and states with tensors as numbers."""
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, dict):
        return {key: plain(entry) for key, entry in value.items()}
    return [plain(entry) for entry in value] if isinstance(value, list | tuple) else value


def settings(optimizer):
    names = ("lr", "initial_lr", "max_lr", "min_lr", "momentum", "betas", "max_momentum", "base_momentum")
    return [[plain(group.get(name)) for name in names] for group in optimizer.param_groups]


def run(T, name, kind="SGD", steps=100, **options):
    optimizer = optimizer_of(T, kind, **options)
    scheduler = SCHEDULES[name](T.optim.lr_scheduler, optimizer)
    found = [settings(optimizer)]
    for _ in range(steps):
        optimizer.step()
        scheduler.step()
        found.append([*settings(optimizer), plain(scheduler.get_last_lr())])
    state = {key: value for key, value in scheduler.state_dict().items() if key != "anneal_func"}
    return found, state


@pytest.mark.parametrize("kind", ["SGD", "Adam"])
@pytest.mark.parametrize("name", SCHEDULES)
def test_100_steps_are_pytorchs(torch, name, kind):
    ours, theirs = run(tensor, name, kind), run(torch, name, kind)
    assert ours[0] == theirs[0], "another rate"
    ours[1].pop("_last_lr")
    theirs[1].pop("_last_lr")
    assert set(ours[1]) == set(theirs[1])
    if "own" not in name:
        assert str(sorted(plain(ours[1]).items())) == str(sorted(plain(theirs[1]).items()))


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_rate_that_is_a_tensor_stays_that_tensor(torch, name):
    ours = run(tensor, name, lr=tensor.tensor(0.1))
    theirs = run(torch, name, lr=torch.tensor(0.1), foreach=False, momentum=0.9)
    for a, b in zip(ours[0], theirs[0], strict=True):
        assert str(a).count("None") == str(b).count("None")
        flat_a, flat_b = flatten(a), flatten(b)
        assert flat_a == pytest.approx(flat_b, rel=1e-6)
    optimizer = optimizer_of(tensor, lr=tensor.tensor(0.1))
    rate = optimizer.param_groups[0]["lr"]
    scheduler = SCHEDULES[name](tensor.optim.lr_scheduler, optimizer)
    optimizer.step()
    scheduler.step()
    assert optimizer.param_groups[0]["lr"] is rate


def flatten(value):
    if isinstance(value, list | tuple):
        return [number for entry in value for number in flatten(entry)]
    return [] if value is None else [value]


RECORDED = {  # the rates of the first group at steps 0, 1, 2, 10, 50, 100 in PyTorch
    "StepLR": [0.1, 0.1, 0.1, 0.05, 0.00078125, 6.103515625e-06],
    "CosineAnnealingLR": [
        0.1, 0.09891830623632338, 0.09572050015330874, 0.02575, 0.02575000000000016, 0.02575000000000016,
    ],
    "OneCycleLR": [
        0.004, 0.00427565104002732, 0.005099438181114718,
        0.02904739632130776, 0.08029841875256725, 4e-07,
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", RECORDED)
def test_recorded_rates(name):
    found = [entry[0][0] for entry in run(tensor, name)[0]]
    assert [found[i] for i in (0, 1, 2, 10, 50, 100)] == pytest.approx(RECORDED[name], rel=1e-9)


@pytest.mark.parametrize("name", SCHEDULES)
def test_going_on_from_a_saved_state(name):
    whole = run(tensor, name)[0]
    first = optimizer_of(tensor)
    scheduler = SCHEDULES[name](tensor.optim.lr_scheduler, first)
    for _ in range(40):
        first.step()
        scheduler.step()
    file = io.BytesIO()
    tensor.save([first.state_dict(), scheduler.state_dict()], file)
    file.seek(0)
    saved = tensor.load(file)
    second = optimizer_of(tensor)
    other = SCHEDULES[name](tensor.optim.lr_scheduler, second)
    second.load_state_dict(saved[0])
    other.load_state_dict(saved[1])
    for i in range(40, 100):
        second.step()
        other.step()
        assert settings(second) == whole[i + 1][:2]


@pytest.mark.parametrize("options", [{}, {"mode": "max", "threshold_mode": "abs", "threshold": 0.1}])
@pytest.mark.parametrize("more", [{}, {"patience": 2, "cooldown": 3, "factor": 0.5, "min_lr": [0.01, 0.001]}])
def test_plateau(engines, options, more):
    found = []
    for T in engines:
        optimizer = optimizer_of(T)
        scheduler = T.optim.lr_scheduler.ReduceLROnPlateau(optimizer, **options, **more)
        rates = []
        for i in range(100):
            optimizer.step()
            scheduler.step(T.tensor(math.sin(i / 9) + 5 / (1 + i)))
            rates.append((scheduler.get_last_lr(), scheduler.num_bad_epochs, scheduler.in_cooldown))
        found.append((rates, list(scheduler.state_dict()), scheduler.best))
    assert len({rate for rates, _, _ in found[0][0] for rate in rates}) > 2
    assert all(one == found[0] for one in found)


def test_the_epoch_may_be_given(engines):
    for name in ("StepLR", "MultiStepLR", "LinearLR", "CosineAnnealingLR", "WarmRestarts", "LambdaLR"):
        found = []
        for T in engines:
            optimizer = optimizer_of(T)
            scheduler = SCHEDULES[name](T.optim.lr_scheduler, optimizer)
            optimizer.step()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                for epoch in (3, 17, 40, 2):
                    scheduler.step(epoch)
                    found.append((epoch, scheduler.get_last_lr(), scheduler.last_epoch))
        assert found[:4] == found[-4:]
    scheduler = optim.lr_scheduler.StepLR(optimizer_of(tensor), 3)
    scheduler.optimizer.step()
    with pytest.warns(UserWarning, match="epoch parameter"):
        scheduler.step(3)


def test_fractions_of_epochs(engines):
    found = []
    for T in engines:
        scheduler = SCHEDULES["WarmRestarts"](T.optim.lr_scheduler, optimizer_of(T))
        rates = []
        for i in range(60):
            scheduler.optimizer.step()
            scheduler.step(i / 4)
            rates.append((scheduler.get_last_lr(), scheduler.T_cur, scheduler.T_i))
        found.append(rates)
    assert all(one == found[0] for one in found)


def test_a_step_before_the_optimizers_is_warned_of(engines):
    for T in engines:
        scheduler = T.optim.lr_scheduler.StepLR(optimizer_of(T), 3)
        with pytest.warns(UserWarning, match=r"before `optimizer.step\(\)`"):
            scheduler.step()
        scheduler.step()  # once is enough
        optimizer = optimizer_of(T)
        optimizer.step()
        scheduler = T.optim.lr_scheduler.StepLR(optimizer, 3)
        with pytest.warns(UserWarning, match=r"before `optimizer.step\(\)`"):
            scheduler.step()


def test_asking_for_the_next_rates_is_warned_of():
    scheduler = optim.lr_scheduler.ExponentialLR(optimizer_of(tensor), 0.5)
    with pytest.warns(UserWarning, match="get_last_lr"):
        scheduler.get_lr()


def test_a_scheduler_of_ones_own(engines):
    for T in engines:

        class Halving(T.optim.lr_scheduler.LRScheduler):
            def get_lr(self):
                return [lr / 2**self.last_epoch for lr in self.base_lrs]

        optimizer = optimizer_of(T)
        scheduler = Halving(optimizer)
        optimizer.step()
        scheduler.step()
        assert scheduler.get_last_lr() == [0.05, 0.015]
        assert scheduler.last_epoch == 1
    assert optim.lr_scheduler._LRScheduler is LRScheduler


def test_going_on_at_a_later_epoch(engines):
    found = []
    for T in engines:
        optimizer = optimizer_of(T)
        for group in optimizer.param_groups:
            group["initial_lr"] = 0.2
        rates = []
        for make in (
            lambda s, o: s.StepLR(o, 3, last_epoch=5),
            lambda s, o: s.CosineAnnealingLR(o, 10, last_epoch=3),
            lambda s, o: s.LinearLR(o, last_epoch=2),
            lambda s, o: s.LambdaLR(o, lambda e: 1 / (1 + e), last_epoch=8),
        ):
            scheduler = make(T.optim.lr_scheduler, optimizer)
            optimizer.step()
            scheduler.step()
            rates.append((scheduler.get_last_lr(), scheduler.last_epoch))
        found.append(rates)
    assert all(one == found[0] for one in found)


ERRORS = {
    "no optimizer": lambda s, o: s.StepLR([1], 3),
    "cyclic, no optimizer": lambda s, o: s.CyclicLR([1], 1, 2),
    "one cycle, no optimizer": lambda s, o: s.OneCycleLR([1], 1, 2),
    "plateau, no optimizer": lambda s, o: s.ReduceLROnPlateau([1]),
    "no initial_lr": lambda s, o: s.StepLR(o, 3, last_epoch=4),
    "lambdas": lambda s, o: s.LambdaLR(o, [abs]),
    "not callable": lambda s, o: s.MultiplicativeLR(o, [1, 2]),
    "constant": lambda s, o: s.ConstantLR(o, 1.5),
    "linear start": lambda s, o: s.LinearLR(o, 0.0),
    "linear end": lambda s, o: s.LinearLR(o, 0.5, 1.5),
    "T_0": lambda s, o: s.CosineAnnealingWarmRestarts(o, 0),
    "T_mult": lambda s, o: s.CosineAnnealingWarmRestarts(o, 1, 1.5),
    "eta_min": lambda s, o: s.CosineAnnealingWarmRestarts(o, 1, 1, "0"),
    "negative epoch": lambda s, o: s.CosineAnnealingWarmRestarts(o, 1).step(-1),
    "mode": lambda s, o: s.CyclicLR(o, 0.1, 0.2, mode="square"),
    "base_lr": lambda s, o: s.CyclicLR(o, [0.1], 0.2),
    "no steps": lambda s, o: s.OneCycleLR(o, 0.1),
    "total_steps": lambda s, o: s.OneCycleLR(o, 0.1, 0),
    "epochs": lambda s, o: s.OneCycleLR(o, 0.1, epochs=-1, steps_per_epoch=2),
    "steps_per_epoch": lambda s, o: s.OneCycleLR(o, 0.1, epochs=1, steps_per_epoch=2.0),
    "pct_start": lambda s, o: s.OneCycleLR(o, 0.1, 10, pct_start=2.0),
    "anneal": lambda s, o: s.OneCycleLR(o, 0.1, 10, anneal_strategy="exp"),
    "factor": lambda s, o: s.ReduceLROnPlateau(o, factor=1.0),
    "plateau mode": lambda s, o: s.ReduceLROnPlateau(o, "least"),
    "threshold mode": lambda s, o: s.ReduceLROnPlateau(o, threshold_mode="least"),
    "min_lr": lambda s, o: s.ReduceLROnPlateau(o, min_lr=[1]),
    "empty": lambda s, o: s.SequentialLR(o, [], []),
    "milestones": lambda s, o: s.SequentialLR(o, [s.StepLR(o, 1)], [1]),
    "other optimizer": lambda s, o: s.SequentialLR(type(o)(o.param_groups), [s.StepLR(o, 1)], []),
    "plateau in sequence": lambda s, o: s.SequentialLR(o, [s.ReduceLROnPlateau(o)], []),
    "no schedulers": lambda s, o: s.SequentialLR(o, [1], []),
    "empty chain": lambda s, o: s.ChainedScheduler([]),
    "plateau in chain": lambda s, o: s.ChainedScheduler([s.ReduceLROnPlateau(o)]),
    "base": lambda s, o: s.LRScheduler(o),
}  # fmt: skip


@pytest.mark.parametrize("case", ERRORS)
def test_errors_are_pytorchs(check, case):
    check.raises_alike(lambda T: ERRORS[case](T.optim.lr_scheduler, optimizer_of(T)))


def test_momentum_is_needed_to_cycle_it():
    for name in ("CyclicLR", "OneCycleLR"):
        optimizer = optim.Adagrad([tensor.ones(1)])
        with pytest.raises(ValueError, match="cycle_momentum=False"):
            SCHEDULES[name](optim.lr_scheduler, optimizer)


def test_a_step_beyond_the_cycle():
    scheduler = optim.lr_scheduler.OneCycleLR(optimizer_of(tensor), 0.1, 3)
    for _ in range(3):
        scheduler.optimizer.step()
        scheduler.step()
    with pytest.raises(ValueError, match="Tried to step 4 times"):
        scheduler.step()
