"""What is measured on a GPU: `WORKS`, and `Bench`, what the process of an engine answers.

The rows are the same work for every engine, and each knows its answer: `reference` computes it with NumPy in
float64, and what an engine returns is compared with that before anything is timed.
"""

from .bench import Bench
from .case import COPY, SECONDS, Goal, GpuWork, shown
from .engines import ENGINES
from .sizes import IMAGES
from .table import MEMORY, SUITES, WORKS
