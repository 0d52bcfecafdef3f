"""docs/pytorch.md: what of PyTorch is here, written from the surface table and from PyTorch's names.

python tests/tensor/surface/page.py             write the page
python tests/tensor/surface/page.py --names     first record PyTorch's public names in names.json
"""

import importlib
import importlib.util
import json
import re
import sys
from pathlib import Path
from types import ModuleType

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
PAGE = ROOT / "docs" / "pytorch.md"
NAMES = HERE / "names.json"

MODULES = [
    "torch",
    "torch.Tensor",
    "torch.nn",
    "torch.nn.functional",
    "torch.nn.init",
    "torch.nn.utils",
    "torch.nn.utils.rnn",
    "torch.optim",
    "torch.optim.lr_scheduler",
    "torch.utils.data",
    "torch.autograd",
    "torch.autograd.functional",
    "torch.linalg",
    "torch.special",
    "torch.distributions",
]

# Left out on purpose: why, and which names. The first that fits a name has it.
ON_PURPOSE = [
    (
        "Complex numbers",
        r"complex\w*|c(float|double)|chalf|is_complex|real|imag|view_as_(complex|real)|polar|(is_)?conj\w*|"
        r"resolve_(conj|neg)|is_neg|angle|adjoint|H|mH|isreal|cfloat|cdouble|stft|istft|hspmm",
        "element types are bool, integers and floats",
    ),
    (
        "Sparse and nested tensors",
        r"\w*(sparse|csr|csc|bsr|bsc|coo|coalesce\w*|nested|jagged)\w*|values|indices|crow_indices|col_indices|"
        r"saddmm|sspaddmm|smm|to_dense|layout|strided|EmbeddingBag_sparse|SparseAdam|dense_dim",
        "tensors are dense",
    ),
    (
        "Quantised numbers",
        r"\w*quant\w*|q_\w+|q(int|uint)\w+|quint\w+|qscheme|fbgemm\w*|int_repr|\w*affine\w*_scheme|"
        r"per_(channel|tensor)\w*|dequantize|choose_qparams\w*|bits\w+|u?int[1-7]|float8\w*|float4\w*|"
        r"uint(16|32|64)|fused_moving\w+",
        "numbers have the precision they are computed in",
    ),
    (
        "What PyTorch's documented functions call",
        r"(cudnn|miopen|mkldnn|native|xnnpack)_\w+|\w*(mkldnn|xnnpack|vulkan)\w*|batch_norm_\w+|\w+_backward|"
        r"\w+_(out|copy|unpack|pack)|embedding_renorm_|(gru|lstm|rnn_(tanh|relu))(_cell)?|constant_pad_nd|"
        r"grid_sampler\w*|norm_except_dim|\w+_with_indices|affine_grid_generator|convolution|"
        r"functional_\w+|sym_\w+|slice_inverse|rms_norm_\w+|(get|set)_device_\w+|set_vital|read_vitals|vitals_enabled|fork|wait|"
        r"is_vulkan_available|is_distributed|is_inference|native_channel_shuffle|feature_dropout_?|"
        r"unsafe_\w+|assert_int_or_pair|boolean_dispatch|handle_torch_function|BroadcastingList\d|"
        r"\w+_notes|GRID_SAMPLE\w+|\w*scaled_mm|\w*grouped_mm|argument_validation|runtime_validation\w*|"
        r"\w*determinis(m|tic)|enforce_grad_layout_policy|NestedIOFunction|variable|factory_kwargs|Container|"
        r"swap_in_optimizer_params_and_state|\w*IterDataPipe|MapDataPipe|DataChunk|hash_tensor|AVG|SUM|"
        r"AliasDb|USE_\w+|PRIVATE_OPS|StorageBase|TracingState|JITException|GraphExecutorState|FatalError|"
        r"CompleteArgumentSpec|ExcludeDispatchKeyGuard|get_file_path|classproperty|is_storage|storage_type|"
        r"segment_reduce|const_data_ptr|grad_dtype|output_nr|reinforce|volatile|index|map2?_|apply_|"
        r"as_subclass|dim_order|row_indices|ccol_indices|to_padded_tensor|set_|eig|symeig|solve|lstsq|"
        r"matrix_rank|lu|lu_solve|spmm|hsmm|resize(_as)?|legacy_contiguous_format|bit",
        "not for programs to call, or removed from PyTorch long ago",
    ),
    (
        "Compiling, tracing, exporting, symbolic numbers",
        r"jit\w*|Script\w*|fx|export\w*|onnx\w*|compile\w*|Sym(Int|Float|Bool)|Tag|FunctionSchema|Graph|"
        r"Node|Block|Code|Compilation\w+|FileCheck|Future|Gradient|Use|Value|\w*Type|library|classes|ops|func|"
        r"vmap|cond|while_loop|scan|associative_scan|functionalize|hop|prepare_multiprocessing_environment|"
        r"import_ir_module\w*|parse_\w+|merge_type_from_type_comment|typename_\w+|unify_type_list|"
        r"Argument\w*|CallStack|Capsule|Const\w+|Dispatch\w+|Disable\w+|ErrorReport|Exec\w+|Inference\w*|"
        r"\w+Module\w*|Liter\w+|Operator\w*|Py\w+Reader|PyTorch\w+|Serialization\w+|Static\w+|Thread\w*|"
        r"Throughput\w+|Await|Aggregation\w*|Allow\w+|Any\w*|BenchmarkConfig|BufferDict|Excluded\w+|"
        r"IO\w*|LockingLogger|LoggerBase|NoopLogger|MobileOptimizerType|OutOfMemoryError|AcceleratorError|"
        r"Deep\w+|Deserialization\w*|layout_\w+|obj_\w+|init_num_threads|set_anomaly_enabled|"
        r"is_anomaly_\w+|autocast_\w+|clear_autocast_cache|(get|set|is)_autocast\w*|cpp|thread_safe\w+|"
        r"default_generator|dsmm|eval|finfo_\w+|Set|Stream|Event|\w*Storage|Callable|Union|Optional|"
        r"TYPE_CHECKING|TypeVar|ParamSpec|Final|cast|overload|builtins|inspect|glob|importlib|platform|"
        r"textwrap|traceback|threading|torch|math|os|sys|ctypes|warnings|partial|windows|types|TypingAny|"
        r"T_\w*|Any|has_\w+|typing\w*|literals|DictType|profiler_\w+|name|autograd_\w+|utils_\w+",
        "programs run as they are",
    ),
    (
        "Names of dims",
        r"align_\w+|refine_names|rename_?|names|has_names",
        "dims go by number",
    ),
    (
        "Other devices and processes",
        r"cuda|ipu|xpu|mps|mtia|hpu|is_(cpu|cuda|ipu|xpu|mps|mtia|hpu|meta|maia|xla|ort|vulkan)|"
        r"pin_memory|is_pinned|record_stream|share_memory_|is_shared|\w*distributed\w*|DataParallel|"
        r"Distributed\w*|SyncBatchNorm|parallel\w*|to_mkldnn|module_load|nccl\w*|worker\w+",
        "tensors live on the CPU, in one process",
    ),
]


def _load_harness() -> ModuleType:
    name = "liftgrad_tests_surface_harness"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, HERE / "harness.py")
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


def record_names() -> None:
    """Write PyTorch's public names, by module; needs PyTorch."""
    found = {}
    for name in MODULES:
        owner = _find(name)
        public = getattr(owner, "__all__", None) if name not in ("torch", "torch.Tensor") else None
        names = [n for n in public or dir(owner) if not n.startswith("_")]
        kept = [n for n in names if hasattr(owner, n) and not isinstance(getattr(owner, n), ModuleType)]
        # what a module merely imports is not its own
        typing = {"annotations", "Tensor"} if name != "torch" else {"annotations"}
        foreign = {n for n in kept if getattr(getattr(owner, n), "__module__", "") in ("typing", "types")}
        found[name] = sorted(set(kept) - typing - foreign)
    NAMES.write_text(json.dumps(found, indent=0) + "\n", encoding="utf-8")


def _find(dotted: str):
    module = dotted.removesuffix(".Tensor")
    try:
        owner = importlib.import_module(module)
    except ModuleNotFoundError:
        return None
    return owner.Tensor if dotted.endswith(".Tensor") else owner


def _reason(name: str) -> str | None:
    for title, pattern, _why in ON_PURPOSE:
        if re.fullmatch(pattern, name):
            return title
    return None


def page() -> str:
    """Return the text of docs/pytorch.md."""
    harness = _load_harness()
    names = json.loads(NAMES.read_text(encoding="utf-8"))
    lines = [_HEAD]
    lines += _rows_section(harness)
    lines += _differences_section(harness)
    lines += _names_section(names)
    return "\n".join(lines) + "\n"


_HEAD = """# Programs written for PyTorch

`import tensor as torch`, and a program written for PyTorch runs: the same names, arguments and defaults, the
same dtypes and shapes, the same kinds of errors, the same text when it prints, and after the same
`manual_seed` the same random numbers.

```python
import tensor as torch  # import torch
import tensor.nn as nn  # import torch.nn as nn
import tensor.nn.functional as F  # import torch.nn.functional as F
from tensor.utils.data import DataLoader  # from torch.utils.data import DataLoader
```

`torch.__version__` begins with the version of PyTorch that all of this was compared with and ends, after a
`+`, with liftgrad and its own. A name that is not here raises AttributeError, and says what is nearest.

This page is made by `python tests/tensor/surface/page.py`, and a test fails when it is not up to date."""


def _title(harness: ModuleType, family: str) -> str:
    first = (harness.HERE / f"{family}.txt").read_text(encoding="utf-8").splitlines()[0]
    return first.lstrip("# ").rstrip(".").split(": rows that")[0] if first.startswith("# ") else family


def _rows_section(harness: ModuleType) -> list[str]:
    lines = [
        "",
        "## What is compared",
        "",
        "Each row is a line of a program that both engines run. Its result must agree in type, dtype, shape,",
        "values, printed text, warnings and gradients; where PyTorch raises an error, so must this engine.",
        "",
        "| family | rows | as in PyTorch | sections |",
        "|---|--:|--:|---|",
    ]
    total = equal = 0
    for family in harness.families():
        rows = harness.rows_of(family)
        same = sum(row.differs is None for row in rows)
        sections = list(dict.fromkeys(row.section for row in rows if row.section))
        total, equal = total + len(rows), equal + same
        lines.append(f"| {_title(harness, family)} | {len(rows)} | {same} | {'; '.join(sections)} |")
    lines.append(f"| **all** | **{total}** | **{equal}** | |")
    return lines


def _differences_section(harness: ModuleType) -> list[str]:
    lines = ["", "## What differs", "", "Known differences; a test fails when one of them is gone.", ""]
    for family in harness.families():
        by_reason: dict[str, list[str]] = {}
        for row in harness.rows_of(family):
            if row.differs is not None:
                by_reason.setdefault(row.differs, []).append(" ".join(row.program.split()))
        if by_reason:
            lines += [f"**{_title(harness, family)}**", ""]
            for reason, programs in by_reason.items():
                shown = ", ".join(_code(p) for p in programs[:3])
                more = f" and {len(programs) - 3} more rows" if len(programs) > 3 else ""
                lines.append(f"- {reason}: {shown}{more}")
            lines.append("")
    return lines[:-1]


def _code(program: str) -> str:
    text = program if len(program) <= 100 else program[:97] + "..."
    return f"``{text}``" if "`" in text else f"`{text}`"


def _names_section(names: dict[str, list[str]]) -> list[str]:
    sys.path.insert(0, str(ROOT))
    summary = [
        "",
        "## What is here, by module",
        "",
        "| module | here | not here | left out on purpose |",
        "|---|--:|--:|--:|",
    ]
    absent_lines = ["", "## What is not here", ""]
    left_out: dict[str, set[str]] = {}
    for module, public in names.items():
        owner = _find(module.replace("torch", "tensor", 1))
        gone = [name for name in public if not hasattr(owner, name)]
        purposely = [name for name in gone if _reason(name)]
        for name in purposely:
            left_out.setdefault(str(_reason(name)), set()).add(name)
        absent = [name for name in gone if not _reason(name)]
        summary.append(f"| `{module}` | {len(public) - len(gone)} | {len(absent)} | {len(purposely)} |")
        if absent:
            absent_lines += [f"**`{module}`**: {', '.join(f'`{n}`' for n in absent)}", ""]
    absent_lines += ["## What is left out on purpose", ""]
    for title, _pattern, why in ON_PURPOSE:
        found = sorted(left_out.get(title, ()))
        if found:
            shown = ", ".join(f"`{n}`" for n in found[:8])
            more = f" and {len(found) - 8} more" if len(found) > 8 else ""
            absent_lines.append(f"- **{title}**: {why}. {shown}{more}")
    absent_lines.append(
        "- **Whole modules**: `torch.fft`, `torch.sparse`, `torch.jit`, `torch.fx`, `torch.export`, "
        "`torch.onnx`, `torch.distributed`, `torch.multiprocessing`, `torch.ao`, `torch.quantization`, "
        "`torch.profiler`, `torch.hub`, `torch.utils.tensorboard`, `torchvision`."
    )
    return summary + absent_lines


def main() -> None:
    """Write the page, with --names after recording PyTorch's names."""
    if "--names" in sys.argv[1:]:
        record_names()
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
