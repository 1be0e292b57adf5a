"""Colours and dashes of every picture; neighbours differ in lightness, too, so that they can be told apart."""

__all__ = ["COLORS", "DASHES"]

COLORS = ("#4269d0", "#e8743b", "#3ca951", "#a463f2", "#97bbf5", "#9c6b4e", "#ff8ab7", "#9498a0")
DASHES = ("-", "--", ":")
"""Of the curves beyond the colours."""
