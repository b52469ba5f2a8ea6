"""What stands in a page of the documentation, and what holds for each of its blocks."""

import dataclasses
import pathlib
import re
import textwrap

_FENCE = re.compile(r"^(?P<indent> *)```(?P<language>[\w+-]*)$")
_COMMENT = re.compile(r"^ *<!-- (?P<words>.*) -->$")
_LINK = re.compile(r"\]\((?P<file>[^)#:\s]*)(?:#(?P<anchor>[^)\s]+))?\)")
_HEADING = re.compile(r"^#+ (?P<text>.+)$", re.MULTILINE)
# What a comment in front of a block may say, and whether it names something.
_MARKS = {"from": True, "run by": True, "file": True, "serves": False,
          "needs postgresql": False}
_RUN = ("sh", "python")  # by the test itself, unless a mark says otherwise


class PageError(Exception):
    """A page does not keep to the rules."""


@dataclasses.dataclass(frozen=True)
class Block:
    """One fenced block: `mark` is what the comment in front of it says, or empty."""

    language: str
    text: str
    line: int  # of the fence, from 1
    mark: str = ""
    name: str = ""  # that the mark gives


def read_blocks(markdown):
    """The blocks of a page in their order. PageError when one does not end."""
    blocks, lines = [], markdown.splitlines()
    at = 0
    while at < len(lines):
        fence = _FENCE.match(lines[at])
        if fence is None:
            if lines[at].lstrip().startswith("```"):
                raise PageError(f"line {at + 1}: what is this block?")
            at += 1
            continue
        indent = fence["indent"]
        end = next((i for i in range(at + 1, len(lines)) if lines[i] == indent + "```"), None)
        if end is None:
            raise PageError(f"line {at + 1}: the block does not end")
        mark, name = _read_mark(lines[at - 1] if at > 0 else "", at)
        text = "".join(line.removeprefix(indent) + "\n" for line in lines[at + 1:end])
        blocks.append(Block(fence["language"], text, at + 1, mark, name))
        at = end + 1
    return blocks


def _read_mark(line, line_number):
    comment = _COMMENT.match(line)
    if comment is None:
        return "", ""
    for mark, has_name in _MARKS.items():
        if comment["words"] == mark and not has_name:
            return mark, ""
        if comment["words"].startswith(mark + " ") and has_name:
            return mark, comment["words"].removeprefix(mark + " ")
    raise PageError(f"line {line_number}: \"{comment['words']}\" says nothing about a block")


def is_run(block):
    return block.language in _RUN and block.mark in ("", "serves", "needs postgresql")


def check(block, root):
    """PageError unless `block` is run, is output, or stands where its mark says, below `root`."""
    if block.mark == "from":
        _check_quoted(block, _read(block, root))
    elif block.mark == "run by":
        _check_commands(block, _read(block, root))
    elif block.mark in ("serves", "needs postgresql") and block.language != "sh":
        raise PageError(f"line {block.line}: only a block of sh {block.mark}")
    elif not is_run(block) and block.mark != "file" and block.language != "text":
        raise PageError(f"line {block.line}: nothing runs this block of "
                        f"\"{block.language}\", nor says where it comes from")


def _read(block, root):
    path = pathlib.Path(root, block.name)
    if not path.is_file():
        raise PageError(f"line {block.line}: there is no file {block.name}")
    return path.read_text()


def _check_quoted(block, source):
    wanted = textwrap.dedent(block.text).rstrip("\n")
    count, lines = wanted.count("\n") + 1, source.splitlines()
    for begin in range(len(lines) - count + 1):
        if textwrap.dedent("\n".join(lines[begin:begin + count])) == wanted:
            return
    raise PageError(f"line {block.line}: the block does not stand in {block.name}")


def commands_in(text):
    """The commands of a script, one a line, without comments, continuations and quotes."""
    text = re.sub(r"\\\n\s*", " ", text)
    text = re.sub(r"(^|\s)#.*", "", text)
    text = text.replace('"', "")
    return [" ".join(line.split()) for line in text.splitlines() if line.strip()]


def _pattern(command):
    """What runs `command`: its words in their order, and NAMES stand for anything."""
    words = (re.sub("[A-Z]{3,}", r"\\S+", re.escape(word)) for word in command.split())
    return re.compile(r"(?<!\S)" + r"(?: \S+)* ".join(words) + r"(?!\S)")


def _check_commands(block, script):
    there = commands_in(script)
    for command in commands_in(block.text):
        if not any(_pattern(command).search(line) for line in there):
            raise PageError(f"line {block.line}: {block.name} does not run \"{command}\"")


def check_links(path):
    """PageError unless every relative link of the page leads to a file, and to a heading of it."""
    for link in _LINK.finditer(path.read_text()):
        target = pathlib.Path(path.parent, link["file"]) if link["file"] else path
        if not target.exists():
            raise PageError(f"there is no {link['file']} to link to")
        if link["anchor"] and link["anchor"] not in _anchors_of(target.read_text()):
            raise PageError(f"there is no heading {link['file']}#{link['anchor']}")


def _anchors_of(markdown):
    """As GitHub and GitLab make them: words in lower case with dashes in between."""
    return {re.sub(r"[^\w\- ]", "", heading["text"].lower()).replace(" ", "-")
            for heading in _HEADING.finditer(markdown)}
