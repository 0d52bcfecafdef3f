"""Models as files: safetensors, with what is needed to use the model and to go on training it.

The tensors of the model keep the names of its `state_dict`. What only training needs begins with `resume.`:
the state of the optimiser and of the random generator. All else is one JSON text in the file's metadata,
under `liftgrad`. One text, since the library writes several in an order that changes from run to run: the
same training gives the same bytes.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from tensor import nn, optim
from tensor.creation import from_numpy
from tensor.engine import Tensor
from tensor.files import atomic_write
from tensor.models import MODELS, build
from tensor.random import Generator, default_generator, fork_rng
from tensor.training import LARGEST_COUNT, Plan, Position

KEY = "liftgrad"
RESUME = "resume."
VERSION = 1


class ModelFileError(ValueError):
    """A file that is not the model asked for: one sentence with the file, the expected and the found."""


@dataclass(frozen=True)
class SavedModel:
    """What a model file holds: what it says about itself, and its tensors by name."""

    path: str
    info: dict[str, Any]
    tensors: dict[str, NDArray]

    @property
    def name(self) -> str:
        """The model's name, one of `models.MODELS`."""
        return self.info["model"]

    @property
    def data(self) -> str:
        """The name of the data it has learned from."""
        return str(self.info.get("data", ""))

    def weights(self) -> dict[str, NDArray]:
        """Return the model's own tensors."""
        return {name: array for name, array in self.tensors.items() if not name.startswith(RESUME)}

    def training(self) -> tuple[Plan, Position]:
        """Return how it was trained and where that stands; ModelFileError where the file does not say."""
        try:
            found = self.info["training"]
            plan = Plan(**{field.name: field.type(found["plan"][field.name]) for field in fields(Plan)})  # type: ignore[operator]
            saved = dict(found["position"])
            position = Position(
                epoch=int(saved["epoch"]), batch=int(saved["batch"]), loss_sum=float(saved["loss_sum"]),
                correct=int(saved["correct"]), seen=int(saved["seen"]),
                order=self.tensors.get(RESUME + "order"), generator=self.tensors[RESUME + "generator"],
            )  # fmt: skip
            for state in (position.order, position.generator):
                if state is not None:
                    Generator().set_state(state)
            inside = 0 <= position.epoch <= LARGEST_COUNT and 0 <= position.batch <= LARGEST_COUNT
            if not inside or (position.batch and position.order is None):
                raise ValueError(f"position {saved}")
        except (KeyError, TypeError, ValueError, RuntimeError, OverflowError) as error:
            raise ModelFileError(
                f"{self.path}: expected to find where its training stands, which --resume needs; "
                f"{_reason(error)}"
            ) from None
        return plan, position

    @property
    def learned_from(self) -> Any:
        """The fingerprint (`Split.fingerprint`) of the images it was trained on, where the file has it."""
        training = self.info.get("training")
        return training.get("learned_from") if isinstance(training, dict) else None

    @property
    def history(self) -> Any:
        """The course of its training, as `History.as_dict` returned it, where the file has it."""
        training = self.info.get("training")
        return training.get("history") if isinstance(training, dict) else None

    def restore(self, model: nn.Module, optimizer: optim.Optimizer | None = None) -> None:
        """Give a new model of this name its weights, and its optimiser, of the same kind, its state."""
        model.load_state_dict({name: from_numpy(array) for name, array in self.weights().items()})
        if optimizer is not None:
            self._restore_optimizer(optimizer)

    def _restore_optimizer(self, optimizer: optim.Optimizer) -> None:
        state: dict[int, dict[str, Any]] = {}
        try:
            for index, numbers in self.info["training"]["optimizer"].items():
                state[int(index)] = dict(numbers)
            for name, array in self.tensors.items():
                if name.startswith(RESUME + "optimizer."):
                    index, key = name.removeprefix(RESUME + "optimizer.").split(".", 1)
                    state.setdefault(int(index), {})[key] = from_numpy(array)
            parameters = [p for group in optimizer.param_groups for p in group["params"]]
            for index, entries in state.items():
                for key, value in entries.items():
                    if isinstance(value, Tensor) and value.ndim and value.shape != parameters[index].shape:
                        raise ValueError(f"{key} of parameter {index} has shape {tuple(value.shape)}")
            position = self.info["training"]["position"]
            if position["epoch"] or position["batch"]:
                momentum = isinstance(optimizer, optim.SGD)
                kept = {"momentum_buffer"} if momentum else {"step", "exp_avg", "exp_avg_sq"}
                for index in range(len(parameters)):
                    if missing := sorted(kept - state.get(index, {}).keys()):
                        raise ValueError(f"no {missing[0]} of parameter {index}")
            optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            raise ModelFileError(
                f"{self.path}: expected the state of its optimizer, which --resume needs; {_reason(error)}"
            ) from None


def _reason(error: Exception) -> str:
    return f"missing: {error}" if isinstance(error, KeyError) else f"got {error}"


def save_model(
    path: str | os.PathLike[str],
    model: nn.Module,
    name: str,
    data: str = "",
    plan: Plan | None = None,
    position: Position | None = None,
    optimizer: optim.Optimizer | None = None,
    learned_from: dict[str, int] | None = None,
    history: dict[str, Any] | None = None,
) -> None:
    """Write a model to `path`, atomically: a kill at any moment leaves the old file or the new one.

    name: the model's, one of `models.MODELS`; data: the name of what it has learned from. plan, position and
    optimizer (all or none): what `--resume` needs; the state of the default generator goes with it.
    learned_from: the fingerprint of the images, by which other data is noticed then. history: the course of
    the training, of `History.as_dict`.

    Raises OSError where the file cannot be written.
    """
    tensors = {key: _array(value) for key, value in model.state_dict().items()}
    info: dict[str, Any] = {"version": VERSION, "model": name, **_facts_of(name), "data": data}
    if plan is not None and position is not None and optimizer is not None:
        numbers: dict[str, dict[str, Any]] = {}
        for index, entries in optimizer.state_dict()["state"].items():
            numbers[str(index)] = {}
            for key, value in entries.items():
                if isinstance(value, Tensor | np.ndarray):
                    tensors[f"{RESUME}optimizer.{index}.{key}"] = _array(value)
                else:
                    numbers[str(index)][key] = value
        where = asdict(position)
        order = where.pop("order")
        if order is not None:
            tensors[RESUME + "order"] = order
        del where["generator"]
        tensors[RESUME + "generator"] = default_generator.state_array()
        info["training"] = {"plan": asdict(plan), "position": where, "optimizer": numbers}
        if learned_from is not None:
            info["training"]["learned_from"] = learned_from
        if history is not None:
            info["training"]["history"] = history
    content = save(tensors, {KEY: json.dumps(info)})
    with atomic_write(path) as file:
        file.write(content)


def _array(value: Any) -> NDArray:
    array = value.detach().cpu().numpy() if isinstance(value, Tensor) else np.asarray(value)
    return array.copy(order="C")  # not ascontiguousarray, which makes a zero-dim array one-dimensional


def read_model(path: str | os.PathLike[str]) -> SavedModel:
    """Read a file that `save_model` wrote.

    Raises ModelFileError where there is none, where it is something else, or where its tensors are not those
    of the model it names. Sizes are checked against the file and the model before anything is allocated.
    """
    where = os.fspath(path)
    if not Path(where).exists():
        raise ModelFileError(f"{where}: no such file; `liftgrad train mlp --save {where}` would make one")
    if not Path(where).is_file():
        raise ModelFileError(f"{where}: expected a model file, got a folder or a device")
    try:
        with safe_open(where, framework="numpy") as file:
            info = _parse(where, file.metadata())
            name = info["model"]
            _check_tensors(where, name, {key: file.get_slice(key) for key in file.keys()})  # noqa: SIM118
            saved = SavedModel(where, info, {key: file.get_tensor(key) for key in file.keys()})  # noqa: SIM118
    except SafetensorError as error:
        raise ModelFileError(f"{where}: expected a safetensors file, got something else ({error})") from None
    except OSError as error:
        raise ModelFileError(f"{where}: cannot be read ({error.strerror or error})") from None
    for key, array in saved.weights().items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise ModelFileError(f"{where}: its weights are not finite numbers ({key}); train it anew")
    return saved


def _parse(path: str, metadata: Mapping[str, str] | None) -> dict[str, Any]:
    text = (metadata or {}).get(KEY)
    if text is None:
        raise ModelFileError(
            f"{path}: expected a model saved by liftgrad, got a safetensors file from elsewhere "
            f"(its metadata has no {KEY!r})"
        )
    try:
        info = json.loads(text)
        version, name = info["version"], info["model"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ModelFileError(f"{path}: expected readable metadata, {_reason(error)}") from None
    if version != VERSION:
        raise ModelFileError(f"{path}: expected format {VERSION}, got {version}; another liftgrad saved it")
    if not isinstance(name, str) or name not in MODELS:
        raise ModelFileError(f"{path}: expected one of the models {', '.join(MODELS)}, got {name!r}")
    for key, value in _facts_of(name).items():
        if info.get(key) != value:
            raise ModelFileError(f"{path}: expected {key} {value}, got {info.get(key)}")
    return info


def _facts_of(name: str) -> dict[str, Any]:
    """Return what a model of that name was trained for, without which its weights mean nothing."""
    inputs = MODELS[name].inputs
    return {"classes": len(inputs.labels), "mean": inputs.mean, "std": inputs.std}


def _check_tensors(path: str, name: str, slices: dict[str, Any]) -> None:
    with fork_rng():
        expected = build(name).state_dict()
    found = {key: value for key, value in slices.items() if not key.startswith(RESUME)}
    for key, value in expected.items():
        if key not in found:
            raise ModelFileError(f"{path}: expected a tensor {key}, as {name} has it, got none")
        shape, dtype = tuple(found[key].get_shape()), found[key].get_dtype()
        if shape != tuple(value.shape):
            raise ModelFileError(
                f"{path}: expected {key} of shape {tuple(value.shape)}, as {name} has it, got {shape}"
            )
        if dtype != _DTYPES[value.detach().numpy().dtype.name]:
            raise ModelFileError(f"{path}: expected {key} of {value.dtype}, got {dtype}")
    if unexpected := sorted(found.keys() - expected.keys()):
        raise ModelFileError(f"{path}: expected the tensors of {name}, got {unexpected[0]} as well")


_DTYPES = {"float32": "F32", "float64": "F64", "int64": "I64", "int32": "I32", "uint8": "U8", "bool": "BOOL"}


def load_model(path: str | os.PathLike[str]) -> tuple[nn.Module, SavedModel]:
    """Return the model in a file, ready to be used, and what the file says; raises as `read_model` does."""
    saved = read_model(path)
    with fork_rng():
        model = build(saved.name)
    saved.restore(model)
    return model, saved
