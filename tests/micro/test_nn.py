import random

import pytest

from micro import Value
from micro.nn import MLP, Layer, Module, Neuron


def test_reprs_are_micrograds():
    assert repr(Neuron(3)) == "ReLUNeuron(3)"
    assert repr(Neuron(3, nonlin=False)) == "LinearNeuron(3)"
    assert repr(Layer(2, 2)) == "Layer of [ReLUNeuron(2), ReLUNeuron(2)]"
    assert repr(MLP(2, [1, 1])) == "MLP of [Layer of [ReLUNeuron(2)], Layer of [LinearNeuron(1)]]"


@pytest.mark.parametrize(("sizes", "count"), [([16, 16, 1], 337), ([32, 32, 1], 1185)])
def test_number_of_parameters(sizes, count):
    assert len(MLP(2, sizes).parameters()) == count


def test_a_neuron():
    neuron = Neuron(2)
    neuron.w[0].data, neuron.w[1].data, neuron.b.data = 2.0, -1.0, 0.5
    assert neuron([3.0, 1.0]).data == 5.5
    assert neuron([-3.0, 1.0]).data == 0.0
    neuron.nonlin = False
    assert neuron((Value(-3.0), 1)).data == -6.5
    assert [p.data for p in neuron.parameters()] == [2.0, -1.0, 0.5]


def test_weights_lie_in_the_interval():
    layer = Layer(50, 4)
    weights = [w.data for neuron in layer.neurons for w in neuron.w]
    assert -1.0 <= min(weights) < -0.8
    assert 0.8 < max(weights) < 1.0
    assert all(neuron.b.data == 0.0 for neuron in layer.neurons)


def test_a_layer_of_one_returns_its_value():
    assert isinstance(Layer(2, 1)([1.0, 2.0]), Value)
    assert len(Layer(2, 3)([1.0, 2.0])) == 3


def test_a_bottleneck_of_one_neuron():
    assert isinstance(MLP(2, [4, 1, 4, 1])([1.0, 2.0]), Value)


def test_zero_grad():
    model = MLP(2, [3, 1])
    model([1.0, 2.0]).backward()
    assert any(p.grad for p in model.parameters())
    model.zero_grad()
    assert not any(p.grad for p in model.parameters())
    assert Module().parameters() == []


def test_wrong_number_of_inputs():
    with pytest.raises(ValueError, match=r"ReLUNeuron\(2\): expected 2 inputs, got 3"):
        MLP(2, [4, 1])([1.0, 2.0, 3.0])


def test_same_numbers_as_micrograd():
    micrograd = pytest.importorskip("micrograd.nn", reason="the comparison needs micrograd")

    def run(Model):
        random.seed(7)
        model = Model(3, [5, 4, 1])
        loss = (model([0.5, -1.0, 2.0]) - 1.0) ** 2 + 0.1 * sum(p * p for p in model.parameters())
        model.zero_grad()
        loss.backward()
        return (
            str(model),
            [p.data for p in model.parameters()],
            loss.data,
            [p.grad for p in model.parameters()],
        )

    ours, theirs = run(MLP), run(micrograd.MLP)
    assert ours[:2] == theirs[:2]
    assert ours[2] == pytest.approx(theirs[2], rel=1e-14)
    assert ours[3] == pytest.approx(theirs[3], rel=1e-12)


def test_inputs_from_an_iterator():
    for model in (Neuron(2), Layer(2, 3), MLP(2, [3, 1])):
        outs = [model(x) for x in (iter([1.0, 2.0]), [1.0, 2.0])]
        first, second = ([v.data for v in (out if isinstance(out, list) else [out])] for out in outs)
        assert first == second
