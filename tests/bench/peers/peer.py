"""What all peers share: a case from its folder, the timing, and the conversation with `compare`.

A peer reads commands from its standard input and answers each with one line of JSON:

    load FOLDER   prepares the case; {"variants": {name: difference from tconv's result}}
    time SECONDS  {name: milliseconds of one run} for all variants

With --backward a run is the gradients of the layer without its activation.
"""

import argparse
import json
import math
import pathlib
import sys
import time

import numpy


class Case:
    """What case_dump wrote, with channels behind the batch as the peers have them."""

    def __init__(self, folder):
        folder = pathlib.Path(folder)
        description = json.loads((folder / "case.json").read_text())
        axes = description["axes"]
        self.rank = len(axes)
        self.activation = description["activation"]
        self.kernel_size, self.strides, self.dilations, self.crop_begin, self.crop_end, self.out = (
            [axis[key] for axis in axes]
            for key in ("kernel", "stride", "dilation", "crop_begin", "crop_end", "out")
        )
        batch, ic, oc = (description[key] for key in ("batch", "in_channels", "out_channels"))

        def read(name, shape):
            return numpy.fromfile(folder / f"{name}.f32", numpy.float32).reshape(shape)

        src = read("src", [batch, *(axis["in"] for axis in axes), ic])
        kernel = read("kernel", [*self.kernel_size, oc, ic])
        self.src = _channels_second(src)
        self.kernel = _channels_first(kernel)
        self.bias = read("bias", [oc]) if description["use_bias"] else None
        self.diff_dst = _channels_second(read("diff_dst", [batch, *self.out, oc]))
        self.expected = [_channels_second(read("dst", [batch, *self.out, oc]))]
        self.expected_gradients = [_channels_second(read("diff_src", src.shape)),
                                   _channels_first(read("diff_kernel", kernel.shape))]


def _channels_second(images):
    return numpy.ascontiguousarray(numpy.moveaxis(images, -1, 1))


def _channels_first(kernel):
    return numpy.ascontiguousarray(numpy.moveaxis(kernel, (-1, -2), (0, 1)))


def difference(results, expected):
    """The largest one, relative to the largest element of the same array."""
    if [result.shape for result in results] != [array.shape for array in expected]:
        return math.inf
    return max(float(numpy.abs(result - array).max() / numpy.abs(array).max())
               for result, array in zip(results, expected))


def milliseconds(run, seconds):
    """The mean over as many runs as the time allows, after one that warms up."""
    run()
    runs = 0
    start = time.perf_counter()
    while (elapsed := time.perf_counter() - start) < seconds or not runs:
        run()
        runs += 1
    return elapsed / runs * 1e3


def serve(version, make_variants, make_backward_variants=None):
    """Answers commands until the input ends.

    `make_variants(case, threads)` gives functions by name; each runs the case
    once and returns its result as a list of one array [N, OC, spatial...]. Those
    of `make_backward_variants` return the gradients by src and kernel.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--backward", action="store_true")
    arguments = parser.parse_args()
    if arguments.backward:
        make_variants = make_backward_variants or sys.exit(f"{version} has no gradients")
    answer = {"version": version}
    variants = {}
    while True:
        print(json.dumps(answer), flush=True)
        words = sys.stdin.readline().split()
        if not words:
            return
        command, argument = words
        if command == "load":
            case = Case(argument)
            variants = make_variants(case, arguments.threads)
            expected = case.expected_gradients if arguments.backward else case.expected
            answer = {"variants": {name: difference(run(), expected)
                                   for name, run in variants.items()}}
        elif command == "time":
            answer = {name: milliseconds(run, float(argument)) for name, run in variants.items()}
        else:
            sys.exit(f"unknown command: {command}")
