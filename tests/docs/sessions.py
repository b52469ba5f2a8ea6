"""The interpreters in which the blocks of a page run."""

import os
import pathlib
import select
import signal
import subprocess
import time

_BLOCK_SECONDS = 600
_START_SECONDS = 60

# Both read the name of a file, run it, and say so, until there are no more files.
_SHELL = """
while IFS= read -r block <&"$BLOCKS"; do
  source "$block" </dev/null
  echo done >&"$DONE"
done
"""
_PYTHON = """
import os
_done = os.fdopen(int(os.environ["DONE"]), "w", 1)
for _block in os.fdopen(int(os.environ["BLOCKS"])):
    _block = _block.rstrip("\\n")
    exec(compile(open(_block).read(), _block, "exec"))
    print("done", file=_done)
"""


class SessionError(Exception):
    """A block failed, or the server did not start."""


class Session:
    """An interpreter that runs one block after the other and ends with the first that fails."""

    def __init__(self, command, variables, folder):
        blocks, self._blocks = os.pipe()
        self._done, done = os.pipe()
        self._process = subprocess.Popen(
            command, cwd=folder, stdin=subprocess.DEVNULL, start_new_session=True,
            env={**variables, "BLOCKS": str(blocks), "DONE": str(done)}, pass_fds=(blocks, done))
        os.close(blocks)
        os.close(done)

    @classmethod
    def shell(cls, variables, folder):
        return cls(["bash", "--noprofile", "--norc", "-euo", "pipefail", "-c", _SHELL], variables,
                   folder)

    @classmethod
    def python(cls, variables, folder):
        """With the python3 that the PATH in `variables` leads to."""
        return cls(["env", "python3", "-c", _PYTHON], variables, folder)

    def run(self, path):
        """Runs a file. SessionError when it fails or does not come to an end."""
        os.write(self._blocks, f"{path}\n".encode())
        if not select.select([self._done], [], [], _BLOCK_SECONDS)[0]:
            raise SessionError(f"not done after {_BLOCK_SECONDS} s")
        if not os.read(self._done, 64):
            raise SessionError("failed")

    def close(self):
        os.close(self._blocks)
        os.close(self._done)
        _end(self._process, signal.SIGKILL)


class Server:
    """A command that starts tconv-server, which prints where it listens."""

    def __init__(self, command, variables, folder):
        self._output = pathlib.Path(folder, ".server.out")
        with open(self._output, "wb") as output:
            self._process = subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL,
                                             stdout=output, env=variables, start_new_session=True)
        # What it says on standard output: {"listening": ADDRESS, "metrics": ADDRESS}, at once.
        self.addresses = {}
        give_up = time.monotonic() + _START_SECONDS
        while "listening" not in self.addresses:
            if self._process.poll() is not None or time.monotonic() > give_up:
                self.close()
                raise SessionError("the server did not start")
            time.sleep(0.02)
            self.addresses = dict(line.split(" on ", 1)
                                  for line in self._output.read_text().splitlines()
                                  if " on " in line)

    def close(self):
        _end(self._process, signal.SIGTERM)


def _end(process, with_signal):
    """Ends a process and what it has started."""
    for number in (with_signal, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            pass
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            continue
