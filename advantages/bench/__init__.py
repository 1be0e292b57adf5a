"""How fast the estimators are: measured beside the lines that a user would write, and beside other packages.

Everything runs in one process on the same inputs, in turns. Each result is compared with its formula on fresh random
inputs before it is timed.
"""

from .measure import FLOOR, Entry, Found, Work, machine, measured, peak_mib
from .peers import missing
from .works import NAMES, Cell, grid, works

__all__ = [
    "FLOOR",
    "NAMES",
    "Cell",
    "Entry",
    "Found",
    "Work",
    "grid",
    "machine",
    "measured",
    "missing",
    "peak_mib",
    "works",
]
