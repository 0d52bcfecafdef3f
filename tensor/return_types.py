"""Named results: tuples whose parts have names, `torch.return_types.max` and its like, printed as there."""

from collections import namedtuple


def _named(name: str, fields: str):
    """Return the kind of tuple that the operation `name` returns."""
    parts = namedtuple(name, fields)  # type: ignore[misc]

    def show(self) -> str:
        lines = ",\n".join(f"{field}={value!r}" for field, value in zip(self._fields, self, strict=True))
        return f"torch.return_types.{name}(\n{lines})"

    parts.__repr__ = show  # type: ignore[method-assign]
    parts.__doc__ = f"What `{name}` returns: {fields.replace(' ', ' and ')}."
    parts.__module__ = __name__
    return parts


max, min = _named("max", "values indices"), _named("min", "values indices")
cummax, cummin = _named("cummax", "values indices"), _named("cummin", "values indices")
aminmax = _named("aminmax", "min max")
sort, topk = _named("sort", "values indices"), _named("topk", "values indices")
kthvalue, mode = _named("kthvalue", "values indices"), _named("mode", "values indices")
median, nanmedian = _named("median", "values indices"), _named("nanmedian", "values indices")
histogram = _named("histogram", "hist bin_edges")

linalg_slogdet, slogdet = _named("linalg_slogdet", "sign logabsdet"), _named("slogdet", "sign logabsdet")
linalg_qr, qr = _named("linalg_qr", "Q R"), _named("qr", "Q R")
linalg_eigh = _named("linalg_eigh", "eigenvalues eigenvectors")
linalg_svd, svd = _named("linalg_svd", "U S Vh"), _named("svd", "U S V")
linalg_lstsq = _named("linalg_lstsq", "solution residuals rank singular_values")
linalg_lu, linalg_lu_factor = _named("linalg_lu", "P L U"), _named("linalg_lu_factor", "LU pivots")
linalg_inv_ex = _named("linalg_inv_ex", "inverse info")
linalg_solve_ex = _named("linalg_solve_ex", "result info")
linalg_cholesky_ex = _named("linalg_cholesky_ex", "L info")
triangular_solve = _named("triangular_solve", "solution cloned_coefficient")
