"""Pairwise estimators never hold all pairs."""

import subprocess
import sys

import pytest

CODE = """
import resource, sys
import numpy as np
library = sys.argv[1]
if library == "torch":
    import torch
    array = torch.from_numpy
elif library == "jax":
    import jax.numpy as jnp
    array = jnp.asarray
else:
    array = lambda x: x
from advantages import lampo

rng = np.random.default_rng(0)
small = {"rewards": rng.random(8).astype("float32"), "logprobs": rng.random(8).astype("float32")}
lampo(**{name: array(x) for name, x in small.items()}, groups=8)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
size = 4096
rewards, logprobs = rng.random(2 * size).astype("float32"), rng.normal(size=2 * size).astype("float32")
ragged = np.arange(2 * size) % 2  # two interleaved groups of 4,096
result = lampo(array(rewards), array(ragged), array(logprobs))
assert abs(float(result.sum())) > 0
blocks = lampo(array(rewards), logprobs=array(logprobs), groups=size)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
"""


@pytest.mark.parametrize("library", ["numpy", "torch", "jax"])
def test_a_group_of_4096_runs_in_a_small_part_of_a_gigabyte(library):
    pytest.importorskip(library)
    found = subprocess.run([sys.executable, "-c", CODE, library], capture_output=True, text=True, timeout=300)
    assert found.returncode == 0, found.stderr
    assert float(found.stdout) < 200  # MiB; all pairs of one group would be 128 MiB for each array of doubles
