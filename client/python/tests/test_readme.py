"""Does what the README says."""

import contextlib
import io
import os
import pathlib
import re
import unittest

README = pathlib.Path(__file__).resolve().parents[1] / "README.md"


@unittest.skipUnless("TCONV_TARGET" in os.environ, "needs a server, at TCONV_TARGET")
class ReadmeTest(unittest.TestCase):
    def test_all_blocks_run_one_after_the_other(self):
        blocks = re.findall(r"^```python\n(.*?)^```$", README.read_text(), re.M | re.S)
        self.assertGreater(len(blocks), 4)
        names = {}
        try:
            with contextlib.redirect_stdout(io.StringIO()) as printed:
                for block in blocks:
                    exec(block.replace("127.0.0.1:8500", os.environ["TCONV_TARGET"]), names)
            self.assertIn("expected 3 channels", printed.getvalue())
            self.assertEqual(names["stream"].shape, (100, 56, 56, 8))
        finally:
            client = names["client"]
            client.delete_chain("decoder")
            for name in ("up1", "up2"):
                client.delete(name)


if __name__ == "__main__":
    unittest.main()
