"""What a name that is not here raises: AttributeError that says what is nearest."""

import difflib
import sys
from typing import Any, NoReturn

# For what has no name near it here, what does its work.
INSTEAD = {
    "fft": "np.fft on t.numpy()",
    "distributed": "one process; set_num_threads() for more cores",
    "multiprocessing": "the standard library's multiprocessing, or DataLoader(num_workers=)",
    "jit": "plain Python: modules run as they are",
    "script": "plain Python: modules run as they are",
    "trace": "the sum of a diagonal: t.diagonal().sum()",
    "fx": "model.named_modules() to look at a network",
    "export": "save(model.state_dict(), path)",
    "onnx": "save(model.state_dict(), path)",
    "hub": "load(path) of a file that is there",
    "profiler": "the standard library's cProfile",
    "sparse": "dense tensors",
    "quantization": "float32",
    "ao": "float32",
    "quantize_per_tensor": "round(t / scale)",
    "complex": "two float tensors, for the real and the imaginary part",
    "complex64": "two float tensors, for the real and the imaginary part",
    "complex128": "two float tensors, for the real and the imaginary part",
    "cfloat": "two float tensors, for the real and the imaginary part",
    "cdouble": "two float tensors, for the real and the imaginary part",
    "eig": "linalg.eigh for symmetric matrices; numpy.linalg.eig: other eigenvalues are complex",
    "eigvals": "linalg.eigvalsh for symmetric matrices; numpy.linalg.eigvals: others are complex",
    "nested": "pad_sequence and a mask",
    "DataParallel": "the module itself",
    "parallel": "the module itself; set_num_threads() for more cores",
    "forward_ad": "torch.func.jvp",
    "cpp_extension": "autograd.Function",
    "overrides": "a subclass with methods",
    "library": "autograd.Function",
    "tensorboard": "the tensorboardX package",
}


def watch(*modules: str) -> None:
    """Let modules that are loaded raise AttributeError that names the nearest for what they do not have."""
    for module in modules:
        names = vars(sys.modules[module])

        def absent(name: str, module: str = module, names: dict = names) -> NoReturn:
            raise error_for(module, name, names)

        names["__getattr__"] = absent


class AbsentError(AttributeError):
    """What a missing name raises; the nearest ones are looked for (7 ms) only if its words are read.

    `hasattr(t, "name")` reads none.
    """

    def __init__(self, owner: str, name: str, there: Any):
        super().__init__(name=name)
        self._owner, self._asked, self._there = owner, name, there

    def __repr__(self) -> str:
        return f"AttributeError({str(self)!r})"

    def __reduce__(self):
        return AttributeError, (str(self),)

    def __str__(self) -> str:
        shown = self._owner.replace("tensor", "torch", 1)
        name = self._asked
        if name.startswith("__"):  # asked by Python, not by a program
            return f"{shown!r} has no attribute {name!r}"
        words = f"{shown}.{name} is not in this version"
        there = dir(self._there) if isinstance(self._there, type) else self._there
        names = [n for n in there if not n.startswith("_")]
        near = [n for n in names if n.lower() == name.lower()]
        near = near or difflib.get_close_matches(name, names, 2, 0.75)
        if name in INSTEAD:
            return f"{words}; instead: {INSTEAD[name]}"
        if near:
            return f"{words}; did you mean {' or '.join(f'{shown}.{n}' for n in near)}?"
        return f"{words}; docs/pytorch.md lists what is"


# What a traceback, or a program, prints of it is the name of the error that it is.
AbsentError.__module__, AbsentError.__name__, AbsentError.__qualname__ = "builtins", *["AttributeError"] * 2


def error_for(owner: str, name: str, there: Any) -> AttributeError:
    """Return the error for a name that `owner`, a dotted name, does not have.

    there: the names it has, or the class that has them.
    """
    return AbsentError(owner, name, there)
