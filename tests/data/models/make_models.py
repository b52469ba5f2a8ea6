"""Writes the model files beside it, with h5py and numpy: forms that tests/golden/files lacks.

Kernels and biases count up from the number that each layer has here, so that a test can
tell one from another. Run it anew only to add files: HDF5 puts no two alike.
"""

import json
import pathlib

import h5py
import numpy as np

HERE = pathlib.Path(__file__).parent


def layer(name, filters=2, kernel_size=(2, 2), use_bias=True, **more):
    config = {"name": name, "filters": filters, "kernel_size": list(kernel_size),
              "use_bias": use_bias, **more}
    return {"class_name": f"Conv{len(kernel_size)}DTranspose", "config": config}


def model(class_name, name, layers):
    return {"class_name": class_name, "config": {"name": name, "layers": layers}}


def other(class_name, name, **config):
    return {"class_name": class_name, "config": {"name": name, **config}}


def kernel(start, channels=3, filters=2, kernel_size=(2, 2), dtype="<f4"):
    shape = (*kernel_size, filters, channels)
    return (start + np.arange(np.prod(shape))).reshape(shape).astype(dtype)


def bias(start, filters=2, dtype="<f4"):
    return (start + np.arange(filters)).astype(dtype)


def write_keras3(name, groups):
    """As save_weights() of Keras 3: {group: arrays}."""
    with h5py.File(HERE / name, "w") as file:
        for group, arrays in groups.items():
            variables = file.create_group(group + "/vars")
            for i, array in enumerate(arrays):
                variables[str(i)] = array


def write_json(name, value):
    (HERE / name).write_text(json.dumps(value) + "\n")


def nested():
    """Counters of classes on each level, a name that two models have, layers between."""
    decoder = model("Sequential", "decoder", [
        other("InputLayer", "in"), layer("up"), other("BatchNormalization", "norm"), layer("last")])
    extra = model("Sequential", "extra", [layer("up")])
    whole = model("Functional", "whole", [
        other("InputLayer", "image"), decoder, other("Dense", "dense"), layer("out"), extra])
    write_json("nested.json", whole)
    write_keras3("nested.weights.h5", {
        "layers/sequential/layers/conv2d_transpose": [kernel(100), bias(1)],
        "layers/sequential/layers/conv2d_transpose_1": [kernel(200), bias(2)],
        "layers/sequential_1/layers/conv2d_transpose": [kernel(300), bias(3)],
        "layers/conv2d_transpose": [kernel(400), bias(4)],
        "optimizer": [np.array(1.0)],
    })


def types():
    """Every element type and form of storage that h5py writes."""
    names = ["half", "double", "big", "bfloat", "packed", "big_half"]
    write_json("types.json", model("Sequential", "types",
                                   [layer(name, use_bias=False) for name in names]))
    with h5py.File(HERE / "types.weights.h5", "w") as file:
        def put(i, array, **options):
            suffix = f"_{i}" if i else ""
            group = file.create_group(f"layers/conv2d_transpose{suffix}/vars")
            return group.create_dataset("0", data=array, **options)
        put(0, kernel(1, dtype="<f2"))
        put(1, kernel(1, dtype="<f8"))
        put(2, kernel(1, dtype=">f4"))
        upper = (kernel(1).view("<u4") >> 16).astype("<u2")
        put(3, upper.view("V2")).attrs["dtype"] = "bfloat16"
        put(4, kernel(1), chunks=(1, 2, 2, 2), compression="gzip", shuffle=True, fletcher32=True)
        put(5, kernel(1, dtype=">f2"))


def keras2():
    """As tf.keras 2 writes model.save("x.h5"), with a nested model and split attributes."""
    decoder = model("Sequential", "decoder", [layer("up1", groups=1), layer("frozen")])
    whole = model("Model", "whole", [other("InputLayer", "image"), decoder, layer("out")])
    groups = {
        "image": [],
        # Variables that are trained come before those that are not.
        "decoder": [("up1/kernel:0", kernel(100)), ("up1/bias:0", bias(1)),
                    ("frozen/kernel:0", kernel(200)), ("frozen/bias:0", bias(2))],
        "out": [("out_1/kernel:0", kernel(300)), ("out_1/bias:0", bias(3))],
    }

    def write(root, split):
        root.attrs["layer_names"] = np.array([name.encode() for name in groups])
        root.attrs["backend"] = b"tensorflow"
        root.attrs["keras_version"] = b"2.11.0"
        for name, variables in groups.items():
            group = root.create_group(name)
            names = np.array([variable.encode() for variable, _ in variables])
            if split and variables:
                for i, part in enumerate(np.array_split(names, 2)):
                    group.attrs[f"weight_names{i}"] = part
            else:
                group.attrs["weight_names"] = names
            for variable, array in variables:
                group[variable] = array

    with h5py.File(HERE / "keras2.h5", "w") as file:
        file.attrs["model_config"] = json.dumps(whole).encode()
        write(file.create_group("model_weights"), split=True)
    with h5py.File(HERE / "keras2_weights.h5", "w") as file:
        write(file, split=False)
    write_json("keras2_weights.json", whole)


def pytorch():
    """A state_dict of torch.nn.Sequential(ConvTranspose2d(3, 2, 2)) in numpy's archive."""
    write_json("pytorch.json", [layer("0"), layer("2", use_bias=False)])
    first, second = kernel(100), kernel(200)
    np.savez(HERE / "pytorch.npz", **{
        "0.weight": first.transpose(3, 2, 0, 1), "0.bias": bias(1),
        "1.num_batches_tracked": np.array(7),
        "2.weight": np.asfortranarray(second.transpose(3, 2, 0, 1))})
    write_json("single.json", layer("single")["config"])
    np.savez_compressed(HERE / "single.npz", kernel(100), bias(1))


if __name__ == "__main__":
    nested()
    types()
    keras2()
    pytorch()
