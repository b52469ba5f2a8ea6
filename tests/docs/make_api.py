#!/usr/bin/python3
"""Writes docs/api.md, the reference of the protocols, from the comments in the .proto files.

    make_api.py             writes it
    make_api.py --check     fails when it is not what it would write
"""

import argparse
import pathlib
import re
import subprocess
import sys
import tempfile

from google.protobuf import descriptor_pb2

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "api.md"
PROTOS = ("tconv/v1/*.proto", "inference/*.proto")

# Of a field, by the names of descriptor.proto.
_Field = descriptor_pb2.FieldDescriptorProto
# Where things stand in their parents, for the paths of SourceCodeInfo.
_MESSAGE, _ENUM, _SERVICE = 4, 5, 6
_FIELD, _NESTED, _NESTED_ENUM = 2, 3, 4
_METHOD = _VALUE = 2


class File:
    """One .proto file with its comments."""

    def __init__(self, proto):
        self.proto = proto
        self._comments = {tuple(place.path): place.leading_comments
                          for place in proto.source_code_info.location}

    def comment(self, *path):
        """What stands above an element, paragraphs with lines of their own; may be empty."""
        lines = [line.removeprefix(" ").rstrip()
                 for line in self._comments.get(path, "").splitlines()]
        return "\n".join(lines).strip()

    def cell(self, *path):
        """The same in one line."""
        return " ".join(self.comment(*path).split()).replace("|", "\\|")


def read_files():
    with tempfile.NamedTemporaryFile() as described:
        protos = sorted(path for pattern in PROTOS for path in (ROOT / "proto").glob(pattern))
        subprocess.run(["protoc", f"--proto_path={ROOT / 'proto'}", "--include_source_info",
                        f"--descriptor_set_out={described.name}", *protos], check=True)
        files = descriptor_pb2.FileDescriptorSet.FromString(pathlib.Path(described.name).read_bytes())
    return [File(file) for file in files.file]


def anchor(name):
    return re.sub(r"[^\w-]", "", name.lower())


class Reference:
    """The text of the page."""

    def __init__(self, files):
        self._files = files
        self._known = {f".{file.proto.package}.{name}"
                       for file in files for name, *_ in messages_and_enums(file.proto)}

    def text(self):
        lines = ["# API reference", "",
                 "Made from [the .proto files](../proto) by `tests/docs/make_api.py`: change those, and run it.",
                 "The client libraries have references of their own: [C++](../client/include/tconv/client.h).",
                 ""]
        lines += [f"- [{title}](#{anchor(title)})" for title in self._titles()]
        for file in self._files:
            for index, service in enumerate(file.proto.service):
                lines += self._service(file, service, (_SERVICE, index))
        for file in self._files:
            lines += ["", f"## {file.proto.name}"]
            for name, kind, element, path in messages_and_enums(file.proto):
                lines += ["", f"### {name}", "", file.comment(*path), ""]
                lines += (self._fields if kind == "message" else self._values)(file, element, path)
        return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)) + "\n"

    def _titles(self):
        for file in self._files:
            for service in file.proto.service:
                yield f"{file.proto.package}.{service.name}"
        for file in self._files:
            yield file.proto.name

    def _service(self, file, service, path):
        yield from ["", f"## {file.proto.package}.{service.name}", "", file.comment(*path)]
        for index, method in enumerate(service.method):
            asked = self._type(method.input_type, method.client_streaming)
            answered = self._type(method.output_type, method.server_streaming)
            yield from ["", f"**{method.name}**: {asked} → {answered}", "",
                        file.comment(*path, _METHOD, index)]

    def _fields(self, file, message, path):
        if not message.field:
            return
        yield from ["| field | | |", "|---|---|---|"]
        for index, field in enumerate(message.field):
            about = file.cell(*path, _FIELD, index)
            if field.HasField("oneof_index") and not field.proto3_optional:
                oneof = message.oneof_decl[field.oneof_index].name
                about = f"One of `{oneof}`. {about}"
            yield f"| `{field.name}` = {field.number} | {self._field_type(message, field)} | {about} |"

    def _values(self, file, enum, path):
        yield from ["| value | |", "|---|---|"]
        for index, value in enumerate(enum.value):
            yield f"| `{value.name}` = {value.number} | {file.cell(*path, _VALUE, index)} |"

    def _field_type(self, message, field):
        for entry in message.nested_type:
            if entry.options.map_entry and field.type_name.endswith(f"{message.name}.{entry.name}"):
                key, value = entry.field
                return f"map from {self._plain(key)} to {self._plain(value)}"
        plain = self._plain(field)
        if field.label == _Field.LABEL_REPEATED:
            return f"repeated {plain}"
        return f"optional {plain}" if field.proto3_optional else plain

    def _plain(self, field):
        if field.type_name:
            return self._type(field.type_name)
        return _Field.Type.Name(field.type).removeprefix("TYPE_").lower()

    def _type(self, full_name, is_stream=False):
        name = next((full_name.removeprefix(f".{file.proto.package}.") for file in self._files
                     if full_name.startswith(f".{file.proto.package}.")), full_name.lstrip("."))
        told = f"[{name}](#{anchor(name)})" if full_name in self._known else name
        return f"stream of {told}" if is_stream else told


def messages_and_enums(proto):
    """(name, kind, element, path) of all in a file, nested ones behind their parents."""
    def within(message, prefix, path):
        if message.options.map_entry:
            return
        name = prefix + message.name
        yield name, "message", message, path
        for index, nested in enumerate(message.nested_type):
            yield from within(nested, f"{name}.", (*path, _NESTED, index))
        for index, nested in enumerate(message.enum_type):
            yield f"{name}.{nested.name}", "enum", nested, (*path, _NESTED_ENUM, index)

    for index, message in enumerate(proto.message_type):
        yield from within(message, "", (_MESSAGE, index))
    for index, enum in enumerate(proto.enum_type):
        yield enum.name, "enum", enum, (_ENUM, index)


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--check", action="store_true")
    arguments = arguments.parse_args()
    text = Reference(read_files()).text()
    if not arguments.check:
        PAGE.write_text(text)
    elif not PAGE.is_file() or PAGE.read_text() != text:
        sys.exit(f"{PAGE.relative_to(ROOT)} is not what the .proto files say: "
                 "run tests/docs/make_api.py")


if __name__ == "__main__":
    main()
