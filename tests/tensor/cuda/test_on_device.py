"""Tensors on a GPU, or on the simulator of one: where they are, what they may meet, and their gradients."""

import copy
import gc
import io
import pickle
from pathlib import Path

import numpy as np
import pytest

import tensor


@pytest.fixture(autouse=True)
def _needs_a_gpu(device: str) -> None:
    if device == "cpu":
        pytest.skip("runs on a GPU or the simulator: LIFTGRAD_TEST_DEVICE=cuda")


def test_where_tensors_are() -> None:
    x = tensor.tensor([1.0, 2.0], device="cuda")
    assert x.is_cuda
    assert x.device == tensor.device("cuda:0") == tensor.device(0)
    assert str(x) == "tensor([1., 2.], device='cuda:0')"
    assert x.to("cuda") is x.cuda() is x
    assert x.cpu().device.type == "cpu"
    assert not x.to("cpu", tensor.float64).is_cuda
    assert tensor.tensor(x).is_cuda
    assert x.new_zeros(2).is_cuda
    assert tensor.ones_like(x).is_cuda
    assert not tensor.ones_like(x, device="cpu").is_cuda
    assert x.tolist() == [1.0, 2.0]
    assert float(x[1]) == x[1].item() == 2.0
    with pytest.raises(RuntimeError, match="invalid device ordinal"):
        x.to("cuda:1")


@pytest.mark.parametrize("make", ["zeros", "ones", "empty", "rand", "randn"])
def test_makers(make: str) -> None:
    for device in ("cuda", "cuda:0", tensor.device("cuda"), 0):
        x = getattr(tensor, make)(2, 3, device=device)
        assert x.is_cuda
        assert x.shape == (2, 3)
    with tensor.device("cuda"):
        assert getattr(tensor, make)(2).is_cuda
        assert not getattr(tensor, make)(2, device="cpu").is_cuda
    tensor.set_default_device("cuda")
    try:
        assert getattr(tensor, make)(2).is_cuda
    finally:
        tensor.set_default_device(None)
    assert not getattr(tensor, make)(2).is_cuda


def test_mixed_devices() -> None:
    x, y = tensor.ones(2, device="cuda"), tensor.ones(2)
    for meet in (
        lambda: x + y, lambda: y * x, lambda: x.add_(y), lambda: y.add_(x), lambda: tensor.cat([x, y]),
        lambda: tensor.tensor(1.0).add_(x[0]),
    ):  # fmt: skip
        with pytest.raises(RuntimeError, match="Expected all tensors to be on the same device"):
            meet()
    number = tensor.tensor(3.0, requires_grad=True)
    (number * x + number).sum().backward()
    assert number.grad is not None
    assert number.grad.item() == 4.0
    assert not number.grad.is_cuda
    assert x.add_(tensor.tensor(2.0)).tolist() == [3.0, 3.0]
    y.copy_(x)
    assert y.tolist() == [3.0, 3.0]
    x.copy_(tensor.tensor([7, 8]))
    assert x.tolist() == [7.0, 8.0]


def test_numpy_is_refused() -> None:
    x = tensor.ones(2, device="cuda")
    for read in (x.numpy, lambda: np.asarray(x)):
        with pytest.raises(TypeError, match=r"Use Tensor\.cpu\(\) to copy the tensor to host memory first"):
            read()
    assert x.numpy(force=True).tolist() == [1.0, 1.0]


def test_gradients_cross_devices() -> None:
    w = tensor.tensor([1.0, 2.0, 3.0], requires_grad=True)
    x = tensor.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], device="cuda", requires_grad=True)
    there = w.cuda()
    loss = (there * x + there * 2).cpu().sum() + (w * w).sum()
    loss.backward()
    assert w.grad.tolist() == [5.0 + 4.0 + 2.0, 7.0 + 4.0 + 4.0, 9.0 + 4.0 + 6.0]
    assert not w.grad.is_cuda
    assert x.grad.is_cuda
    assert x.grad.tolist() == [[1.0, 2.0, 3.0], [1.0, 2.0, 3.0]]
    (slope,) = tensor.autograd.grad((x**3).sum(), x, create_graph=True)
    (curve,) = tensor.autograd.grad(slope.sum(), x)
    assert curve.tolist() == (6 * x).tolist()


def test_views_and_writing() -> None:
    x = tensor.zeros(2, 3, device="cuda")
    x[0] = 1.0
    x[:, 1:].add_(2.0)
    x.T[0].mul_(5)
    assert x.tolist() == [[5.0, 3.0, 3.0], [0.0, 2.0, 2.0]]
    assert x.view(-1).data_ptr() == x.data_ptr()
    assert x.t().contiguous().stride() == (2, 1)
    with pytest.raises(RuntimeError, match="more than one element"):
        x[0].expand(2, 3).add_(1.0)
    y = tensor.ones(2, device="cuda", requires_grad=True).exp()
    y.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


def test_copies() -> None:
    x = tensor.tensor([1.0, 2.0], device="cuda")
    for again in (copy.deepcopy(x), pickle.loads(pickle.dumps(x)), x.clone()):
        assert again.is_cuda
        assert again.tolist() == [1.0, 2.0]
        assert again.data_ptr() != x.data_ptr()


def test_a_module_moves() -> None:
    layer = tensor.nn.BatchNorm1d(3)
    kept = layer.weight
    layer.to("cuda")
    assert layer.weight is kept
    assert {t.device.type for t in layer.state_dict().values()} == {"cuda"}
    assert {t.device.type for t in layer.cpu().state_dict().values()} == {"cpu"}
    assert tensor.nn.Linear(2, 3, device="cuda").weight.is_cuda


def test_a_module_learns_and_loads_across_devices() -> None:
    model = tensor.nn.Sequential(tensor.nn.Linear(2, 3), tensor.nn.BatchNorm1d(3, momentum=None)).cuda()
    twin = copy.deepcopy(model).cpu()
    x = tensor.arange(8.0).view(4, 2).sin()
    for net, where in ((model, "cuda"), (twin, "cpu")):
        for _ in range(2):
            (net(x.to(where)) ** 3).sum().backward()
    model.cpu()
    assert not model[0].weight.grad.is_cuda
    np.testing.assert_allclose(model[0].weight.grad, twin[0].weight.grad, 1e-3, 1e-5)
    np.testing.assert_allclose(model[1].running_var, twin[1].running_var, 1e-6)
    assert model[1].num_batches_tracked.item() == 2
    model.cuda()
    saved = io.BytesIO()
    tensor.save(model.state_dict(), saved)
    for where, there in ((None, True), ({"cuda:0": "cpu"}, False), (lambda storage, place: storage, False)):
        saved.seek(0)
        state = tensor.load(saved, map_location=where)
        assert {t.is_cuda for t in state.values()} == {there}
        for net in (model, twin):
            before = net[0].weight.device
            net.load_state_dict(state)
            assert net[0].weight.device == before
            assert net[0].weight.tolist() == state["0.weight"].tolist()
    assert tensor.accelerator.is_available()
    assert tensor.accelerator.current_accelerator() == tensor.device("cuda")


def test_memory_and_streams() -> None:
    cuda = tensor.cuda
    assert cuda.is_available()
    assert cuda.device_count() == 1
    assert cuda.current_device() == 0
    assert cuda.get_device_name()
    assert cuda.get_device_properties(0).total_memory >= cuda.mem_get_info()[0]
    gc.collect()  # what tests before this left in cycles would be freed between two counts
    before = cuda.memory_allocated()
    cuda.reset_peak_memory_stats()
    x = tensor.ones(1000, device="cuda")
    assert cuda.memory_allocated() == before + 4096
    del x
    assert cuda.memory_allocated() == before
    assert cuda.max_memory_allocated() == before + 4096 <= cuda.memory_reserved()
    cuda.empty_cache()
    side, start, end = cuda.Stream(), cuda.Event(enable_timing=True), cuda.Event(enable_timing=True)
    start.record()
    with cuda.stream(side):
        assert cuda.current_stream() == side
        y = tensor.ones(3, device="cuda") * 2
        end.record()
    assert cuda.current_stream() == cuda.default_stream() != side
    cuda.current_stream().wait_stream(side)
    cuda.synchronize()
    assert end.query()
    assert start.elapsed_time(end) >= 0.0
    assert y.tolist() == [2.0, 2.0, 2.0]


def test_typed_tensors() -> None:
    x = tensor.cuda.FloatTensor([1, 2])
    assert x.is_cuda
    assert x.type() == "torch.cuda.FloatTensor"
    assert isinstance(x, tensor.cuda.FloatTensor)
    assert not isinstance(x, tensor.FloatTensor)
    assert not isinstance(x, tensor.cuda.DoubleTensor)
    assert repr(tensor.cuda.FloatTensor) == "<class 'torch.cuda.FloatTensor'>"
    assert tensor.cuda.LongTensor(2, 3).tolist() == [[0] * 3] * 2
    assert tensor.ones(2).type(tensor.cuda.IntTensor).type() == "torch.cuda.IntTensor"
    assert x.type(tensor.DoubleTensor).type() == "torch.DoubleTensor"
    assert x.type(tensor.float64).type() == "torch.cuda.DoubleTensor"
    with pytest.raises(TypeError, match=r"expected a tensor of torch\.float32 on cuda, got .* on cpu"):
        tensor.cuda.FloatTensor(tensor.ones(2))


def test_streams_of_others_and_names_of_old() -> None:
    cuda = tensor.cuda
    other = cuda.get_stream_from_external(cuda.Stream().cuda_stream)
    with cuda.StreamContext(other):
        assert cuda.current_stream() == other
    with cuda.device_of(tensor.ones(1, device="cuda")), cuda.device_of(tensor.ones(1)):
        assert cuda.current_device() == 0
    (architecture,) = cuda.get_arch_list()
    assert architecture == "sm_{}{}".format(*cuda.get_device_capability())
    assert cuda.can_device_access_peer(0, 0) is False
    assert cuda.memory_cached() == cuda.memory_reserved()
    nested = cuda.memory_stats_as_nested_dict()
    assert nested["reserved_bytes"]["all"]["peak"] == cuda.max_memory_cached()
    assert cuda.get_allocator_backend() == "native"


def test_out_of_memory() -> None:
    if "simulator" in tensor.cuda.get_device_name():
        with pytest.raises(tensor.cuda.OutOfMemoryError, match=r"Tried to allocate 4\.00 GiB"):
            tensor.empty(1 << 30, device="cuda")
    assert tensor.ones(2, device="cuda").tolist() == [1.0, 1.0]


def test_saving() -> None:
    file = io.BytesIO()
    tensor.save({"x": tensor.tensor([1.0, 2.0], device="cuda")}, file)
    file.seek(0)
    there = tensor.load(file)["x"]
    assert there.is_cuda
    assert there.tolist() == [1.0, 2.0]
    file.seek(0)
    assert not tensor.load(file, map_location="cpu")["x"].is_cuda


def test_types_by_name_say_where() -> None:
    x = tensor.ones(2, device="cuda")
    assert x.type() == "torch.cuda.FloatTensor"
    assert tensor.ones(2).type() == "torch.FloatTensor"
    assert not x.type("torch.FloatTensor").is_cuda
    there = tensor.ones(2).type("torch.cuda.DoubleTensor")
    assert there.is_cuda
    assert there.dtype is tensor.float64
    assert x.type(tensor.int64).is_cuda
    assert tensor.ones(2).type_as(there).type() == "torch.cuda.DoubleTensor"
    assert (x.get_device(), x.cpu().get_device()) == (0, -1)


def test_gradients_and_out_are_on_the_same_device() -> None:
    x = tensor.ones(2, device="cuda", requires_grad=True)
    with pytest.raises(RuntimeError, match="expected device cuda:0 but got cpu"):
        (2 * x).backward(tensor.ones(2))
    with pytest.raises(RuntimeError, match="the result is on cuda:0 and out on cpu"):
        tensor.add(x.detach(), 1, out=tensor.empty(2))
    with pytest.raises(RuntimeError, match="the result is on cuda:0 and out on cpu"):
        tensor.cumsum(x.detach(), 0, out=tensor.empty(0))


def test_a_storage_that_map_location_returns_as_it_came_is_on_the_cpu() -> None:
    stream = io.BytesIO()
    tensor.save(tensor.ones(2, device="cuda"), stream)
    asked = []
    stream.seek(0)
    x = tensor.load(stream, map_location=lambda storage, location: asked.append(location) or storage)
    assert not x.is_cuda
    assert asked == ["cuda:0"]
    stream.seek(0)
    assert tensor.load(stream, map_location=lambda storage, location: None).is_cuda
    stream.seek(0)
    assert tensor.load(stream, map_location=lambda storage, location: storage.cuda()).is_cuda


def test_memory_used_on_another_stream_waits_for_it() -> None:
    other = tensor.cuda.Stream()
    x = tensor.ones(2, device="cuda")
    with tensor.cuda.stream(other):
        y = x * 2
    x.record_stream(other)
    x[0].record_stream(other)
    del x
    tensor.cuda.synchronize()
    assert tensor.ones(2, device="cuda").tolist() == [1, 1]
    assert y.tolist() == [2, 2]
    with pytest.raises(RuntimeError, match="expected a tensor on the GPU"):
        tensor.ones(1).record_stream(other)


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_saved_tensors_share_memory_as_before(device, zipped) -> None:
    x = tensor.arange(12.0).reshape(3, 4).to(device)
    file = io.BytesIO()
    written = [x, x[0], x.T[1:], x.cpu(), x[:0], x > 3]
    tensor.save(written, file, _use_new_zipfile_serialization=zipped)
    for where in (None, tensor.device("cpu")):
        file.seek(0)
        found = tensor.load(file, map_location=where)
        assert [t.device for t in found] == [where or t.device for t in written]
        assert [t.tolist() for t in found] == [t.tolist() for t in written]
        found[1].zero_()
        assert found[0].tolist() == [[0.0] * 4, [4.0, 5.0, 6.0, 7.0], [8.0, 9.0, 10.0, 11.0]]
        assert found[2][0].tolist() == [0.0, 5.0, 9.0]
        assert found[3][0].tolist() == [0.0, 1.0, 2.0, 3.0]


def test_a_parameter_of_nothing_is_where_tensors_are_made(device) -> None:
    with tensor.device(device):
        assert tensor.nn.Parameter().device.type == device


def test_anomalies_are_found_there() -> None:
    x = tensor.tensor([0.0, 4.0], device="cuda", requires_grad=True)
    with pytest.warns(UserWarning, match="Anomaly Detection"):
        mode = tensor.autograd.detect_anomaly()
    with mode:
        (x * 2).sum().backward()
        loss = (x.sqrt() * x.detach()).sum()
        with pytest.warns(UserWarning, match="Error detected in SqrtBackward0"):  # noqa: SIM117
            with pytest.raises(RuntimeError, match="'SqrtBackward0' returned nan values in its 0th output"):
                loss.backward()


def test_values_of_a_gpu_are_compared() -> None:
    x = tensor.tensor([1.0, 2.0], device="cuda")
    tensor.testing.assert_close(x, x + 1e-7)
    tensor.testing.assert_close(x, x.cpu(), check_device=False)
    with pytest.raises(AssertionError, match="'device' do not match: cuda:0 != cpu"):
        tensor.testing.assert_close(x, x.cpu())
    with pytest.raises(AssertionError, match="not close"):
        tensor.testing.assert_close(x, x + 1)


def test_the_page_of_steps_is_the_cpus(tmp_path: Path) -> None:
    viz = pytest.importorskip("viz")
    pages = []
    for place in ("cpu", "cuda"):
        x = tensor.tensor([1.0, 2.0], device=place, requires_grad=True)
        viz.page((x * 3).sum(), tmp_path / f"{place}.html")
        pages.append((tmp_path / f"{place}.html").read_text())
    assert pages[0] == pages[1]
