"""`accelerate launch -m advantages.training ...` is `advantages train ...` in several processes."""

import sys

from ..cli import main

if __name__ == "__main__":
    raise SystemExit(main(["train", *sys.argv[1:]]))
