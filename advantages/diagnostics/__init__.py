"""Is the run dead, and why: one look at the rewards and advantages of a batch."""

from .diagnosis import Diagnosis, Standing
from .measure import diagnose
from .merge import merged

__all__ = ["Diagnosis", "Standing", "diagnose", "merged"]
