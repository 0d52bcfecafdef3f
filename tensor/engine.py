"""The Tensor: an array, its gradient, and how it came to be."""

from __future__ import annotations

import builtins
import warnings
import weakref

import numpy as np

from kernels import cpu
from micro import display
from tensor import autograd, devices, dtypes, elementwise, layouts, missing, printing
from tensor.autograd import Hook, HookTable, Operation, Version
from tensor.devices import device as Device
from tensor.memory import overlap_partly, repeats_elements
from tensor.methods import Methods
from tensor.operands import as_tensor_like, beside, check_range, normalize_dim, to_array
from tensor.sizes import Size

_new = object.__new__
_new_tuple = tuple.__new__  # without asking whether the sizes are integers


class Tensor(Methods):
    """An n-dimensional array that records what is computed from it.

    Tensor(data) copies nested lists or an array as float32; `tensor.tensor(data)` keeps the type of what it
    is given and takes dtype= and requires_grad=.

    `grad` is None until a backward pass has reached the tensor; after it, a tensor of the same shape.
    Calling backward() again adds to the gradients of leaves, as in PyTorch.
    """

    __module__ = "torch"  # as PyTorch prints the class

    _grad_fn: Operation | None = None
    _requires_grad = False
    _hooks: HookTable | None = None
    _after_accumulate: HookTable | None = None  # hooks that run when `grad` has been added to
    _base: Tensor | None = None  # of a view: the tensor whose memory it shows
    _steps: tuple[autograd.ViewStep, ...] = ()  # of a view: how it was made of the base
    _seen = 0  # of a view: the version of the memory when `_grad_fn` was set
    _untracked = False  # a view made under no_grad: writing to it could not be recorded in its base
    _made_by: Operation | None = None  # of a result that autograd has not recorded: a node for looks
    _retained = False
    _inference = False  # made in inference mode
    _grad: Tensor | None = None  # what `grad` shows, unchecked: written by the backward pass
    _label: str | None = None

    def __init__(self, *data):
        if len(data) == 1 and isinstance(data[0], Size):
            data = tuple(data[0])
        if len(data) > 1 or (len(data) == 1 and isinstance(data[0], int) and not isinstance(data[0], bool)):
            self._array = np.zeros(data, np.float32)  # Tensor(2, 3): sizes; never uninitialised memory
        else:
            self._array = to_array(data[0] if data else [], dtypes.float32, "Tensor")
        self._version = Version()

    @staticmethod
    def _wrap(array: np.ndarray) -> Tensor:
        """Return a plain tensor around an array, without copying."""
        t = _new(Tensor)
        t._array = array
        t._version = Version()
        return t

    # --- what it is --------------------------------------------------------------------------------

    @property
    def _kernels(self):
        """The one door to compiled code: the kernel table of this tensor's device."""
        return cpu if self._array.__class__ is np.ndarray else devices.kernels_of(self._array)

    @property
    def device(self) -> Device:
        """Where the elements are."""
        return devices.device_of(self._array)

    @property
    def shape(self) -> Size:
        """The sizes of the dims."""
        return _new_tuple(Size, self._array.shape)

    @property
    def dtype(self) -> dtypes.dtype:
        """The element type."""
        return dtypes.of_array(self._array.dtype)

    @property
    def ndim(self) -> int:
        """The number of dims."""
        return self._array.ndim

    @property
    def itemsize(self) -> int:
        """Bytes of one element."""
        return self._array.itemsize

    @property
    def nbytes(self) -> int:
        """Bytes of all elements."""
        return self._array.nbytes

    def size(self, dim: int | None = None):
        """Return the shape, or the size of one dim."""
        if dim is None:
            return self.shape
        try:
            return self._array.shape[dim]
        except IndexError:
            raise IndexError(
                f"size: Dimension out of range (expected to be in range of [{-self.ndim}, {self.ndim - 1}], "
                f"but got {dim})"
            ) from None

    def dim(self) -> int:
        """Return the number of dims."""
        return self._array.ndim

    ndimension = dim

    def numel(self) -> int:
        """Return the number of elements."""
        return self._array.size

    nelement = numel

    def element_size(self) -> int:
        """Return the bytes of one element."""
        return self._array.itemsize

    def stride(self, dim: int | None = None):
        """Return the steps, in elements, from one position to the next along each dim (or one)."""
        steps = tuple(s // self._array.itemsize for s in self._array.strides)
        if dim is None:
            return steps
        return steps[normalize_dim(dim, self.ndim, "stride")] if steps else _no_dims("stride")

    def is_floating_point(self) -> bool:
        """Return whether the element type is a float."""
        return self.dtype.is_floating_point

    def is_complex(self) -> bool:
        """Return False: complex numbers are not supported."""
        return False

    def is_signed(self) -> bool:
        """Return whether the element type holds negative numbers."""
        return self.dtype.is_signed

    def data_ptr(self) -> int:
        """Return the address of the first element."""
        return self._array.ctypes.data

    @property
    def layout(self) -> layouts.layout:
        """How the elements are stored: torch.strided."""
        return layouts.strided

    is_sparse = is_quantized = is_mkldnn = is_meta = False

    @property
    def is_cuda(self) -> bool:
        """Whether the memory is a GPU's."""
        return self.device.type == "cuda"

    def get_device(self) -> int:
        """Return the number of the GPU; -1 on the CPU."""
        return 0 if self.is_cuda else -1

    def record_stream(self, stream) -> None:
        """Keep the memory, when this is dropped, until the work queued on another stream has been done."""
        if not self.is_cuda:
            raise RuntimeError("record_stream: expected a tensor on the GPU, got one on the CPU")
        self._kernels.driver.keep_for(self._array, stream._queue)

    # --- autograd ----------------------------------------------------------------------------------

    @property
    def grad(self) -> Tensor | None:
        """The gradient; settable to a tensor of this one's shape and dtype, or None."""
        if self._grad is None and self._grad_fn is not None and not self._retained:
            if self._grad_fn.notes is not None:
                return self._grad_fn.notes.grad
            warnings.warn(
                "The .grad attribute of a Tensor that is not a leaf Tensor is being accessed. Its .grad "
                "attribute won't be populated during autograd.backward(). If you indeed want the .grad field "
                "to be populated for a non-leaf Tensor, use .retain_grad() on the non-leaf Tensor. If you "
                "access the non-leaf Tensor by mistake, make sure you access the leaf Tensor instead.",
                UserWarning,
                stacklevel=2,
            )
        return self._grad

    @grad.setter
    def grad(self, value: Tensor | None) -> None:
        if value is not None:
            if not isinstance(value, Tensor):
                raise TypeError(
                    f"assigned grad expected to be a Tensor or None but got grad of type "
                    f"{type(value).__name__!r}; wrap it: tensor(...)"
                )
            if value is self:
                raise RuntimeError("can't assign Variable as its own grad; assign a clone()")
            if value._array.dtype != self._array.dtype:
                raise RuntimeError(
                    f"assigned grad has data of a different type: {value.dtype!r}, expected {self.dtype!r}; "
                    f"use .to({self.dtype!r})"
                )
            if value._array.shape != self._array.shape:
                raise RuntimeError(
                    f"assigned grad has data of a different size: {tuple(value.shape)}, expected "
                    f"{tuple(self.shape)}"
                )
            if value.device is not self.device:
                raise RuntimeError(
                    f"assigned grad has data located on a different device: {value.device}, expected "
                    f"{self.device}; use .to({str(self.device)!r})"
                )
        self._grad = value

    @property
    def grad_fn(self) -> Operation | None:
        """The recorded operation this tensor is the result of; None for a leaf."""
        base = self._base
        if base is not None and self._seen != self._version.count:
            self._seen = self._version.count
            if base.grad_fn is not None:  # the memory was written to: this is now a view of that result
                before = self._grad_fn
                self._grad_fn = autograd.record_views_again(base, self._steps)
                self._retain_in(self._grad_fn, before)
                self._requires_grad = True
        return self._grad_fn

    @property
    def requires_grad(self) -> bool:
        """Whether gradients are computed for this tensor. Settable on leaves."""
        if self._base is not None and not self._requires_grad:
            return self.grad_fn is not None
        return self._requires_grad

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        self.requires_grad_(value)

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Say whether gradients are wanted for this leaf; returns it."""
        if not requires_grad and not self.is_leaf:
            raise RuntimeError(
                "you can only change requires_grad flags of leaf variables. If you want to use a computed "
                "variable in a subgraph that doesn't require differentiation use var_no_grad = var.detach()."
            )
        if requires_grad and not self.is_floating_point():
            raise RuntimeError(
                f"only Tensors of floating point dtype can require gradients, got {self.dtype!r}; "
                "use .float()"
            )
        if requires_grad and self.is_inference() and not autograd.is_inference_mode_enabled():
            raise RuntimeError(
                "Setting requires_grad=True on inference tensor outside InferenceMode is not allowed; make a "
                "clone()"
            )
        if self.is_leaf:
            self._requires_grad = bool(requires_grad)
        return self

    def is_inference(self) -> bool:
        """Return whether this tensor was made in inference mode; a view is what it shows."""
        return self._inference if self._base is None else self._base._inference

    @property
    def is_leaf(self) -> bool:
        """Whether no recorded operation made this tensor."""
        return self.grad_fn is None

    @property
    def retains_grad(self) -> bool:
        """Whether `grad` of this computed tensor will be filled."""
        node = self.grad_fn
        return node is not None and (self._retained or node.notes is not None)

    @property
    def parents(self) -> tuple:
        """What this tensor was computed from, for drawing: recorded operations and leaves."""
        node = self.grad_fn or self._made_by
        return () if node is None else node.parents

    @property
    def op(self) -> str:
        """The name of the operation that made it; '' for a leaf."""
        node = self.grad_fn or self._made_by
        return "" if node is None else node.op

    @property
    def label(self) -> str | None:
        """A name for drawings and for steps; settable. The operation that made this tensor takes it on."""
        return self._label

    @label.setter
    def label(self, name: str | None) -> None:
        self._label = name
        node = self.grad_fn or self._made_by
        if node is not None:
            node.label = name

    def record_pass(self, check: bool = False):
        """Return what one forward and one backward pass from here compute, for `micro.step`."""
        from tensor.stepping import record_pass  # which is made of what autograd has, as this is

        return record_pass(self, check)

    @property
    def kind(self) -> str:
        """What it is in a drawing: "operation" if one made it, else "input"; a Parameter is "parameter"."""
        return "operation" if self.grad_fn or self._made_by else "input"

    def backward(self, gradient=None, retain_graph=None, create_graph=False, inputs=None) -> None:
        """Compute the gradient of this tensor in every leaf, and add it to the leaf's `grad`.

        gradient: what flows in, of this tensor's shape; 1.0 if omitted, which only a tensor of one element
        allows. The graph is freed unless retain_graph. inputs: the only leaves to fill, if given.
        """
        autograd.backward(self, gradient, retain_graph, create_graph, inputs=inputs)

    def detach(self) -> Tensor:
        """Return a tensor on the same memory that is not part of the graph."""
        out = Tensor._wrap(self._array.view())  # an array is one tensor's: autograd tells them apart by it
        out._version = self._version
        if self._inference:
            out._inference = True
        return out

    def detach_(self) -> Tensor:
        """Forget how this tensor was computed."""
        if self._base is not None:
            raise RuntimeError("Can't detach views in-place. Use detach() instead.")
        self._grad_fn, self._requires_grad = None, False
        return self

    @property
    def data(self) -> Tensor:
        """The same memory outside the graph; writing to it is not noticed by autograd."""
        return Tensor._wrap(self._array.view())

    @data.setter
    def data(self, value: Tensor) -> None:
        if not isinstance(value, Tensor):
            raise TypeError(f"Variable data has to be a tensor, but got {type(value).__name__}")
        self._array = value._array.view()

    def retain_grad(self) -> None:
        """Keep the gradient of this computed tensor in `grad` after backward, as leaves do."""
        if not self.requires_grad:
            raise RuntimeError("can't retain_grad on Tensor that has requires_grad=False")
        if not self.is_leaf:
            node = self.grad_fn
            assert node is not None
            node.retained = weakref.ref(self)
            self._retained = True

    def register_hook(self, hook) -> Hook:
        """Call hook(grad) when this tensor's gradient is computed; what it returns replaces the gradient."""
        if not self.requires_grad:
            raise RuntimeError("cannot register a hook on a tensor that doesn't require gradient")
        owner = self if self.is_leaf else self.grad_fn
        name = "_hooks" if self.is_leaf else "hooks"
        if getattr(owner, name) is None:
            setattr(owner, name, HookTable())
        return Hook(getattr(owner, name), hook)

    def _is_view(self) -> bool:
        return self._base is not None

    def register_post_accumulate_grad_hook(self, hook) -> Hook:
        """Call hook(tensor) each time a backward pass has added to this leaf's `grad`."""
        if not self.requires_grad:
            raise RuntimeError("cannot register a hook on a tensor that doesn't require gradient")
        if not self.is_leaf:
            raise RuntimeError("post accumulate grad hooks cannot be registered on non-leaf tensors")
        if self._after_accumulate is None:
            self._after_accumulate = HookTable()
        return Hook(self._after_accumulate, hook)

    def _become_view_of(self, source: Tensor, step: autograd.ViewStep) -> None:
        """Share memory and versions with `source`, of which `step` made this."""
        self._version = version = source._version
        self._seen = version.count
        if source._base is None:
            self._base, self._steps = source, (step,)
        else:
            self._base, self._steps = source._base, (*source._steps, step)
            if source._untracked:
                self._untracked = True

    def _check_memory(self, operation: str, others: tuple[Tensor, ...]) -> None:
        """Raise if this tensor cannot be overwritten by an operation on itself and others."""
        array = self._array
        if self._inference and not autograd.is_inference_mode_enabled():
            raise RuntimeError(
                f"{operation}: Inplace update to inference tensor outside InferenceMode is not allowed. Make "
                "a clone() to get a normal tensor before the in-place update."
            )
        if not array.flags.writeable:
            raise RuntimeError(f"{operation}: the tensor's memory is read-only; change a clone()")
        if 0 in array.strides and repeats_elements(array):
            raise RuntimeError(
                f"{operation}: unsupported operation: more than one element of the written-to tensor refers "
                "to a single memory location. Please clone() the tensor before performing the operation."
            )
        for other in others:
            if other._version is self._version and overlap_partly(array, other._array):
                raise RuntimeError(
                    f"{operation}: unsupported operation: some elements of the input tensor and the "
                    "written-to tensor refer to a single memory location. Please clone() the tensor before "
                    "performing the operation."
                )

    def _check_in_place(self, operation: str) -> None:
        """Raise PyTorch's errors for in-place changes that autograd cannot follow."""
        if self._untracked:
            raise RuntimeError(
                f"{operation}: A view was created in no_grad mode and is being modified inplace with grad "
                "mode enabled. Make the view outside no_grad, or change it inside."
            )
        base = self._base
        if base is not None and base.is_leaf and base.requires_grad:
            raise RuntimeError(
                f"{operation}: a view of a leaf Variable that requires grad is being used in an in-place "
                "operation. Do it under no_grad(), or on a clone()."
            )
        if self.requires_grad and self.is_leaf:
            raise RuntimeError(
                f"{operation}: a leaf Variable that requires grad is being used in an in-place operation. "
                "Do it under no_grad(), or on a clone()."
            )

    def _change_history(self, node: Operation) -> None:
        """Make `node`, which has overwritten this tensor, its history, and that of the memory it shows."""
        changed = self
        if self._base is not None:  # this view, and all others, will find themselves views of the new history
            changed, node = self._base, autograd.CopySlices(self._base, self._steps, node)
        changed._retain_in(node, changed._grad_fn)
        changed._grad_fn, changed._requires_grad = node, True

    def _retain_in(self, node: Operation, before: Operation | None) -> None:
        """Fill `grad` with what reaches `node`, the new history, no longer with what reaches the old."""
        if self._retained:
            node.retained = weakref.ref(self)
            if before is not None:
                before.retained = None

    # --- conversions -------------------------------------------------------------------------------

    def numpy(self, *, force: builtins.bool = False) -> np.ndarray:
        """Return the memory as an ndarray, without copying; RuntimeError if gradients are recorded.

        force: also then. Within no_grad() nothing is recorded.
        """
        if not force and autograd.is_grad_enabled() and self.requires_grad:
            raise RuntimeError(
                "Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead."
            )
        if not isinstance(self._array, np.ndarray):
            if not force:
                raise TypeError(
                    "can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu() to copy the tensor "
                    "to host memory first."
                )
            return self._kernels.to_host(self._array)
        return self._array

    def item(self):
        """Return the one element as a Python number."""
        if self._array.size != 1:
            raise RuntimeError(
                f"a Tensor with {self._array.size} elements cannot be converted to Scalar; use .tolist()"
            )
        return self._array.item()

    def tolist(self):
        """Return nested lists of Python numbers, or a number for a zero-dim tensor."""
        return self._array.tolist()

    def _only(self):
        if self._array.size != 1:
            raise ValueError(
                f"only one element tensors can be converted to Python scalars, got shape {tuple(self.shape)}"
            )
        return self._array.item()

    def __float__(self) -> float:
        return float(self._only())

    def __int__(self) -> int:
        return int(self._only())

    def __index__(self) -> int:
        if self._array.size != 1 or self.dtype.is_floating_point:
            raise TypeError(
                "only integer tensors of a single element can be converted to an index, got "
                f"{self.dtype!r} of shape {tuple(self.shape)}"
            )
        return int(self._array.item())

    def __bool__(self) -> bool:
        if self._array.size != 1:
            raise RuntimeError(
                "Boolean value of Tensor with "
                f"{'no' if not self._array.size else 'more than one'} value{'s' * bool(self._array.size)} is "
                "ambiguous; use .any() or .all()"
            )
        return bool(self._array.item())

    def __format__(self, spec: str) -> str:
        return object.__format__(self, spec) if self.ndim else format(self.item(), spec)

    def to(
        self, *args, dtype=None, device=None, copy=False, non_blocking=False, memory_format=None
    ) -> Tensor:
        """Return this tensor as another dtype and on another device; itself if nothing changes.

        Takes a dtype, a device, another tensor to follow, or dtype= and device=. non_blocking: do not wait
        for the end of a copy from pinned memory to the GPU; what comes from the GPU is always there.
        """
        for arg in args:
            if isinstance(arg, Tensor):
                dtype, device = arg.dtype, arg.device
            elif isinstance(arg, str | Device) or type(arg) is int:
                device = arg
            elif arg is not None:
                dtype = arg
        array_dtype = self._array.dtype if dtype is None else dtypes.array_dtype(dtype)
        found = self
        if device is not None and devices.table(device) is not self._kernels:
            found, copy = elementwise.Move.apply(self, device=device, wait=not non_blocking), False
        if array_dtype != self._array.dtype:
            found = elementwise.ToCopy.apply(found, dtype=array_dtype)
        elif copy:
            found = self.clone()
        if memory_format is not None and memory_format is not layouts.preserve_format:
            found = found.contiguous(memory_format)
        return found

    def type(self, dtype=None):
        """Convert to `dtype`; without it, return the type's name as in PyTorch ('torch.FloatTensor').

        A name says where, too: 'torch.cuda.FloatTensor' is on the GPU, 'torch.FloatTensor' on the CPU.
        """
        if isinstance(dtype, str):
            return self.to("cuda" if ".cuda." in dtype else "cpu", dtypes.of_type(dtype))
        if dtype is not None:  # FloatTensor and its kind are on a device, torch.float32 is on any
            return self.to(getattr(dtype, "device", self.device), dtypes.of_type(dtype))
        where = "torch.cuda" if self.is_cuda else "torch"
        return f"{where}.{dtypes.LEGACY_NAMES[self.dtype.name]}"

    def type_as(self, other: Tensor) -> Tensor:
        """Convert to the dtype of `other`, on its device."""
        return self.to(other.device, other.dtype)

    def float(self) -> Tensor:
        """Convert to float32."""
        return self.to(dtypes.float32)

    def double(self) -> Tensor:
        """Convert to float64."""
        return self.to(dtypes.float64)

    def long(self) -> Tensor:
        """Convert to int64."""
        return self.to(dtypes.int64)

    def int(self) -> Tensor:
        """Convert to int32."""
        return self.to(dtypes.int32)

    def bool(self) -> Tensor:
        """Convert to bool: whether each element is not zero."""
        return self.to(dtypes.bool)

    def short(self) -> Tensor:
        """Convert to int16."""
        return self.to(dtypes.int16)

    def char(self) -> Tensor:
        """Convert to int8."""
        return self.to(dtypes.int8)

    def half(self) -> Tensor:
        """Raise TypeError: tensors of 16-bit floats are not supported."""
        return self.to(dtypes.float16)

    def bfloat16(self) -> Tensor:
        """Raise TypeError: tensors of 16-bit floats are not supported."""
        return self.to(dtypes.bfloat16)

    def byte(self) -> Tensor:
        """Convert to uint8."""
        return self.to(dtypes.uint8)

    def cpu(self) -> Tensor:
        """Return this tensor in the CPU's memory; itself if it is there."""
        return self.to(devices.CPU)

    def cuda(self, device=None, non_blocking: builtins.bool = False, memory_format=None) -> Tensor:
        """Return this tensor in a GPU's memory; non_blocking and memory_format as in `to`."""
        device = "cuda" if device is None else device
        return self.to(device, non_blocking=non_blocking, memory_format=memory_format)

    def clone(self, *, memory_format=layouts.preserve_format) -> Tensor:
        """Return a copy; gradients flow through it. Its elements lie in memory in the same order.

        memory_format: another order, torch.contiguous_format or torch.channels_last.
        """
        strides = layouts.strides_of(self._array, memory_format, "clone")
        return elementwise.Clone.apply(self, strides=strides)

    def __getattr__(self, name: str):
        raise missing.error_for("tensor.Tensor", name, Tensor)

    # --- writing ---------------------------------------------------------------------------------------

    def copy_(self, source, non_blocking: builtins.bool = False) -> Tensor:
        """Overwrite with `source`, which broadcasts and is converted; gradients flow to it."""
        if not isinstance(source, Tensor):
            source = as_tensor_like(self, source, self.dtype, "copy_")
        elif source._kernels is not self._kernels:
            source = source.to(self.device, non_blocking=non_blocking)
        return elementwise.Copy.apply_in_place(self, source)

    def fill_(self, value) -> Tensor:
        """Overwrite every element with a number, or a zero-dim tensor, to which gradients flow."""
        check_range(value, self._array.dtype)
        if isinstance(value, Tensor):
            if value.ndim:
                raise RuntimeError(
                    "fill_ only supports 0-dimension value tensor but got tensor with "
                    f"{value.ndim} dimensions; use copy_()"
                )
            return elementwise.FillByTensor.apply_in_place(self, value)
        return elementwise.Fill.apply_in_place(self, self._number(value, "fill_"))

    def _number(self, value, operation: str) -> Tensor:
        """Return a number as a zero-dim tensor of this one's type."""
        found = beside(self, value)
        return as_tensor_like(self, value, self.dtype, operation) if found is None else found

    def zero_(self) -> Tensor:
        """Overwrite every element with 0."""
        return elementwise.Zero.apply_in_place(self, self._number(0, "zero_"))

    # --- showing -----------------------------------------------------------------------------------------

    def __repr__(self) -> str:
        grad_fn = self.grad_fn
        return printing.format_tensor(
            devices.to_host(self._array),
            device=None if self.device is devices.CPU else self.device,
            dtype_suffix=self.dtype not in (dtypes.get_default_dtype(), dtypes.int64, dtypes.bool),
            requires_grad=self.requires_grad and grad_fn is None,
            grad_fn_name=None if grad_fn is None else f"<{grad_fn.name()}>",
        )

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict[str, str]:
        """Show the graph as a picture in a notebook, where there is one."""
        return display.show(self, include, exclude)


class Parameter(Tensor):
    """A tensor that a Module owns and an optimiser changes; it requires gradients unless told otherwise."""

    __module__ = "torch.nn.parameter"

    def __init__(self, data: Tensor | None = None, requires_grad: bool = True):
        if data is None:
            from tensor.creation import empty  # which needs this file

            data = empty(0)  # not Tensor(): that is on the CPU, whatever the default device
        self._array, self._version = data._array.view(), data._version
        if data._inference:
            self._inference = True
        self.requires_grad_(requires_grad)

    @property
    def kind(self) -> str:
        """What it is in a drawing: "parameter"."""
        return "parameter" if self.is_leaf else "operation"

    def __repr__(self) -> str:
        return "Parameter containing:\n" + super().__repr__()


_plain_wrap = Tensor._wrap
_blocks_of_inference = 0


def _wrap_watchfully(array: np.ndarray) -> Tensor:
    t = _plain_wrap(array)
    if autograd.is_inference_mode_enabled():
        t._inference = True
    return t


def _watch_inference(change: int) -> None:
    """Let tensors be marked as long as a thread is in inference mode; at other times nobody asks."""
    global _blocks_of_inference
    _blocks_of_inference += change
    wrap = _wrap_watchfully if _blocks_of_inference else _plain_wrap
    Tensor._wrap = staticmethod(wrap)  # type: ignore[method-assign]


autograd.grad_mode.watch_inference = _watch_inference


def _no_dims(operation: str):
    raise IndexError(f"{operation}: Dimension specified but tensor has no dimensions")


__all__ = ["Parameter", "Size", "Tensor"]
