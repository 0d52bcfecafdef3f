"""What machine code holds: read from listings, and from those of the kernels where speed hangs on it."""

from collections import Counter
from importlib.util import find_spec

import pytest

if find_spec("numba_cuda") is None:
    pytest.skip("numba-cuda is not installed", allow_module_level=True)

from kernels.cuda import offline, sass
from kernels.cuda.compile import KERNELS, SIMULATED, Kernel

PTXAS, NVDISASM = offline.find_ptxas(), offline.find_nvdisasm()
needs_compiler = pytest.mark.skipif(
    PTXAS is None or NVDISASM is None or find_spec("nvidia.cu13") is None or SIMULATED,
    reason="the CUDA compiler is not installed: pip install 'liftgrad[cuda-check]'",
)
CAPABILITY = (9, 0)

LISTING = """
        .section        .text.kernel,"ax",@progbits
kernel:
.text.kernel:
        /*0000*/                   LDC R1, c[0x0][0x28] ;
        /*0010*/                   BSSY B0, `(.L_x_3) ;
.L_x_1:
        /*0020*/                   LDG.E.128.CONSTANT R4, desc[UR4][R2.64] ;
        /*0030*/              @!P0 LDS.U.64 R8, [R9+UR5] ;
.L_x_2:
        /*0040*/                   FFMA R4, R4, R5.reuse, R6 ;
        /*0050*/                   FFMA.FTZ R5, R4, R5, R6 ;
        /*0060*/              @!P2 BRA `(.L_x_5) ;
.L_x_4:
        /*0070*/                   IMAD.MOV.U32 R4, RZ, RZ, R5 ;
        /*0080*/                   UIADD3.X UR4, UR5, UR6, URZ, UP0, !UPT ;
        /*0090*/               @P1 BRA `(.L_x_2) ;
        /*00a0*/                   STG.E desc[UR4][R2.64], R4 ;
        /*00b0*/                   BRA P3, `(.L_x_1) ;
        /*00c0*/                   BSYNC B0 ;
.L_x_5:
        /*00d0*/                   MUFU.RCP64H R7, R6 ;
        /*00e0*/                   F2F.F32.F64 R7, R6 ;
        /*00f0*/                   DFMA R6, R8, R10, R12 ;
        /*0100*/                   BRA `(.L_x_4) ;
.L_x_3:
        /*0110*/              @!PT EXIT ;
        /*0120*/                   EXIT ;
.L_x_6:
        /*0130*/                   BRA `(.L_x_6);
        /*0140*/                   NOP;
"""


def test_a_loop_is_found_with_what_lies_behind_its_end() -> None:
    listing = sass.read(LISTING)
    (loop,) = listing.loops  # not the outer one, nor the branch to itself
    assert loop.depth == 2
    assert [i.address for i in loop.instructions] == [*range(0x40, 0xA0, 16), *range(0xD0, 0x110, 16)]
    assert sass.count(loop.instructions) == Counter(
        {"FFMA": 2, "branch": 3, "move": 1, "integer of 64 bits": 1, "float64": 3}
    )


def test_instructions_are_told_apart() -> None:
    listing = sass.read(LISTING)
    counts = sass.count(listing.instructions)
    assert (counts["LDG.128"], counts["LDS.64"], counts["STG.32"]) == (1, 1, 1)
    assert [i.opcode for i in listing.float64_instructions] == ["MUFU.RCP64H", "F2F.F32.F64", "DFMA"]
    assert listing.instructions[3].guard == "@!P0"
    assert listing.busiest("LDG.128") is None, "it is in no innermost loop"
    said = sass.describe(listing, with_loops=True)
    assert "loop at 40, depth 2, 10 instructions" in said
    assert "FFMA.FTZ R5, R4, R5, R6" in said
    assert "float64: 000f0       DFMA R6, R8, R10, R12" in said


def test_what_is_no_listing_is_refused() -> None:
    with pytest.raises(ValueError, match=r"expected what nvdisasm -c prints, found .*'no cubin'"):
        sass.read("no cubin")


def disassembled(kernel: Kernel, kind: int = 0) -> sass.Listing:
    return offline.disassemble(kernel, kernel.kinds[kind], CAPABILITY, PTXAS, NVDISASM)


@needs_compiler
def test_what_must_not_be_is_found() -> None:
    def widens(size, x, out):
        for i in range(size):
            out[i] = x[i] * (size / 7)  # the quotient of integers is a float64

    assert disassembled(Kernel(widens, "int64, T*, out T*", ["float32"])).float64_instructions


@needs_compiler
def test_a_listing_is_refused_with_the_reason(tmp_path) -> None:
    path = tmp_path / "kernel.cubin"
    path.write_text("not machine code")
    with pytest.raises(RuntimeError, match=r"nvdisasm: .*kernel\.cubin"):
        offline._run([NVDISASM, "-c", str(path)])


@needs_compiler
@pytest.mark.parametrize("name", ["elementwise.add", "elementwise.exp", "products.square_product"])
def test_float32_is_not_computed_in_float64(name: str) -> None:
    offline.all_kernels()
    assert not disassembled(KERNELS[name]).float64_instructions


@needs_compiler
def test_the_loop_of_the_large_product_multiplies() -> None:
    listing = disassembled(KERNELS["products.large_product"])
    loop = listing.busiest("FFMA")
    assert loop is not None
    counts = sass.count(loop.instructions)
    assert counts["FFMA"] == 8 * 8 * 8
    assert counts["LDS.128"] == 8 * 4
    assert counts["LDG.128"] == 2
    assert not {"LDL.32", "STL.32", "LDL.64", "STL.64", "float64"} & set(counts)
    # The rest is one way of several to bring and to put down elements, of which a launch takes one each.
    assert counts["FFMA"] / len(loop.instructions) > 0.77


@needs_compiler
def test_windows_are_read_by_few_instructions() -> None:
    loop = disassembled(KERNELS["products.flat_product_of_windows"]).busiest("FFMA")
    assert loop is not None
    counts = sass.count(loop.instructions)
    assert counts["FFMA"] == 4 * 4 * 16
    assert counts["LDG.128"] == 2, "filters, or the gradient, along the sum or across it"
    assert counts["FFMA"] / len(loop.instructions) > 0.52
    assert not {"LDL.32", "STL.32", "float64"} & set(counts)
    # Of an element: whether there is one, the sum of two offsets, its address.
    reads = [i for i in loop.instructions if i.opcode == "IMAD.WIDE.U32" and i.guard]
    assert len(reads) == 8


@needs_compiler
@pytest.mark.parametrize(
    ("name", "reads", "writes"),
    [
        ("memory.copy", 1, 1), ("memory.fill", 0, 1), ("elementwise.add", 2, 1), ("memory.where", 2, 1),
        ("elementwise.gelu_dx", 2, 1), ("compare.lt", 2, 0), ("optim.adam", 5, 4),
    ],
)  # fmt: skip
def test_what_goes_through_memory_once_moves_16_bytes_at_a_time(name: str, reads: int, writes: int) -> None:
    offline.all_kernels()
    listing = disassembled(KERNELS[name])
    counts = sass.count(listing.instructions)
    assert counts["LDG.128"] >= reads
    assert counts["STG.128"] >= writes
    assert not {"LDL.32", "STL.32", "LDL.64", "STL.64", "float64"} & set(counts)
    loops = [sass.count(loop.instructions) for loop in listing.loops]
    assert any(loop["LDG.128"] == reads and loop["STG.128"] == writes for loop in loops)
    if name == "compare.lt":  # four bools beside four numbers
        assert any(loop["LDG.128"] == 2 and loop["STG.32"] == 1 for loop in loops)
    if name != "optim.adam":  # whose roots have a slow way
        assert not any(i.base == "CALL" for i in listing.instructions)


@needs_compiler
def test_the_loop_of_the_product_in_tf32_multiplies_on_tensor_cores() -> None:
    listing = disassembled(KERNELS["products.tensor_product"])
    loop = listing.busiest("tensor core")
    assert loop is not None
    names = Counter(i.opcode for i in loop.instructions)
    assert names["HMMA.1688.F32.TF32"] == 16 * 2
    counts = sass.count(loop.instructions)
    assert counts["LDS.32"] == (4 * 4 + 4 * 2) * 2
    assert not {"LDL.32", "STL.32", "float64", "FFMA"} & set(counts)
