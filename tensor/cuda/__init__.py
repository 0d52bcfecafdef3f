"""`torch.cuda`: the GPU, its memory, its streams.

As in PyTorch what a program may call on any machine (`is_available`, `manual_seed_all`, `empty_cache`, ...)
answers without a GPU; what needs one raises AssertionError, which names what is missing. There is one GPU,
"cuda:0": the one that the environment variable CUDA_VISIBLE_DEVICES chooses.
"""

from tensor.cuda import amp, memory, streams
from tensor.cuda import seeds as random
from tensor.cuda.devices import (
    can_device_access_peer,
    current_device,
    device,
    device_count,
    device_of,
    get_arch_list,
    get_device_capability,
    get_device_name,
    get_device_properties,
    init,
    is_available,
    is_bf16_supported,
    is_initialized,
    is_tf32_supported,
    mem_get_info,
    set_device,
    synchronize,
)
from tensor.cuda.graphed import make_graphed_callables
from tensor.cuda.graphs import (
    CUDAGraph,
    graph,
    graph_pool_handle,
    is_current_stream_capturing,
)
from tensor.cuda.memory import (
    OutOfMemoryError,
    empty_cache,
    get_allocator_backend,
    ipc_collect,
    max_memory_allocated,
    max_memory_cached,
    max_memory_reserved,
    memory_allocated,
    memory_cached,
    memory_reserved,
    memory_stats,
    memory_stats_as_nested_dict,
    memory_summary,
    reset_max_memory_allocated,
    reset_max_memory_cached,
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
from tensor.cuda.streams import (
    Event,
    ExternalStream,
    Stream,
    StreamContext,
    current_stream,
    default_stream,
    get_stream_from_external,
    set_stream,
    stream,
)
from tensor.cuda.typed import (
    BoolTensor,
    ByteTensor,
    CharTensor,
    DoubleTensor,
    FloatTensor,
    IntTensor,
    LongTensor,
    ShortTensor,
)
