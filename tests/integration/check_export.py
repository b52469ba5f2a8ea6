"""check_export.py FILE.safetensors FILE.json FOLDER: the exported layer "conv2d_transpose" has
the very arrays and arguments that Keras gave it, as numpy and json alone read them."""

import json
import pathlib
import struct
import sys

import numpy as np

KERAS_3_ARGUMENTS = [
    "name", "trainable", "dtype", "filters", "kernel_size", "strides", "padding",
    "output_padding", "data_format", "dilation_rate", "activation", "use_bias",
    "kernel_initializer", "bias_initializer", "kernel_regularizer", "bias_regularizer",
    "activity_regularizer", "kernel_constraint", "bias_constraint"]


def read_safetensors(path):
    data = pathlib.Path(path).read_bytes()
    (length,) = struct.unpack_from("<Q", data)
    entries = json.loads(data[8:8 + length])
    body = data[8 + length:]
    assert max(entry["data_offsets"][1] for entry in entries.values()) == len(body)
    return {
        name: np.frombuffer(body[slice(*entry["data_offsets"])],
                            {"F32": "<f4"}[entry["dtype"]]).reshape(entry["shape"])
        for name, entry in entries.items()}


def main(weights_path, json_path, folder):
    name = "conv2d_transpose"
    arrays = read_safetensors(weights_path)
    assert sorted(arrays) == [f"{name}/bias", f"{name}/kernel"]
    for role in ("kernel", "bias"):
        recorded = np.load(f"{folder}/{name}__{role}.npy")
        np.testing.assert_array_equal(arrays[f"{name}/{role}"], recorded)
        assert arrays[f"{name}/{role}"].dtype == recorded.dtype
    (layer,) = json.loads(pathlib.Path(json_path).read_text())
    model = json.loads(pathlib.Path(f"{folder}/config_in_archive.json").read_text())
    (recorded,) = [entry for entry in model["config"]["layers"] if entry["config"]["name"] == name]
    assert layer["class_name"] == recorded["class_name"]
    assert sorted(layer["config"]) == sorted(KERAS_3_ARGUMENTS), layer["config"]
    for key in ("filters", "kernel_size", "strides", "padding", "activation", "use_bias"):
        assert layer["config"][key] == recorded["config"][key], key


if __name__ == "__main__":
    main(*sys.argv[1:])
