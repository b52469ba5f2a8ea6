#!/usr/bin/python3
"""Installs what the example for Node needs, in a copy of it, and runs it.

    node_example.py REPOSITORY

The example calls the server at TCONV_TARGET. Ends with 77, which ctest takes for skipped, without
Node, or when its packages cannot be had because their registry cannot be reached.
"""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

from modules import SKIPPED

SECONDS = 300


def npm(folder, *arguments):
    """Whether npm has done it."""
    return subprocess.run(
        ["npm", *arguments, "--no-audit", "--no-fund", "--ignore-scripts", "--prefer-offline"],
        cwd=folder, stdin=subprocess.DEVNULL, timeout=SECONDS, check=False,
        env={**os.environ, "npm_config_fetch_retries": "0"}).returncode == 0


def main():
    repository = pathlib.Path(sys.argv[1]).resolve()
    missing = [program for program in ("node", "npm") if shutil.which(program) is None]
    if missing:
        print("skipped: there is no", *missing)
        sys.exit(SKIPPED)
    with tempfile.TemporaryDirectory(prefix="tconv-node-") as folder:
        example = shutil.copytree(repository / "client" / "examples" / "node", folder,
                                  ignore=shutil.ignore_patterns("node_modules"), dirs_exist_ok=True)
        if not npm(example, "ci"):
            if npm(example, "ping"):
                sys.exit("npm ci failed")
            print("skipped: the registry of npm cannot be reached")
            sys.exit(SKIPPED)
        subprocess.run(["node", "forward.js", os.environ["TCONV_TARGET"], repository / "proto"],
                       cwd=example, timeout=SECONDS, check=True)


if __name__ == "__main__":
    main()
