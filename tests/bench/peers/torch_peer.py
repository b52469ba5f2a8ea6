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


def make_variants(case, threads):
    torch.set_num_threads(threads)
    convolve = getattr(torch.nn.functional, f"conv_transpose{case.rank}d")
    activation = ACTIVATIONS[case.activation]
    bias = None if case.bias is None else torch.from_numpy(case.bias)
    # PyTorch crops equally at both ends. Where Keras crops more at the end, the
    # result is longer and a view of it is taken.
    output_padding = [max(0, b - e) for b, e in zip(case.crop_begin, case.crop_end)]
    inside = (slice(None), slice(None), *(slice(0, out) for out in case.out))

    def variant(memory_format):
        src = torch.from_numpy(case.src).contiguous(memory_format=memory_format)
        kernel = torch.from_numpy(case.kernel).contiguous(memory_format=memory_format)

        def run():
            with torch.inference_mode():
                result = convolve(src, kernel, bias, case.strides, case.crop_begin, output_padding,
                                  1, case.dilations)
                return activation(result)[inside].numpy()

        return run

    return {name: variant(format) for name, format in MEMORY_FORMATS[case.rank].items()}


peer.serve(f"PyTorch {torch.__version__}", make_variants)
