"""`torch.cuda`: the GPU, its memory, its streams.

As in PyTorch what a program may call on any machine (`is_available`, `manual_seed_all`, `empty_cache`, ...)
answers without a GPU; what needs one raises AssertionError, which names what is missing. There is one GPU,
"cuda:0": the one that the environment variable CUDA_VISIBLE_DEVICES chooses.
"""

from tensor.cuda import amp
from tensor.cuda.devices import (
    current_device,
    device,
    device_count,
    get_device_capability,
    get_device_name,
    get_device_properties,
    init,
    is_available,
    is_bf16_supported,
    is_initialized,
    mem_get_info,
    set_device,
    synchronize,
)
from tensor.cuda.memory import (
    OutOfMemoryError,
    empty_cache,
    ipc_collect,
    max_memory_allocated,
    max_memory_reserved,
    memory_allocated,
    memory_reserved,
    memory_stats,
    memory_summary,
    reset_peak_memory_stats,
)
from tensor.cuda.seeds import (
    get_rng_state,
    get_rng_state_all,
    initial_seed,
    manual_seed,
    manual_seed_all,
    seed,
    seed_all,
    set_rng_state,
    set_rng_state_all,
)
from tensor.cuda.streams import Event, Stream, current_stream, default_stream, set_stream, stream
