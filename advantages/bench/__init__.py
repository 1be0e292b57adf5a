"""How fast the estimators are: measured beside the lines that a user would write, and beside other packages.

Everything runs in one process on the same inputs, in turns. A result of ours is compared with the formula on fresh
random inputs before it is timed.
"""

from .measure import FLOOR, Entry, Found, Work, machine, measured, peak_mib
from .works import NAMES, Cell, grid, works

__all__ = ["FLOOR", "NAMES", "Cell", "Entry", "Found", "Work", "grid", "machine", "measured", "peak_mib", "works"]
