"""`accelerate launch -m advantages.training ...` is `advantages train ...` in several processes."""

import sys

from ..cli import main

raise SystemExit(main(["train", *sys.argv[1:]]))
