"""Neighbouring elements at once: loads and stores of up to 16 bytes in one instruction of the GPU.

`load` and `store` take a pointer of a kernel, or a shared array, and the number of the first element. That
element must lie at a multiple of the bytes that are moved; of more than 16 bytes, of 16. Nothing checks this
on a GPU, where it is an error of the whole context; the simulator raises ValueError. The host chooses:
`is_aligned` says whether an array may be read so, and a kernel needs another way for the rest.
"""

from collections.abc import Sequence

import numpy as np
from llvmlite import ir

from kernels.cuda.compile import SIMULATED, intrinsic, types

BYTES = 16
"""What one instruction moves at most."""


def width(dtype: np.dtype) -> int:
    """Return how many elements of a type 16 bytes are."""
    return BYTES // dtype.itemsize


def is_aligned(address: int, strides: Sequence[int], nbytes: int = BYTES) -> bool:
    """Return whether an address, and steps of these many bytes, are multiples of `nbytes`.

    The stride along which the neighbours lie is not to be among them.
    """
    return not (address % nbytes or any(stride % nbytes for stride in strides))


# --- on the GPU ------------------------------------------------------------------------------------


_GLOBAL = 1  # the address space
_LANE = ir.IntType(32)


def _pieces(builder, context, memory, pointer, index, index_type, count):
    """Yield, for each instruction, where it reads or writes, the bytes, and the vector of elements these are.

    Small elements are moved as words: one instruction moves four numbers at most.
    """
    if isinstance(memory, types.Array):
        pointer = context.make_array(memory)(context, builder, pointer).data
    elif pointer.type.addrspace == 0:
        # A kernel's pointers are into global memory: said here for those out of tables of addresses.
        pointer = builder.addrspacecast(pointer, pointer.type.pointee.as_pointer(_GLOBAL))
    if not index_type.signed and index_type.bitwidth < 64:
        index = builder.zext(index, ir.IntType(64))
    pointer = builder.gep(pointer, [index])
    element = pointer.type.pointee
    size = context.get_abi_sizeof(element)
    each = min(count, BYTES // size)
    nbytes = each * size
    moved = ir.VectorType(element, each)
    if size < _LANE.width // 8:
        words = max(1, nbytes * 8 // _LANE.width)
        moved = ir.VectorType(ir.IntType(8 * nbytes // words), words)
    for first in range(0, count, each):
        place = builder.gep(pointer, [ir.Constant(_LANE, first)]) if first else pointer
        yield (
            builder.bitcast(place, moved.as_pointer(pointer.type.addrspace)), nbytes,
            ir.VectorType(element, each),
        )  # fmt: skip


def _element_of(memory) -> types.Type | None:
    return getattr(memory, "dtype", None)  # of types.CPointer and types.Array


def _make_load():
    if SIMULATED:
        return _load_in_simulator

    @intrinsic
    def load(typingctx, memory, i, count):
        """Return a tuple of neighbouring elements from number `i` on. count: a constant, a power of two."""
        element = _element_of(memory)
        if element is None or not isinstance(i, types.Integer) or not isinstance(count, types.IntegerLiteral):
            return None
        number, size = types.unliteral(i), count.literal_value

        def generate(context, builder, signature, arguments):
            pointer, index, _ = arguments
            found = []
            for place, nbytes, vector in _pieces(builder, context, memory, pointer, index, number, size):
                read = builder.bitcast(builder.load(place, align=nbytes), vector)
                found += [builder.extract_element(read, ir.Constant(_LANE, n)) for n in range(vector.count)]
            return context.make_tuple(builder, signature.return_type, found)

        return types.UniTuple(element, size)(memory, number, count), generate

    return load


def _make_store():
    if SIMULATED:
        return _store_in_simulator

    @intrinsic
    def store(typingctx, memory, i, values):
        """Write a tuple, of a power of two, to neighbouring elements from number `i` on."""
        element = _element_of(memory)
        if element is None or not isinstance(i, types.Integer) or not isinstance(values, types.BaseTuple):
            return None

        def generate(context, builder, signature, arguments):
            pointer, index, given = arguments
            left = [
                context.cast(builder, builder.extract_value(given, n), kind, element)
                for n, kind in enumerate(values.types)
            ]
            for place, nbytes, vector in _pieces(builder, context, memory, pointer, index, i, len(left)):
                written = ir.Constant(vector, ir.Undefined)
                for n in range(vector.count):
                    written = builder.insert_element(written, left.pop(0), ir.Constant(_LANE, n))
                builder.store(builder.bitcast(written, place.type.pointee), place, align=nbytes)
            return context.get_dummy_value()

        return types.void(memory, i, values), generate

    return store


# --- in the simulator ------------------------------------------------------------------------------


def _checked(memory, i: int, count: int) -> np.ndarray:
    """Return the elements `i` to `i + count` of a pointer or a shared array, to be read or written."""
    array = memory if isinstance(memory, np.ndarray) else memory.whole
    i, nbytes = int(i), min(count * array.itemsize, BYTES)
    if count & (count - 1):
        raise ValueError(f"a vector of {count} elements: expected 1, 2, 4, 8 or 16")
    if not 0 <= i <= array.size - count:
        raise IndexError(f"a kernel reads or writes elements {i} to {i + count - 1} of {array.size}")
    if (array.ctypes.data + i * array.itemsize) % nbytes:
        raise ValueError(
            f"a vector of {count} elements at number {i} does not lie at a multiple of {nbytes} bytes"
        )
    return array[i : i + count]


def _load_in_simulator(memory, i, count):
    return tuple(_checked(memory, i, count))


def _store_in_simulator(memory, i, values):
    _checked(memory, i, len(values))
    for n, value in enumerate(values):
        memory[i + n] = value


load, store = _make_load(), _make_store()
