#!/usr/bin/python3
"""The rules for pages, and the runs of small ones: page_test.py --build FOLDER."""

import argparse
import pathlib
import sys
import tempfile
import textwrap
import unittest

import page
import run_page
import sessions

BUILD = None


def block(body, language="sh", comment=""):
    return f"{comment}\n```{language}\n{body}\n```\n"


class RulesTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)
        (self.root / "code.cc").write_text("int main() {\n  int a = 1;\n  if (a) {\n    a = 2;\n  }\n}\n")
        (self.root / "build.sh").write_text("set -e\ntool make  --all \\\n    out  # all of it\n")

    def check(self, *arguments, **named):
        for found in page.read_blocks(block(*arguments, **named)):
            page.check(found, self.root)

    def refuses(self, why, *arguments, **named):
        with self.assertRaisesRegex(page.PageError, why):
            self.check(*arguments, **named)

    def test_blocks_are_found_wherever_they_stand(self):
        found = page.read_blocks("a\n```sh\nx\n\n```\n- b\n  <!-- file f -->\n  ```json\n  {}\n  ```\n")
        self.assertEqual(found, [page.Block("sh", "x\n\n", 2),
                                 page.Block("json", "{}\n", 8, "file", "f")])

    def test_a_block_that_does_not_end_is_an_error(self):
        with self.assertRaisesRegex(page.PageError, "line 2: .* end"):
            page.read_blocks("a\n```sh\nx\n")

    def test_a_block_that_nothing_runs_is_refused(self):
        for language in ("cpp", "proto", "json", "", "console"):
            self.refuses("nothing runs", "x", language=language)

    def test_output_shell_python_and_files_need_nothing_else(self):
        for language in ("text", "sh", "python"):
            self.check("x", language=language)
        self.check("{}", language="json", comment="<!-- file f.json -->")

    def test_a_comment_that_is_none_of_the_marks_is_refused(self):
        for comment in ("<!-- form code.cc -->", "<!-- from -->", "<!-- serves 2 -->"):
            self.refuses("says nothing", "x", comment=comment)

    def test_a_quotation_stands_in_the_file_line_by_line(self):
        quote = dict(language="cpp", comment="<!-- from code.cc -->")
        self.check("int a = 1;\nif (a) {\n  a = 2;\n}", **quote)
        self.refuses("does not stand in code.cc", "int a = 1;\na = 2;", **quote)
        self.refuses("does not stand in code.cc", "int a = 1", **quote)
        self.refuses("no file", "x", language="cpp", comment="<!-- from gone.cc -->")

    def test_commands_stand_in_the_script_that_runs_them(self):
        by = dict(comment="<!-- run by build.sh -->")
        self.check("# everything\ntool make --all out", **by)
        self.check("tool make \\\n  --all", **by)
        self.check("tool make out\ntool make FOLDER", **by)
        self.refuses('build.sh does not run "tool clean"', "tool make --all out\ntool clean", **by)
        self.refuses('does not run "all of it"', "all of it", **by)
        self.refuses('does not run "tool out make"', "tool out make", **by)
        self.refuses('does not run "tool mak"', "tool mak", **by)

    def test_links_lead_to_files_and_headings(self):
        path = self.root / "page.md"
        for text, refusal in (("[a](code.cc) [b](https://x.org/y#z) [c](#a-title)", None),
                              ("[a](page.md#a-title)", None), ("[a](gone.md)", "gone.md"),
                              ("[a](#gone)", "#gone"), ("![a](gone.png)", "gone.png")):
            path.write_text("# A `Title`!\n" + text)
            if refusal is None:
                page.check_links(path)
            else:
                with self.assertRaisesRegex(page.PageError, refusal):
                    page.check_links(path)


class RunTest(unittest.TestCase):
    def run_page(self, text):
        return run_page.run_page(textwrap.dedent(text), BUILD)

    def test_blocks_of_a_page_share_a_shell_and_a_python(self):
        self.assertEqual(self.run_page(
            block("x=3; cd docs") + block("export X=$x; mkdir -p ~/made") +
            block("import os; x = os.environ['X']", "python") +
            block("assert x == '3' and os.getcwd().endswith('/docs')\n"
                  "assert os.path.isdir(os.path.expanduser('~/made'))", "python")), (4, 4))

    def test_what_fails_is_told_with_its_line(self):
        for body, language in (("true\nfalse\ntrue", "sh"), ("echo $missing", "sh"),
                               ("false | cat", "sh"), ("1 / 0", "python"), ("exit 0", "sh")):
            with self.assertRaisesRegex(sessions.SessionError, "line 7: failed"):
                self.run_page("# Page\n" + block("true") + block(body, language))

    def test_the_server_is_where_the_page_says(self):
        self.run_page(block("tconv health && tconv --server 127.0.0.1:8500 health") +
                      block("import urllib.request\n"
                            "urllib.request.urlopen('http://127.0.0.1:9464/metrics')", "python"))

    def test_a_page_may_start_its_own_server_and_another(self):
        self.run_page(block("{}", "json", "<!-- file access.json -->") +
                      block("tconv health") +
                      block("./scripts/serve --max-layers=1", comment="<!-- serves -->") +
                      block("tconv health") +
                      block("tconv-server --listen=127.0.0.1:8500 --store=memory: ",
                            comment="<!-- serves -->") +
                      block("tconv health"))

    def test_a_server_that_does_not_start_fails_the_page(self):
        with self.assertRaisesRegex(sessions.SessionError, "line 2: the server did not start"):
            self.run_page(block("tconv-server --gone", comment="<!-- serves -->"))


if __name__ == "__main__":
    options = argparse.ArgumentParser()
    options.add_argument("--build", required=True)
    options, rest = options.parse_known_args()
    BUILD = options.build
    unittest.main(argv=sys.argv[:1] + rest)
