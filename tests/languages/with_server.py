#!/usr/bin/python3
"""Runs a command against a tconv-server of its own.

    with_server.py [--needs MODULES] SERVER COMMAND...

The command gets the address of the server, which keeps its layers in memory, in place of the
argument {target} and as TCONV_TARGET. Fails when the command fails, or the server did while it
ran. Ends with 77, which ctest takes for skipped, without the Python MODULES, as "torch,grpc".
"""

import argparse
import os
import subprocess
import sys

import modules

SECONDS_TO_END = 60


def start(server):
    """The process of a server, and where it listens."""
    process = subprocess.Popen([server, "--listen=127.0.0.1:0", "--store=memory:",
                                "--log-level=warning"],
                               stdout=subprocess.PIPE, text=True)
    line = process.stdout.readline()
    if not line.startswith("listening on "):
        process.kill()
        sys.exit(f"{server} did not start: {line}")
    return process, line.removeprefix("listening on ").rstrip()


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--needs", default="")
    arguments.add_argument("server")
    arguments.add_argument("command", nargs=argparse.REMAINDER)
    arguments = arguments.parse_args()
    modules.require(*filter(None, arguments.needs.split(",")))
    server, target = start(arguments.server)
    try:
        code = subprocess.run(
            [target if argument == "{target}" else argument for argument in arguments.command],
            env={**os.environ, "TCONV_TARGET": target}, check=False).returncode
        server.terminate()
        if server.wait(SECONDS_TO_END) != 0:
            sys.exit(f"the server ended with {server.returncode}")
        sys.exit(code)
    finally:
        server.kill()


if __name__ == "__main__":
    main()
