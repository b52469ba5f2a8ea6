#!/usr/bin/python3
"""Does what a page of the documentation says, from top to bottom.

    run_page.py PAGE... --build FOLDER

Every block of a page has to be one of these:

- sh is run, all blocks of a page in one shell, and python in one interpreter, which gets the
  environment that the shell has at its first block;
- text is output, and not run;
- behind "<!-- serves -->" sh is the command of a server, which takes the place of the one before until
  the end of the page; a page begins with one of the test;
- behind "<!-- needs postgresql -->" sh finds one in its environment, and so do the blocks after it;
- behind "<!-- file NAME -->" a block is written to this file;
- behind "<!-- from FILE -->" a block of any language stands in this file, line by line;
- behind "<!-- run by FILE -->" every command of a block of sh stands in this script, perhaps with more
  options, which is for what a test cannot do; WORDS in capitals are the reader's to choose.

Blocks run in a new folder that looks like the clone of the repository after a build. The addresses
that a page names are replaced by those of the server: 127.0.0.1:8500 and, where the metrics and the
status page are, 127.0.0.1:9464. Links to files, and to the headings in them, have to lead somewhere.
"""

import argparse
import os
import pathlib
import shutil
import sys
import tempfile

import page
import postgresql
import sessions

ROOT = pathlib.Path(__file__).resolve().parents[2]
_CALLS, _METRICS, _ANY = "127.0.0.1:8500", "127.0.0.1:9464", "127.0.0.1:0"
# What the sanitizers of a build are told.
_PASSED_ON = ("ASAN_OPTIONS", "LSAN_OPTIONS", "TSAN_OPTIONS", "UBSAN_OPTIONS")


class PageRun:
    """One run of a page in `folder`, with the programs of `build`."""

    def __init__(self, build, folder):
        self._folder = folder
        self._clone = folder / "tconv"
        _lay_out(self._clone, build)
        home = folder / "home"
        home.mkdir()
        self._variables = {
            "PATH": f"{build}/server:{build}/client/cli:/usr/bin:/bin:/usr/sbin:/sbin",
            "HOME": str(home), "LANG": "C.UTF-8", "PWD": str(self._clone),
            "TCONV_LISTEN": _ANY, "TCONV_METRICS_LISTEN": _ANY,
            "TCONV_STORE": f"sqlite:{folder}/tconv.db", "TCONV_LOG_LEVEL": "warn",
            # What the scripts would build is there.
            "TCONV_PREBUILT": "1",
            **{name: os.environ[name] for name in _PASSED_ON if name in os.environ}}
        self._server = self._shell = self._python = self._postgresql = None
        self._addresses = {}

    def run(self, block):
        if block.mark == "file":
            (self._clone / block.name).write_text(block.text)
        elif block.mark == "serves":
            self._serve(["bash", "-c", f"exec {block.text.strip()}"])
        elif block.language == "sh":
            if block.mark == "needs postgresql":
                self._start_postgresql()
            self._shell.run(self._file_of(block))
        else:
            self._python_session().run(self._file_of(block))

    def serve(self):
        self._serve(["tconv-server"])

    def close(self):
        for part in (self._python, self._shell, self._server, self._postgresql):
            if part is not None:
                part.close()

    def _serve(self, command):
        if self._server is not None:
            self._server.close()
        self._server = sessions.Server([part.replace(_CALLS, _ANY).replace(_METRICS, _ANY)
                                        for part in command], self._variables, self._clone)
        told = self._server.addresses
        self._addresses = {_CALLS: told["listening"], _METRICS: told["metrics"]}
        if self._shell is None:
            self._shell = sessions.Session.shell(self._variables, self._clone)
        self._in_shell(f"export TCONV_SERVER={self._addresses[_CALLS]}\n")

    def _start_postgresql(self):
        self._postgresql = postgresql.PostgreSql()
        self._variables.update(self._postgresql.variables)
        self._in_shell("".join(f"export {name}={value}\n"
                               for name, value in self._postgresql.variables.items()))

    def _in_shell(self, text):
        script = self._folder / "script"
        script.write_text(text)
        self._shell.run(script)

    def _python_session(self):
        if self._python is None:
            told = self._folder / "environment"
            self._in_shell(f"env --null >'{told}'\n")
            variables = dict(item.split("=", 1) for item in told.read_text().split("\0") if item)
            self._python = sessions.Session.python(variables, variables["PWD"])
        return self._python

    def _file_of(self, block):
        text = block.text
        for address, real in self._addresses.items():
            text = text.replace(address, real)
        path = self._folder / f"line {block.line}"
        path.write_text(text)
        return path


def _lay_out(clone, build):
    (clone / "build").mkdir(parents=True)
    (clone / "build" / "release").symlink_to(build)
    for entry in ROOT.iterdir():
        if entry.name.startswith("build") or entry.name == ".git":
            continue
        if entry.name == "tests" or entry.is_file():
            (clone / entry.name).symlink_to(entry)
        else:
            # What a page builds there stays there.
            shutil.copytree(entry, clone / entry.name, symlinks=True)


def run_page(markdown, build):
    """PageError for a page that breaks the rules, SessionError for one whose blocks fail."""
    blocks = page.read_blocks(markdown)
    for block in blocks:
        page.check(block, ROOT)
    to_run = [block for block in blocks if page.is_run(block) or block.mark == "file"]
    if not any(page.is_run(block) for block in to_run):
        return len(blocks), 0
    with tempfile.TemporaryDirectory(prefix="tconv-docs-") as folder:
        running = PageRun(pathlib.Path(build).resolve(), pathlib.Path(folder))
        try:
            running.serve()
            for block in to_run:
                print(f"-- line {block.line}\n{block.text}", flush=True)
                try:
                    running.run(block)
                except sessions.SessionError as error:
                    raise sessions.SessionError(f"line {block.line}: {error}") from None
        finally:
            running.close()
    return len(blocks), len(to_run)


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("pages", nargs="+", type=pathlib.Path)
    arguments.add_argument("--build", required=True)
    arguments = arguments.parse_args()
    for path in arguments.pages:
        try:
            page.check_links(path)
            blocks, run = run_page(path.read_text(), arguments.build)
        except (page.PageError, sessions.SessionError) as error:
            sys.exit(f"{path}: {error}")
        print(f"{path}: {blocks} blocks, {run} of them run")


if __name__ == "__main__":
    main()
