"""tensor/amp.py on a GPU or on the simulator of one: losses are scaled there."""

import pytest

import tensor as torch
from tensor import optim


def test_losses_are_scaled_on_a_gpu(device: str) -> None:
    if device == "cpu":
        pytest.skip("runs on a GPU or the simulator: LIFTGRAD_TEST_DEVICE=cuda")
    x = torch.tensor([1.0, 2.0], device="cuda", requires_grad=True)
    stepping, scaler = optim.SGD([x], lr=0.1), torch.amp.GradScaler("cuda", init_scale=8.0)
    for factor, expected in ((2.0, [0.8, 1.8]), (float("inf"), [0.8, 1.8])):
        stepping.zero_grad()
        scaler.scale((x * factor).sum()).backward()
        scaler.step(stepping)
        scaler.update()
        torch.testing.assert_close(x.detach().cpu(), torch.tensor(expected))
    assert scaler.get_scale() == 4
    with pytest.warns(UserWarning, match="there is no arithmetic in 16 bits here"):
        torch.amp.autocast("cuda")


def test_without_a_gpu_scaling_is_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tensor.amp.missing_for_cuda", lambda: "a card")
    with pytest.warns(UserWarning, match="device 'cuda' is not available; scaling is disabled"):
        assert not torch.cuda.amp.GradScaler().is_enabled()
    with pytest.warns(UserWarning, match="device 'cuda' is not available; autocasting is disabled"):
        torch.cuda.amp.autocast()
