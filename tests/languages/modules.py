"""What the tests find in this Python."""

import importlib.util
import sys

SKIPPED = 77  # for ctest


def has(module):
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # of the package that it would be in
        return False


def require(*modules):
    """Ends the test as skipped without one of them."""
    missing = [module for module in modules if not has(module)]
    if missing:
        print("skipped: this Python has no", *missing)
        sys.exit(SKIPPED)
