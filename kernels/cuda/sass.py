"""What a kernel's machine code (SASS) holds, read out of the text that nvdisasm writes of it.

`read(text)` finds the instructions and the innermost loops, where a kernel spends its time; `count` tells
what instructions do. A loop is what flow of control makes one (a branch back to what leads to it), not what
lies between two lines: the compiler puts parts of a loop elsewhere.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Instruction:
    """One instruction: `@!P0 LDG.E.128 R4, desc[UR4][R2.64]`. guard: "@!P0", or "" where it always runs."""

    address: int
    guard: str
    opcode: str
    operands: str

    @property
    def base(self) -> str:
        """The opcode without its modifiers, and without the U of what a whole warp computes once."""
        name = self.opcode.partition(".")[0]
        return name[1:] if name.startswith("U") and name[1:] in _GROUP_OF else name

    @property
    def modifiers(self) -> list[str]:
        """What follows the opcode: ["E", "128"]."""
        return self.opcode.split(".")[1:]

    def __str__(self) -> str:
        return f"{self.address:05x} {self.guard:>5s} {self.opcode} {self.operands}".rstrip()


@dataclass(frozen=True)
class Loop:
    """A loop that holds no other. depth: how many loops it is in, itself among them."""

    depth: int
    instructions: tuple[Instruction, ...]


@dataclass(frozen=True)
class Listing:
    """A kernel's machine code. loops: the innermost, those with most instructions first."""

    instructions: tuple[Instruction, ...]
    loops: tuple[Loop, ...] = field(default=())

    @property
    def float64_instructions(self) -> tuple[Instruction, ...]:
        """All that computes in float64, or converts from or to it."""
        return tuple(i for i in self.instructions if group(i) == "float64")

    def busiest(self, what: str) -> Loop | None:
        """Return the innermost loop with most of a group, such as "FFMA"; None where none has any."""
        found = [(count(loop.instructions)[what], n) for n, loop in enumerate(self.loops)]
        most, n = max(found, key=lambda pair: (pair[0], -pair[1]), default=(0, 0))
        return self.loops[n] if most else None


# --- what instructions do --------------------------------------------------------------------------

_GROUPS = {
    "FFMA": "FFMA FFMA2",
    "float32": "FADD FMUL FMNMX FSEL FSET FCHK FRND MUFU I2F I2FP F2I F2F F2FP FSWZADD",
    "float64": "DADD DMUL DFMA DMNMX DSETP DMMA",
    "tensor core": "HMMA IMMA BMMA QMMA HGMMA IGMMA QGMMA OMMA LDSM LDGSTS",
    "integer": "IMAD IMAD32I IADD3 IADD IABS IMNMX VIMNMX VIADD VIADDMNMX LEA SHF SHL SHR LOP3 LOP FLO POPC "
    "BREV SGXT BMSK IDP ISCADD I2I I2IP",
    "predicate": "ISETP FSETP PLOP3 P2R R2P HSETP2 PSETP PSET VOTE VOTEU",
    "move": "MOV SEL PRMT S2R S2UR CS2R R2UR LDC SHFL HADD2 HFMA2 MOVM REDUX",
    "branch": "BRA BRX JMP JMX CALL RET EXIT BSSY BSYNC BREAK BMOV WARPSYNC YIELD NANOSLEEP LEPC KILL BPT",
    "barrier": "BAR MEMBAR DEPBAR LDGDEPBAR ERRBAR FENCE CCTL B2R ARRIVES SYNCS",
}
_GROUP_OF = {opcode: name for name, opcodes in _GROUPS.items() for opcode in opcodes.split()}
_MEMORY = ("LDG", "STG", "LDS", "STS", "LDL", "STL", "LD", "ST", "ATOM", "ATOMG", "ATOMS", "RED")
_WIDTH = re.compile(r"^[US]?(8|16|64|128)$")


def group(instruction: Instruction) -> str:
    """Return what an instruction does: a group's name; for memory its opcode and bits, "LDG.128"."""
    base, modifiers = instruction.base, instruction.modifiers
    if base in _MEMORY:
        width = next((m[1] for m in map(_WIDTH.match, modifiers) if m), "32")
        return f"{base}.{width}"
    found = _GROUP_OF.get(base, "other")
    if found == "float64" or (found == "float32" and any("F64" in m or m.endswith("64H") for m in modifiers)):
        return "float64"
    if found in ("integer", "predicate"):
        if "MOV" in modifiers:
            return "move"
        if base != "PLOP3" and {"WIDE", "X", "EX", "U64", "S64"} & set(modifiers):
            return f"{found} of 64 bits"
    return found


def count(instructions: Iterable[Instruction]) -> Counter[str]:
    """Return how many instructions there are of each group. All but "NOP" takes a warp a turn to issue."""
    return Counter(group(i) for i in instructions if i.base != "NOP")


def describe(listing: Listing, with_loops: bool = False) -> str:
    """Return lines that say what machine code and its innermost loops hold; with_loops: and list these."""
    lines = [_in_words(f"{len(listing.instructions)} instructions", listing.instructions)]
    for loop in listing.loops:
        first, size = min(i.address for i in loop.instructions), len(loop.instructions)
        lines.append(
            _in_words(f"  loop at {first:x}, depth {loop.depth}, {size} instructions", loop.instructions)
        )
        if with_loops:
            lines += [f"    {instruction}" for instruction in loop.instructions]
    lines += [f"  float64: {instruction}" for instruction in listing.float64_instructions]
    return "\n".join(lines)


def _in_words(title: str, instructions: Sequence[Instruction]) -> str:
    counts = count(instructions)
    total = max(1, sum(counts.values()))
    return f"{title}: " + ", ".join(
        f"{number} {name}" + (f" ({number / total:.0%})" if name == "FFMA" else "")
        for name, number in counts.most_common()
    )


# --- reading ---------------------------------------------------------------------------------------

_INSTRUCTION = re.compile(r"^\s*/\*([0-9a-f]{4,})\*/\s+(?:(@!?\w+)\s+)?([A-Z][\w.]*)\s*([^;]*?)\s*;")
_LABEL = re.compile(r"^([.$\w][^\s:]*):\s*$")
_TARGET = re.compile(r"`\(([^)\s]+)\)")


def read(text: str) -> Listing:
    """Return what the text of `nvdisasm -c` holds; raises ValueError where there is no instruction in it."""
    instructions: list[Instruction] = []
    labels: dict[str, int] = {}
    for line in text.splitlines():
        label, found = _LABEL.match(line), _INSTRUCTION.match(line)
        if label:
            labels[label[1]] = len(instructions)
        elif found:
            address, guard, opcode, operands = found.groups()
            instructions.append(Instruction(int(address, 16), guard or "", opcode, operands))
    if not instructions:
        raise ValueError(
            f"sass.read: expected what nvdisasm -c prints, found no instruction in {text[:80]!r}"
        )
    following, entries = _flow(instructions, labels)
    return Listing(tuple(instructions), _innermost(instructions, following, entries))


def _flow(instructions: Sequence[Instruction], labels: dict[str, int]) -> tuple[list[list[int]], list[int]]:
    """Return which instructions may follow each, and where kernels and the functions they call begin."""
    following: list[list[int]] = []
    entries = [0]
    meets: dict[str, int] = {}  # where threads meet again, by the barrier that BSSY names
    for n, instruction in enumerate(instructions):
        operands, base = instruction.operands, instruction.base
        name = _TARGET.search(operands)
        target = labels.get(name[1]) if name else None
        after = [n + 1] if n + 1 < len(instructions) else []
        if base == "BSSY" and target is not None:
            meets[operands.split(",")[0]] = target
        elif base == "CALL" and target is not None:
            entries.append(target)
        elif base == "BSYNC":
            after = [meets[operands]] if operands in meets else after
        elif base in ("BRA", "JMP"):
            # `BRA P1, label` and `BRA.DIV UR4, label` depend on more than the guard.
            always = not instruction.guard and operands.startswith("`")
            after = [*([] if always else after), *([] if target is None else [target])]
        elif base in ("EXIT", "RET", "BRX", "JMX", "KILL") and not instruction.guard:
            after = []
        following.append(after)
    return following, entries


def _innermost(
    instructions: Sequence[Instruction], following: Sequence[list[int]], entries: Sequence[int]
) -> tuple[Loop, ...]:
    """Return the loops that hold no other: natural loops, of branches back to what dominates them."""
    blocks, after = _blocks(following, entries)
    before: list[list[int]] = [[] for _ in blocks]
    for block, nexts in enumerate(after):
        for n in nexts:
            before[n].append(block)
    starts = {first: block for block, (first, _) in enumerate(blocks)}
    dominators = _dominators(before, [starts[entry] for entry in entries])
    bodies: dict[int, set[int]] = {}  # of the loops, by the block where each begins
    for block, nexts in enumerate(after):
        for head in nexts:
            if dominators[block] >> head & 1:
                bodies.setdefault(head, {head}).update(_leading_to(block, head, before))
    found = []
    for head, body in bodies.items():
        holds_another = any(other != head and other in body for other in bodies)
        held = tuple(instructions[i] for block in sorted(body) for i in range(*blocks[block]))
        if not holds_another and len(held) > 1:  # a branch to itself stands behind the end of every kernel
            found.append(Loop(sum(head in other for other in bodies.values()), held))
    return tuple(sorted(found, key=lambda loop: -len(loop.instructions)))


def _blocks(
    following: Sequence[list[int]], entries: Sequence[int]
) -> tuple[list[tuple[int, int]], list[list[int]]]:
    """Return runs of instructions, (first, stop), entered at their first alone, and what follows each."""
    firsts = set(entries)
    for n, nexts in enumerate(following):
        if nexts != [n + 1]:
            firsts.update(nexts)
            firsts.add(n + 1)
    bounds = sorted(firsts - {len(following)})
    blocks = list(zip(bounds, [*bounds[1:], len(following)], strict=True))
    numbers = {first: block for block, (first, _) in enumerate(blocks)}
    return blocks, [[numbers[n] for n in following[stop - 1]] for _, stop in blocks]


def _dominators(before: Sequence[list[int]], entries: Sequence[int]) -> list[int]:
    """Return for each block, as bits, those that every way to it leads through; none where no way does."""
    everything = (1 << len(before)) - 1
    found = [everything] * len(before)
    for entry in entries:
        found[entry] = 1 << entry
    changed = True
    while changed:
        changed = False
        for block, befores in enumerate(before):
            if block in entries:
                continue
            common = everything
            for other in befores:
                common &= found[other]
            common |= 1 << block
            changed |= common != found[block]
            found[block] = common
    return [0 if bits == everything and len(before) > 1 else bits for bits in found]


def _leading_to(block: int, head: int, before: Sequence[list[int]]) -> set[int]:
    """Return the blocks from which `block` is reached without passing `head`, and itself."""
    found, left = {head}, [block]
    while left:
        other = left.pop()
        if other not in found:
            found.add(other)
            left += before[other]
    return found
