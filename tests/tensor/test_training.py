"""tensor/training.py: learning, measuring, and stopping anywhere without a trace."""

import copy
import pickle
from contextlib import suppress

import numpy as np
import pytest

import tensor
from tensor import models, nn, training


@pytest.fixture(scope="module")
def data():
    """Return 150 noisy images of three classes: each has its own bright third."""
    draw = np.random.default_rng(3)
    labels = np.arange(150) % 3
    images = draw.standard_normal((150, 1, 6, 6)).astype(np.float32)
    for i, label in enumerate(labels):
        images[i, :, 2 * label : 2 * label + 2] += 1.0
    return images, labels


def small():
    return nn.Sequential(nn.Flatten(), nn.Linear(36, 8), nn.ReLU(), nn.Linear(8, 3))


def run(data, plan, on_batch=None, on_epoch=None):
    """Train from the seed; return the model, the optimizer and the position."""
    tensor.manual_seed(plan.seed)
    model = small()
    optimizer = training.make_optimizer(model, plan.optimizer, plan.lr)
    position = training.Position()
    with suppress(KeyboardInterrupt):
        training.fit(model, optimizer, *data, plan, position, on_batch, on_epoch)
    return model, optimizer, position


def bits(model):
    return b"".join(value.numpy().tobytes() for value in model.state_dict().values())


@pytest.mark.parametrize("optimizer", list(training.OPTIMIZERS))
def test_fit_learns(data, optimizer):
    epochs = []
    plan = training.Plan(6, batch_size=16, optimizer=optimizer, lr=0.02, lr_decay=0.9)
    model, *_ = run(data, plan, on_epoch=epochs.append)
    assert [e.epoch for e in epochs] == [1, 2, 3, 4, 5, 6]
    assert epochs[-1].loss < epochs[0].loss / 2
    score = training.evaluate(model, *data)
    assert score.accuracy > 0.9
    assert score.correct == round(score.accuracy * 150) == sum(right for right, _ in score.by_label)
    assert [count for _, count in score.by_label] == [50, 50, 50]


def test_fit_is_the_loop_of_the_textbook(data, torch):
    """The same seed gives PyTorch's losses, its order of the samples included."""
    losses = []
    plan = training.Plan(2, batch_size=16, lr=0.01, lr_decay=1.0, seed=11)
    run(data, plan, on_batch=lambda p: losses.append(p.loss_sum))
    torch.manual_seed(11)
    layers = [torch.nn.Flatten(), torch.nn.Linear(36, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3)]
    model = torch.nn.Sequential(*layers)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    samples = torch.utils.data.TensorDataset(*map(torch.from_numpy, data))
    expected = []
    loader = torch.utils.data.DataLoader(samples, batch_size=16, shuffle=True)
    for _ in range(2):
        total = 0.0
        for x, y in loader:
            loss = torch.nn.functional.cross_entropy(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(y)
            expected.append(total)
    np.testing.assert_allclose(losses, expected, rtol=1e-4)


def test_the_same_seed_gives_the_same_bits_on_one_thread_and_on_two(data):
    found = set()
    before = tensor.get_num_threads()
    try:
        for threads in (1, 2, 1, 2):
            tensor.set_num_threads(threads)
            found.add(bits(run(data, training.Plan(2, seed=4))[0]))
    finally:
        tensor.set_num_threads(before)
    assert len(found) == 1
    assert bits(run(data, training.Plan(2, seed=5))[0]) not in found


@pytest.mark.parametrize("stop_after", [1, 5, 10, 13])  # batches; ten are an epoch
def test_stopped_after_any_batch_it_goes_on_as_if_nothing_had_happened(data, stop_after):
    plan = training.Plan(3, batch_size=16, lr=0.02, seed=2)
    whole, _, end = run(data, plan)
    done = []

    def stop(position):
        done.append(1)
        if len(done) == stop_after:
            raise KeyboardInterrupt

    model, optimizer, position = run(data, plan, stop)
    assert position.epoch * 10 + position.batch == stop_after
    position.generator = tensor.random.default_generator.state_array()
    tensor.manual_seed(999)  # whatever came in between
    again = small()
    again.load_state_dict(model.state_dict())
    other = training.make_optimizer(again, plan.optimizer, plan.lr)
    other.load_state_dict(optimizer.state_dict())
    rest = []
    training.fit(again, other, *data, plan, position, on_epoch=rest.append)
    assert bits(again) == bits(whole)
    assert position.epoch == end.epoch == 3
    totals = []
    run(data, plan, on_epoch=totals.append)
    assert rest == totals[-len(rest) :]


def fit_there(data, device, plan, stop_after=0):
    """Train on a device, and go on after a stop; return what was seen after each batch, and the bits."""
    tensor.manual_seed(plan.seed)
    model = small().to(device)
    optimizer = training.make_optimizer(model, plan.optimizer, plan.lr)
    position, seen, epochs = training.Position(), [], []

    def look(position):
        seen.append((position.loss_sum, position.correct, position.seen))
        if len(seen) == stop_after:
            raise KeyboardInterrupt

    with suppress(KeyboardInterrupt):
        training.fit(model, optimizer, *data, plan, position, look, epochs.append)
    if stop_after:
        position.generator = tensor.random.default_generator.state_array()
        training.fit(model, optimizer, *data, plan, position, look, epochs.append)
    return seen, epochs, bits(model.cpu())


def test_the_figures_of_a_gpu_are_the_cpus(data, device, monkeypatch):
    few = data[0][:30, :, :4, :4].repeat(2, 2).repeat(2, 3)[..., :6, :6], data[1][:30]
    plan = training.Plan(2, batch_size=8, lr=0.01)
    seen, epochs, _ = fit_there(few, "cpu", plan)
    there, epochs_there, weights = fit_there(few, device, plan)
    np.testing.assert_allclose(there, seen, rtol=1e-4)
    assert [e.accuracy for e in epochs_there] == [e.accuracy for e in epochs]
    assert fit_there(few, device, plan, stop_after=5) == (there, epochs_there, weights)
    if device != "cpu":  # what does not fit is copied batch by batch: the same bits
        monkeypatch.setattr("tensor.feeding._fits", lambda data: False)
        assert fit_there(few, device, plan, stop_after=2) == (there, epochs_there, weights)


def test_figures_are_read_when_they_are_wanted():
    class Totals:
        reads = 0

        def read(self):
            self.reads += 1
            return 3.0, 2

    totals, position = Totals(), training.Position(seen=4)
    position.follow(totals)
    position.follow(totals)
    assert totals.reads == 0
    assert (position.loss, position.accuracy, totals.reads) == (0.75, 0.5, 1)
    position.follow(totals)
    position.loss_sum = 1.0
    assert (position.loss_sum, position.correct, totals.reads) == (1.0, 2, 2)
    assert training.Position() == training.Position(loss_sum=0.0, correct=0)
    assert "loss_sum=1.0, correct=2" in repr(position)
    position.follow(totals)
    copies = copy.copy(position), copy.deepcopy(position), pickle.loads(pickle.dumps(position))
    totals.read = lambda: (8.0, 9)
    assert [kept.loss_sum for kept in copies] == [3.0] * 3, "a copy is of now"


def test_two_epochs_and_two_more_are_four():
    plans = [training.Plan(n, lr=0.1, lr_decay=0.5) for n in (2, 4, 100)]
    assert len({plan.rate(1) for plan in plans}) == 1
    assert plans[0].rate(0) == 0.1
    assert plans[0].rate(1) == 0.05
    assert plans[2].rate(99) == 0.1 * training.LOWEST_RATE


def test_a_loss_that_is_no_number_ends_it(data):
    images = np.full_like(data[0], np.inf)
    with pytest.raises(training.Diverged, match="smaller learning rate"):
        run((images, data[1]), training.Plan(2))


def test_evaluate_leaves_the_model_as_it_was(data):
    model = small()
    model.eval()
    first = training.evaluate(model, *data, batch_size=1000)
    assert not model.training
    model.train()
    second = training.evaluate(model, *data, batch_size=7)
    assert model.training
    assert second.accuracy == first.accuracy
    assert second.loss == pytest.approx(first.loss, rel=1e-5)
    assert all(p.grad is None for p in model.parameters())
    with pytest.raises(ValueError, match="a label for each image"):
        training.evaluate(model, data[0][:0], data[1][:0])


def test_a_position_beyond_the_data(data):
    model = small()
    optimizer = training.make_optimizer(model, "sgd", 0.1)
    position = training.Position(batch=4, order=tensor.random.default_generator.state_array())
    with pytest.raises(ValueError, match="batch 4, but this data has 3 batches"):
        training.fit(model, optimizer, *data, training.Plan(1, batch_size=50), position)


def test_a_plan_has_limits():
    for options in ({"epochs": 2**31}, {"epochs": 1, "batch_size": 10**23}):
        with pytest.raises(ValueError, match="no training has"):
            training.Plan(**options)


def test_an_unknown_optimizer():
    with pytest.raises(ValueError, match="unknown optimizer 'adan'; optimizers: adam, adamw, sgd"):
        training.make_optimizer(small(), "adan", 0.1)


def test_warm_up_does_not_diverge():
    plan = training.Plan(1, batch_size=8, lr=1e38)
    training.warm_up(lambda: models.build("mlp"), plan, (1, 28, 28), 20, 5)


def test_warm_up_uses_no_random_number():
    tensor.manual_seed(0)
    state = tensor.random.default_generator.state_array()
    training.warm_up(lambda: models.build("mlp"), training.Plan(1, batch_size=8), (1, 28, 28), 20, 5)
    assert np.array_equal(tensor.random.default_generator.state_array(), state)


def test_on_the_cpu_nothing_is_captured(data):
    model = small()
    optimizer = training.make_optimizer(model, "sgd", 0.1)
    with pytest.raises(ValueError, match="captured=True is for a model on a GPU"):
        training.fit(model, optimizer, *data, training.Plan(1), captured=True)
