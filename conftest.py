"""Doctests of modules whose library is not installed are left out."""

from importlib.util import find_spec

collect_ignore = [
    file
    for file, library in {
        "advantages/adapters/trl.py": "trl",
        "advantages/adapters/tunix.py": "tunix",
        "advantages/backends/kernels/triton_groups.py": "triton",
        "advantages/backends/kernels/triton_pairs.py": "triton",
        "advantages/backends/kernels/triton_tokens.py": "triton",
        "advantages/rewards/mathematics.py": "math_verify",
        "advantages/rewards/rouge.py": "rapidfuzz",
    }.items()
    if find_spec(library) is None
]
