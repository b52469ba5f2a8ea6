"""Makes the messages of the protocol when the package is built.

Needs protoc 3.20 or newer on the path, or else the module grpc_tools.
"""

import email
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import google.protobuf
from setuptools import setup
from setuptools.command.build_py import build_py
from setuptools.command.sdist import sdist

HERE = pathlib.Path(__file__).resolve().parent
REPOSITORY = HERE.parents[1]
# A source distribution brings what it needs of the repository along.
IS_PACKED = (HERE / "PKG-INFO").exists()
PROTOS = HERE / "proto" if IS_PACKED else REPOSITORY / "proto"
OURS = "tconv/v1"
FOREIGN = ("google/rpc/error_details.proto", "google/rpc/status.proto",
           "grpc/health/v1/health.proto")


def version():
    if IS_PACKED:
        return email.message_from_string((HERE / "PKG-INFO").read_text())["Version"]
    project = (REPOSITORY / "CMakeLists.txt").read_text()
    return re.search(r"project\(tconv VERSION ([0-9.]+)", project)[1]


def protoc(*arguments):
    program = shutil.which("protoc")
    command = [program] if program else [sys.executable, "-m", "grpc_tools.protoc"]
    subprocess.run([*command, f"--proto_path={PROTOS}", *arguments], check=True)


class BuildWithMessages(build_py):
    def run(self):
        super().run()
        root = HERE / "src" if self.editable_mode else pathlib.Path(self.build_lib)
        ours = sorted(str(path.relative_to(PROTOS)) for path in PROTOS.glob(f"{OURS}/*.proto"))
        protoc(f"--python_out={root}", f"--pyi_out={root}", *ours)
        protoc(f"--descriptor_set_out={root}/tconv/foreign.binpb", "--include_imports", *FOREIGN)


class PackWithProtos(sdist):
    def make_release_tree(self, base_dir, files):
        super().make_release_tree(base_dir, files)
        for path in [*PROTOS.glob(f"{OURS}/*.proto"), *(PROTOS / name for name in FOREIGN)]:
            target = pathlib.Path(base_dir, "proto", path.relative_to(PROTOS))
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)


scratch = tempfile.TemporaryDirectory()
setup(
    version=version(),
    # Builds leave nothing in the sources, and may run side by side.
    options={"build": {"build_base": scratch.name}, "egg_info": {"egg_base": scratch.name}},
    cmdclass={"build_py": BuildWithMessages, "sdist": PackWithProtos},
    # Generated messages need at least the protobuf that they were generated with. Debian's xxhash
    # says of itself that it is version 0.0.0.
    install_requires=["grpcio>=1.51", "numpy>=1.24", "xxhash",
                      f"protobuf>={google.protobuf.__version__}"],
)
