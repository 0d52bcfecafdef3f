"""What the host does for the GPU, counted on a stand-in for one: launches, allocations, waits."""

from types import ModuleType

import numpy as np

import tensor
from tensor import nn, optim


def test_a_stand_in_is_a_gpu_for_as_long_as_it_is_wanted(gpu_stand_in: ModuleType) -> None:
    assert not tensor.cuda.is_available() or tensor.cuda.get_device_name() != "stand-in"
    with gpu_stand_in.stand_in() as gpu:
        assert tensor.cuda.get_device_name() == "stand-in"
        x = tensor.from_numpy(np.arange(6, dtype=np.float32)).to("cuda")
        assert x.cpu().tolist() == [0, 1, 2, 3, 4, 5]
        assert (gpu.count, gpu.waits, gpu.allocations) == (0, 1, 1)
        (x + x) * x
        assert gpu.launched == {"elementwise.add": 1, "elementwise.mul": 1}
        assert [launch.name for launch in gpu.launches] == ["elementwise.add", "elementwise.mul"]
    assert not tensor.cuda.is_available() or tensor.cuda.get_device_name() != "stand-in"


def test_a_steady_training_step_allocates_nothing_and_does_not_wait(gpu_stand_in: ModuleType) -> None:
    with gpu_stand_in.stand_in(is_recorded=False) as gpu:
        model = nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10)).cuda()
        stepping = optim.Adam(model.parameters())
        x, y = tensor.zeros(64, 784, device="cuda"), tensor.zeros(64, 10, device="cuda")
        for _ in range(4):
            gpu.forget()
            stepping.zero_grad()
            nn.functional.mse_loss(model(x), y).backward()
            stepping.step()
        assert (gpu.allocations, gpu.waits) == (0, 0)
        assert gpu.launched["optim.adam"] == 1
