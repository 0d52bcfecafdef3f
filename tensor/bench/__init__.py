"""`liftgrad bench`: this engine beside the peers that are installed.

`works` is the table of what is measured, `measure` how, `report` what is shown of it; `worker` is the process
of one engine.
"""

from tensor.bench.measure import SUITES, Result, Run, Timing, WorkFailed
from tensor.bench.report import as_dict, describe_run, table, write_json

__all__ = [
    "SUITES",
    "Result",
    "Run",
    "Timing",
    "WorkFailed",
    "as_dict",
    "describe_run",
    "table",
    "write_json",
]
