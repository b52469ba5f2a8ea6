import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

import numpy as np

import tconv
from tconv import arrays


class BFloat16Test(unittest.TestCase):
    def test_rounds_to_the_nearest_and_to_the_even_one_of_two(self):
        for value, bits in (
            (0.0, 0x0000),
            (-0.0, 0x8000),
            (1.0, 0x3F80),
            (1.0 + 2**-8, 0x3F80),  # halfway, down to even
            (1.0 + 3 * 2**-8, 0x3F82),  # halfway, up to even
            (1.0 + 2**-8 + 2**-20, 0x3F81),
            (3.4e38, 0x7F80),  # beyond the largest
            (np.inf, 0x7F80),
            (-np.inf, 0xFF80),
        ):
            with self.subTest(value=value):
                self.assertEqual(int(tconv.to_bfloat16(value).view("<u2")), bits)

    def test_keeps_nan(self):
        for bits in (0x7F800001, 0x7FFFFFFF, 0xFFFFFFFF):
            nan = np.array([bits], np.uint32).view(np.float32)
            self.assertTrue(np.isnan(tconv.to_float32(tconv.to_bfloat16(nan))).all())

    def test_widens_without_loss(self):
        every = np.arange(1 << 16, dtype="<u2").view(tconv.bfloat16)
        wide = tconv.to_float32(every)
        numbers = ~np.isnan(wide)
        again = tconv.to_bfloat16(wide)
        np.testing.assert_array_equal(again.view("<u2")[numbers], every.view("<u2")[numbers])

    def test_keeps_shapes(self):
        for shape in ((), (0, 3), (2, 3, 4)):
            narrow = tconv.to_bfloat16(np.zeros(shape))
            self.assertEqual(narrow.shape, shape)
            self.assertEqual(tconv.to_float32(narrow).shape, shape)


    def test_is_the_type_of_ml_dtypes_where_that_is_installed(self):
        with tempfile.TemporaryDirectory() as folder:
            module = pathlib.Path(folder, "ml_dtypes.py")
            module.write_text('import numpy\nbfloat16 = numpy.dtype([("theirs", "<u2")])\n')
            script = (
                "import ml_dtypes, numpy, tconv\n"
                "assert tconv.bfloat16 == ml_dtypes.bfloat16\n"
                "narrow = tconv.to_bfloat16([1.5])\n"
                "assert narrow.dtype == ml_dtypes.bfloat16\n"
                "assert tconv.to_float32(narrow) == 1.5\n"
                "assert tconv.arrays.to_wire(narrow) is not None\n"
            )
            path = os.pathsep.join([folder, *sys.path])
            subprocess.run(
                [sys.executable, "-c", script], check=True, env={**os.environ, "PYTHONPATH": path}
            )


class ArraysTest(unittest.TestCase):
    def test_takes_what_is_contiguous_from_where_it_is(self):
        array = np.zeros((2, 3), np.float32)
        self.assertTrue(np.shares_memory(arrays.to_wire(array), array))

    def test_makes_other_orders_contiguous(self):
        array = np.arange(6, dtype=np.float32).reshape(2, 3)
        for other in (np.asfortranarray(array), array[::-1][::-1], array.astype(">f4")):
            wire = arrays.to_wire(other)
            self.assertEqual(bytes(arrays.to_bytes(wire)), array.tobytes())

    def test_refuses_what_is_no_floating_point_type(self):
        for values in ([1, 2], np.zeros(2, np.uint16), np.zeros(2, np.longdouble), ["a"], [None]):
            with self.subTest(values=values), self.assertRaises(TypeError):
                arrays.to_wire(values)

    def test_makes_arrays_that_may_be_changed(self):
        array = arrays.from_bytes(memoryview(b"\0" * 24), np.dtype("<f8"), (3, 1))
        array += 1
        self.assertEqual(array.tolist(), [[1], [1], [1]])


if __name__ == "__main__":
    unittest.main()
