"""Runs many random histories with a seed that is printed first.

python -m reference_impl.tests.soak [--histories 5000] [--seed N]
"""

from __future__ import annotations

import argparse
import secrets
import sys
import time

from hypothesis import seed

from reference_impl.tests.test_histories import Histories, run


def main() -> None:
    """The command; ends with a traceback and the smallest bad history when there is one."""
    parser = argparse.ArgumentParser(prog="python -m reference_impl.tests.soak", description=__doc__)
    parser.add_argument("--histories", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=secrets.randbits(32))
    options = parser.parse_args()
    again = f"python -m reference_impl.tests.soak --histories {options.histories} --seed {options.seed}"
    sys.stdout.write(f"{options.histories} histories with seed {options.seed}; the same again: {again}\n")
    sys.stdout.flush()
    began = time.monotonic()
    seed(options.seed)(Histories)
    run(options.histories, database=None)
    sys.stdout.write(f"all ended well, in {time.monotonic() - began:.0f} s\n")


if __name__ == "__main__":
    main()
