#!/usr/bin/python3
"""Builds the Python package, installs it where nothing else is, and runs its tests there.

    python_package.py REPOSITORY

The tests call the server at TCONV_TARGET. Types are checked, too, if mypy is there.
"""

import os
import pathlib
import shutil
import subprocess
import sys
import tarfile
import tempfile

import modules

NEEDED = ("google.protobuf", "grpc", "numpy", "pip", "setuptools", "venv", "wheel", "xxhash")


def run(*command, **options):
    print("--", *command, flush=True)
    subprocess.run([str(word) for word in command], check=True, **options)


def wheel_of(source, folder):
    """The wheel of a source tree, built as the README of the package says."""
    run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-build-isolation", "--no-deps",
        "--wheel-dir", folder, source)
    wheel, = folder.glob("*.whl")
    return wheel


def contents_of(wheel, folder):
    """The files of a package, without what tells about the wheel."""
    shutil.unpack_archive(wheel, folder, "zip")
    return {path.relative_to(folder): path.read_bytes()
            for path in sorted((folder / "tconv").rglob("*")) if path.is_file()}


def check_source_distribution(package, wheel, scratch):
    """Away from the repository the same package comes out."""
    run(sys.executable, "setup.py", "--quiet", "sdist", "--dist-dir", scratch, cwd=package)
    archive, = scratch.glob("*.tar.gz")
    with tarfile.open(archive) as packed:
        packed.extractall(scratch / "unpacked")
    source, = (scratch / "unpacked").iterdir()
    again = wheel_of(source, scratch / "again")
    assert again.name == wheel.name, again
    assert contents_of(again, scratch / "a") == contents_of(wheel, scratch / "b")


def check_types(package, python):
    if not modules.has("mypy"):
        print("types not checked: no mypy")
        return
    run(sys.executable, "-m", "mypy", "--python-executable", python, "--config-file",
        package / "pyproject.toml", "--cache-dir", os.devnull, "--package", "tconv")
    run(sys.executable, "-m", "mypy", "--python-executable", python, "--strict", "--cache-dir",
        os.devnull, package / "tests" / "typed_caller.py")


def main():
    modules.require(*NEEDED)
    package = pathlib.Path(sys.argv[1], "client", "python").resolve()
    with tempfile.TemporaryDirectory(prefix="tconv-python-") as folder:
        scratch = pathlib.Path(folder)
        wheel = wheel_of(package, scratch / "wheel")
        check_source_distribution(package, wheel, scratch)
        run(sys.executable, "-m", "venv", "--system-site-packages", scratch / "venv")
        python = scratch / "venv" / "bin" / "python"
        run(python, "-m", "pip", "install", "--quiet", "--no-index", wheel)
        check_types(package, python)
        run(python, "-m", "unittest", "discover", "--start-directory", package / "tests",
            cwd=scratch,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "GRPC_VERBOSITY": "none"})


if __name__ == "__main__":
    main()
