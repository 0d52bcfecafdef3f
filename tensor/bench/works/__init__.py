"""What is measured on the CPU: `WORKS`, one row a piece of work, with the same work for each peer.

These files are read by the process of every engine, also by those that must hold no other engine; there the
package has a name of its own, so its files import each other relatively. They import the standard library and
NumPy alone, and an engine only where that engine's own work is made. `torch` names either engine: this one is
called by the very lines that call PyTorch.
"""

from .case import OURS, PEERS, Case, Work, distance
from .starts import STARTS
from .table import WORKS
