"""What a training run keeps of its course: the figures of its epochs, the norms of its gradients by layer.

Both are kept thinly, so that a model file stays small however long the training was, and by rules that do
not depend on where it was interrupted: the same training keeps the same numbers.
"""

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tensor import nn
from tensor.engine import Tensor
from tensor.models import build
from tensor.random import fork_rng
from tensor.serialization import ModelFileError, SavedModel

EPOCHS = ("epoch", "loss", "accuracy", "test_loss", "test_accuracy")
"""What is kept of an epoch, counted from 1."""

MOST_EPOCHS, MOST_STEPS = 1000, 200
"""So many rows are kept of each; then every second one goes, and only every second one is added."""


@dataclass
class Table:
    """Rows of numbers, the first of which counts up; those that `every` divides are kept, `most` at once."""

    columns: tuple[str, ...]
    most: int
    every: int = 1
    rows: list[list[Any]] = field(default_factory=list)

    def add(self, row: list[Any]) -> None:
        """Keep a row, if it is one of those that are kept; a number that JSON has not becomes None."""
        if row[0] % self.every:
            return
        self.rows.append([None if isinstance(x, float) and not math.isfinite(x) else x for x in row])
        if len(self.rows) > self.most:
            self.every *= 2
            self.rows = [row for row in self.rows if row[0] % self.every == 0]

    def as_dict(self) -> dict[str, Any]:
        """Return it as a model file keeps it."""
        return {"columns": list(self.columns), "every": self.every, "rows": self.rows}

    def as_dicts(self) -> list[dict[str, Any]]:
        """Return the rows as dicts by column."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]

    def restore(self, found: Any) -> None:
        """Take the rows that `as_dict` returned; ValueError, KeyError or TypeError for anything else."""
        if tuple(found["columns"]) != self.columns:
            raise ValueError(f"columns {found['columns']}, not {list(self.columns)}")
        every, rows, last = found["every"], found["rows"], -1
        if not isinstance(every, int) or every < 1 or not isinstance(rows, list):
            raise ValueError(f"every {every}")
        for row in rows:
            numbers = len(row) == len(self.columns) and all(map(_is_number, row))
            if not numbers or not isinstance(row[0], int) or row[0] <= last:
                raise ValueError(f"the row {row}")
            last = row[0]
        self.every, self.rows = every, [list(row) for row in rows]


def _is_number(value: Any) -> bool:
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return True
    return isinstance(value, float) and math.isfinite(value)


class History:
    """The course of one training.

    model: whose layers' gradients are measured; a layer is a module with parameters of its own. batches: how
    many steps an epoch has.
    """

    def __init__(self, model: nn.Module, batches: int) -> None:
        self._layers = layers_of(model)
        self.batches = batches
        self.epochs = Table(EPOCHS, MOST_EPOCHS)
        self.gradients = Table(("step", *self._layers), MOST_STEPS)

    @property
    def layers(self) -> dict[str, nn.Module]:
        """The layers, first to last, by the names that `state_dict` has for them."""
        return self._layers

    def add_epoch(self, epoch: int, *figures: float) -> None:
        """Keep the figures of an epoch, in the order of `EPOCHS`."""
        self.epochs.add([epoch, *figures])

    def add_step(self, step: int) -> None:
        """Measure the gradients that the model's parameters have now, after step number `step`, from 0."""
        if step % self.gradients.every == 0:
            norms = [norm_of_gradients(layer) for layer in self._layers.values()]
            self.gradients.add([step, *(float(f"{norm:.6g}") for norm in norms)])

    def norms(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return how many epochs were done at each step that was measured, and the norms: (steps, layers)."""
        rows = np.array(self.gradients.rows, np.float64).reshape(-1, len(self.gradients.columns))
        return rows[:, 0] / self.batches, rows[:, 1:]  # None becomes nan

    def as_dict(self) -> dict[str, Any]:
        """Return it as a model file keeps it."""
        kept = {"epochs": self.epochs.as_dict(), "gradients": self.gradients.as_dict()}
        return {"batches": self.batches, **kept}

    def restore(self, saved: SavedModel) -> bool:
        """Take what a file kept; return whether it kept any. ModelFileError where it makes no sense."""
        found = saved.history
        if found is None:
            return False
        try:
            batches = found["batches"]
            if not isinstance(batches, int) or batches < 1:
                raise ValueError(f"{batches} batches an epoch")
            self.epochs.restore(found["epochs"])
            self.gradients.restore(found["gradients"])
        except (KeyError, TypeError, ValueError) as error:
            raise ModelFileError(
                f"{saved.path}: expected the history of its training, got one that makes no sense ({error})"
            ) from None
        self.batches = batches
        return True


def read_history(saved: SavedModel) -> History:
    """Return the history that a file keeps; ModelFileError where it keeps none."""
    with fork_rng():
        history = History(build(saved.name), 1)
    if not history.restore(saved) or not history.gradients.rows:
        raise ModelFileError(
            f"{saved.path}: expected the gradient norms of its training, got none, as in files that an "
            f"earlier liftgrad saved; `liftgrad train {saved.name} --save` keeps them"
        )
    return history


def layers_of(model: nn.Module) -> dict[str, nn.Module]:
    """Return the modules with parameters of their own by name, in the order of `state_dict`."""
    return {name: module for name, module in model.named_modules() if list(module.parameters(recurse=False))}


def norm_of_gradients(layer: nn.Module) -> float:
    """Return the Euclidean norm of the gradients of a layer's own parameters together; 0 without any."""
    grads = [p.grad for p in layer.parameters(recurse=False) if p.grad is not None]
    return math.sqrt(sum(_sum_squares(_host(grad)) for grad in grads))


def _host(grad: Tensor) -> NDArray[Any]:
    return np.ravel(grad.detach().cpu().numpy())


def _sum_squares(flat: NDArray[Any]) -> float:
    # not np.dot: the threads of BLAS would get in the way of the kernels'
    with np.errstate(over="ignore", under="ignore"):
        total = float(np.einsum("i,i->", flat, flat))
        if math.isfinite(total) and total > 1e-30:
            return total
        wide = flat.astype(np.float64)  # the squares of very large or very small ones are beyond float32
        return float(np.einsum("i,i->", wide, wide))
