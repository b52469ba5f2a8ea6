"""PyTorch (Debian: python3-torch), on contiguous and on channels_last tensors."""

import torch

import peer

ACTIVATIONS = {
    "linear": lambda x: x,
    "relu": torch.relu_,
    "sigmoid": torch.sigmoid_,
    "tanh": torch.tanh_,
}
MEMORY_FORMATS = {
    1: {"channels_first": torch.contiguous_format},
    2: {"channels_first": torch.contiguous_format, "channels_last": torch.channels_last},
    3: {"channels_first": torch.contiguous_format, "channels_last": torch.channels_last_3d},
}


class Layer:
    def __init__(self, case, threads):
        torch.set_num_threads(threads)
        self._convolve = getattr(torch.nn.functional, f"conv_transpose{case.rank}d")
        self._bias = None if case.bias is None else torch.from_numpy(case.bias)
        # PyTorch crops equally at both ends. Where Keras crops more at the end, the
        # result is longer and a view of it is taken.
        output_padding = [max(0, b - e) for b, e in zip(case.crop_begin, case.crop_end)]
        self._arguments = (case.strides, case.crop_begin, output_padding, 1, case.dilations)
        self._inside = (slice(None), slice(None), *(slice(0, out) for out in case.out))

    def __call__(self, src, kernel, activation=lambda x: x):
        result = self._convolve(src, kernel, self._bias, *self._arguments)
        return activation(result)[self._inside]


def tensor(array, memory_format):
    return torch.from_numpy(array).contiguous(memory_format=memory_format)


def make_variants(case, threads):
    layer = Layer(case, threads)
    activation = ACTIVATIONS[case.activation]

    def variant(memory_format):
        src, kernel = (tensor(array, memory_format) for array in (case.src, case.kernel))

        def run():
            with torch.inference_mode():
                return [layer(src, kernel, activation).numpy()]

        return run

    return {name: variant(format) for name, format in MEMORY_FORMATS[case.rank].items()}


def make_backward_variants(case, threads):
    layer = Layer(case, threads)

    def variant(memory_format):
        src, kernel = (tensor(array, memory_format).requires_grad_()
                       for array in (case.src, case.kernel))
        diff_dst = tensor(case.diff_dst, memory_format)
        dst = layer(src, kernel)

        def run():
            gradients = torch.autograd.grad(dst, (src, kernel), diff_dst, retain_graph=True)
            return [gradient.numpy() for gradient in gradients]

        return run

    return {name: variant(format) for name, format in MEMORY_FORMATS[case.rank].items()}


peer.serve(f"PyTorch {torch.__version__}", make_variants, make_backward_variants)
