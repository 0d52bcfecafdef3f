"""kernels/cuda/linalg.py, orthogonal.py and jacobi.py beside the CPU's LAPACK."""

import math
import os
from importlib.util import find_spec

import numpy as np
import pytest

if find_spec("numba_cuda") is None or os.environ.get("LIFTGRAD_TEST_DEVICE") != "cuda":
    pytest.skip("runs on a GPU or the simulator: LIFTGRAD_TEST_DEVICE=cuda", allow_module_level=True)

from kernels import cpu
from kernels import cuda as k

pytestmark = pytest.mark.usefixtures("device")
TOLERANCE = {"float32": 3e-4, "float64": 1e-9}
on = k.from_host


@pytest.fixture(params=["float32", "float64"])
def draw(request):
    """Return draw(*shape): numbers in [-2, 2)."""
    rng = np.random.default_rng(0)
    return lambda *shape: rng.uniform(-2, 2, shape).astype(request.param)


def close(found, expected) -> None:
    host = found.to_host() if hasattr(found, "to_host") else found
    assert host.shape == expected.shape
    limit = TOLERANCE[host.dtype.name]
    np.testing.assert_allclose(host, expected, limit, limit)


def is_orthogonal(columns: np.ndarray) -> None:
    size = columns.shape[-1]
    product = np.swapaxes(columns, -1, -2) @ columns
    close(product, np.broadcast_to(np.eye(size), product.shape))


def test_equations(draw) -> None:
    a, b = draw(2, 4, 4), draw(4, 3)
    close(k.inverse(on(a)), np.linalg.inv(a))
    close(k.solve(on(a), on(b)), np.linalg.solve(a, b))
    several = draw(3, 4, 1)
    close(k.solve(on(a[0]).T, on(several)), np.linalg.solve(a[0].T, several))
    for upper in (False, True):
        for unit in (False, True):
            found = k.solve_triangular(on(a), on(b), upper, unit)
            close(found, cpu.solve_triangular(a, b, upper, unit))


def test_determinants(draw) -> None:
    a = draw(2, 4, 4)
    close(k.determinant(on(a)), np.linalg.det(a))
    for found, expected in zip(k.log_determinant(on(a)), np.linalg.slogdet(a), strict=True):
        close(found, expected)
    singular = np.array([[1, 2, 3], [2, 4, 6], [1, 0, 1]], a.dtype)
    sign, logarithm = (found.item() for found in k.log_determinant(on(singular)))
    assert (sign, math.copysign(1, sign), logarithm) == (0.0, 1.0, -math.inf)
    for matrix in (a[0], singular, np.ones((3, 3), a.dtype), np.eye(1, dtype=a.dtype)):
        close(k.cofactors(on(matrix)), cpu.cofactors(matrix))


@pytest.mark.parametrize("shape", [(3, 5), (5, 3), (2, 3, 3)], ids=str)
def test_lu(draw, shape) -> None:
    x = draw(*shape)
    (factors, pivots), (expected, expected_pivots) = k.lu(on(x)), cpu.lu(x)
    close(factors, expected)
    np.testing.assert_array_equal(pivots.to_host(), expected_pivots)
    order = k.row_order(pivots, shape[-2])
    np.testing.assert_array_equal(order.to_host(), cpu.row_order(expected_pivots, shape[-2]))


def test_cholesky(draw) -> None:
    a = draw(2, 4, 4)
    positive = a @ a.swapaxes(-1, -2) + np.eye(4, dtype=a.dtype)
    expected = np.linalg.cholesky(positive)
    positive[..., 0, 3] = np.nan  # is not read
    close(k.cholesky(on(positive)), expected)


@pytest.mark.parametrize("shape", [(4, 3), (3, 4), (3, 3), (2, 5, 2), (1, 1)], ids=str)
@pytest.mark.parametrize("whole", [False, True])
def test_qr_and_svd(draw, shape, whole) -> None:
    x = draw(*shape)
    for found, expected in zip(k.qr(on(x), whole), cpu.qr(x, whole), strict=True):
        close(found, expected)
    u, s, vt = (found.to_host() for found in k.svd(on(x), whole))
    expected_u, expected_s, expected_vt = cpu.svd(x, whole)
    assert (u.shape, vt.shape) == (expected_u.shape, expected_vt.shape)
    close(s, expected_s)
    is_orthogonal(u)
    is_orthogonal(np.swapaxes(vt, -1, -2))
    n = s.shape[-1]
    close((u[..., :n] * s[..., None, :]) @ vt[..., :n, :], x)
    close(k.singular_values(on(x)), expected_s)


HARD = {
    "zeros": [[0, 0], [0, 0], [0, 0]],
    "of rank 1": [[1, 2], [2, 4], [3, 6]],
    "equal columns": [[1, 1, 1], [1, 1, 1], [1, 1, 1]],
    "large": [[1e20, 0], [0, 1e18]],
    "small": [[1e-20, 1e-21], [0, 1e-22]],
    "no rotation": [[0, 3], [2, 0]],
}


@pytest.mark.parametrize("name", HARD)
def test_singular_values_of_hard_matrices(draw, name) -> None:
    x = np.array(HARD[name], draw(1).dtype)
    u, s, vt = (found.to_host() for found in k.svd(on(x), True))
    scale = np.abs(x).max() or x.dtype.type(1)
    close(s / scale, np.linalg.svd(x / scale)[1])
    is_orthogonal(u)
    is_orthogonal(vt.T)
    close((u[:, : len(s)] * (s / scale)) @ vt, x / scale)


SYMMETRIC = {
    "diagonal": [[3, 0, 0], [0, 1, 0], [0, 0, 2]],
    "opposite values": [[0, 1], [1, 0]],
    "zeros": [[0, 0, 0], [0, 0, 0], [0, 0, 0]],
    "equal columns": [[1, 1, 1], [1, 1, 1], [1, 1, 1]],
    "large": [[1e20, 1e19], [1e19, -1e18]],
}


@pytest.mark.parametrize("name", [*SYMMETRIC, "any of 5", "a batch"])
@pytest.mark.parametrize("lower", [False, True])
def test_eigenvalues(draw, name, lower) -> None:
    other = draw(2, 4, 4) if name == "a batch" else draw(5, 5)
    x = np.array(SYMMETRIC[name], other.dtype) if name in SYMMETRIC else other
    values, vectors = (found.to_host() for found in k.eigh(on(x), lower))
    scale = np.abs(x).max() or x.dtype.type(1)
    close(values / scale, cpu.eigh(x / scale, lower)[0])
    is_orthogonal(vectors)
    half = np.tril(x, -1) if lower else np.triu(x, 1)
    whole = half + np.swapaxes(half, -1, -2) + np.eye(x.shape[-1], dtype=x.dtype) * x
    close(whole / scale @ vectors, vectors * (values / scale)[..., None, :])
    if lower:
        close(np.sort(k.singular_values(on(x / scale), True).to_host()), np.sort(np.abs(values / scale)))


def test_pseudo_inverses(draw) -> None:
    x = draw(2, 4, 3)
    x[..., 2] = x[..., 0]
    values = k.singular_values(on(x))
    least = k.singular_limit(values, 0.0, 1e-5)
    close(least, cpu.singular_limit(cpu.singular_values(x), 0.0, 1e-5))
    close(k.pseudo_inverse(on(x), least, False), np.linalg.pinv(x, rcond=1e-5))
    symmetric = np.array([[2, 1], [1, -3]], x.dtype)
    least = on(np.array(1e-6, x.dtype))
    close(k.pseudo_inverse(on(symmetric), least, True), np.linalg.inv(symmetric))


@pytest.mark.parametrize("scale", [0.1, 5.0])
def test_matrix_exp(draw, scale) -> None:
    x = draw(2, 3, 3) * draw(1).dtype.type(scale)
    found, expected = k.matrix_exp(on(x)).to_host(), cpu.matrix_exp(x)
    size = np.abs(expected).max()
    close(found / size, expected / size)


@pytest.mark.parametrize("order", [0.0, 1.0, 2.0, 3.5, math.inf])
def test_distances(draw, order) -> None:
    a, b = draw(2, 3, 4), draw(5, 4)
    b[0] = a[0, 0]
    close(k.distances(on(a), on(b), order), cpu.distances(a, b, order))
    assert k.distances(on(a[:, :, :0]), on(b[:, :0]), order).to_host().tolist() == [[[0.0] * 5] * 3] * 2


def test_what_has_no_solution() -> None:
    nan = on(np.array([[1.0, np.nan], [2.0, 1.0]]))
    for what, run in [
        ("Singular matrix", lambda: k.inverse(on(np.array([[1.0, 2.0], [2.0, 4.0]])))),
        ("not positive definite", lambda: k.cholesky(on(np.array([[1.0, 2.0], [2.0, 1.0]])))),
        ("Eigenvalues did not converge", lambda: k.eigh(nan, False)),
        ("SVD did not converge", lambda: k.svd(nan, False)),
    ]:
        with pytest.raises(np.linalg.LinAlgError, match=what):
            run()


def test_empty_matrices() -> None:
    none = np.zeros((2, 0, 0))
    assert k.determinant(on(none)).tolist() == [1.0, 1.0]
    for name in ("inverse", "cholesky", "matrix_exp"):
        assert getattr(k, name)(on(none)).shape == (2, 0, 0)
    assert k.solve(on(np.zeros((0, 2, 2))), on(np.zeros((2, 1)))).shape == (0, 2, 1)
    for shape in ((3, 0), (0, 3)):
        for whole in (False, True):
            x = np.zeros(shape)
            for name in ("qr", "svd"):
                for found, expected in zip(
                    getattr(k, name)(on(x), whole), getattr(cpu, name)(x, whole), strict=True
                ):
                    np.testing.assert_array_equal(found.to_host(), expected)
