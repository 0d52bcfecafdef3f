"""`liftgrad bench --device cuda`: this engine on a GPU beside the peers that have one.

`tensor.bench.works.gpu` is the table of what is measured, `measure` how, `host` what the host does for a
launch, `report` what is shown.
"""

from tensor.bench.gpu.measure import HOST, SUITES, GpuResult, GpuRun
from tensor.bench.gpu.report import as_dict, describe_run, table, write_json

__all__ = ["HOST", "SUITES", "GpuResult", "GpuRun", "as_dict", "describe_run", "table", "write_json"]
