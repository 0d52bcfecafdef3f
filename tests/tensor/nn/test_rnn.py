"""Recurrent layers; tests/tensor/surface/nn_recurrent.txt compares them with PyTorch."""

import pytest

import tensor
from tensor import nn


def test_parameters_are_named_by_layer_and_direction():
    names = [name for name, _ in nn.LSTM(4, 5, num_layers=2, bidirectional=True).named_parameters()]
    assert len(names) == 16
    assert names[:2] == ["weight_ih_l0", "weight_hh_l0"]
    assert names[-1] == "bias_hh_l1_reverse"


def test_a_packed_batch_gives_what_each_sequence_gives_alone():
    tensor.manual_seed(0)
    model, rows = nn.GRU(3, 4, bidirectional=True), [tensor.randn(n, 3) for n in (2, 5, 3)]
    packed = nn.utils.rnn.pack_sequence(rows, enforce_sorted=False)
    out, last = model(packed)
    for n, sequence in enumerate(nn.utils.rnn.unpack_sequence(out)):
        alone, end = model(rows[n])
        assert tensor.allclose(sequence, alone, atol=1e-6)
        assert tensor.allclose(last[:, n], end, atol=1e-6)


def test_a_layer_learns_to_remember():
    tensor.manual_seed(0)
    model, head = nn.LSTM(1, 16, batch_first=True), nn.Linear(16, 1)
    x = (tensor.rand(64, 8, 1) > 0.5).float()
    y = x[:, 0]
    optimizer = tensor.optim.Adam([*model.parameters(), *head.parameters()], lr=0.02)
    for _ in range(120):
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(head(model(x)[0][:, -1]), y)
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.02


def test_dropout_of_one_layer_warns():
    with pytest.warns(UserWarning, match="num_layers greater than 1"):
        nn.RNN(2, 3, dropout=0.5)
