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
