"""Arrays of numpy as the elements of tensors, and bfloat16, which numpy does not have."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from tconv.v1 import tensor_pb2

Array = npt.NDArray[Any]


def _bfloat16() -> np.dtype[Any]:
    try:
        import ml_dtypes
    except ImportError:
        return np.dtype([("bfloat16", "<u2")])
    return np.dtype(ml_dtypes.bfloat16)


# The type of arrays that hold bfloat16: that of ml_dtypes if this is installed, else one with
# a single field "bfloat16" that holds the bits, the upper half of a float32.
bfloat16 = _bfloat16()

_NUMBERS: dict[np.dtype[Any], tensor_pb2.DataType] = {
    np.dtype("<f4"): tensor_pb2.DATA_TYPE_FLOAT32,
    np.dtype("<f8"): tensor_pb2.DATA_TYPE_FLOAT64,
    np.dtype("<f2"): tensor_pb2.DATA_TYPE_FLOAT16,
    bfloat16: tensor_pb2.DATA_TYPE_BFLOAT16,
}
_DTYPES: dict[int, np.dtype[Any]] = {number: dtype for dtype, number in _NUMBERS.items()}


def to_bfloat16(values: npt.ArrayLike) -> Array:
    """The nearest bfloat16 to each value, the even one of two; NaN stays NaN."""
    wide = np.ascontiguousarray(values, np.float32)
    bits = wide.view(np.uint32)
    rounded = (bits + np.uint32(0x7FFF) + (bits >> 16 & 1)) >> 16
    quiet_nan = (bits >> 16) | np.uint32(0x40)
    halves = np.where(np.isnan(wide), quiet_nan, rounded).astype("<u2")
    return halves.view(bfloat16).reshape(np.shape(values))


def to_float32(values: npt.ArrayLike) -> npt.NDArray[np.float32]:
    """The same values as float32; of bfloat16 and float16 without any loss."""
    array = np.asarray(values)
    if array.dtype != bfloat16:
        return array.astype(np.float32)
    bits = np.ascontiguousarray(array).view("<u2").astype(np.uint32) << 16
    return bits.view(np.float32).reshape(array.shape)


def to_wire(values: npt.ArrayLike) -> Array:
    """An array as it travels: contiguous and little-endian; no copy if it is that already.

    TypeError: no floating-point type that the protocol has.
    """
    array = np.asarray(values)
    if array.dtype.newbyteorder("<") in _NUMBERS:
        dtype = array.dtype.newbyteorder("<")
        return np.asarray(array, dtype, order="C")
    expected = "float16, float32, float64 or tconv.bfloat16"
    raise TypeError(f"expected an array of {expected}, got {array.dtype}")


def to_bytes(array: Array) -> memoryview:
    """The elements of an array that to_wire() has returned, where they are."""
    return array.reshape(-1).view(np.uint8).data


def from_bytes(data: memoryview, dtype: np.dtype[Any], shape: tuple[int, ...]) -> Array:
    """A new array of these elements: aligned, and free to be changed.

    REQUIRES: data has as many bytes as the array.
    """
    array = np.empty(shape, dtype)
    array.reshape(-1).view(np.uint8)[:] = np.frombuffer(data, np.uint8)
    return array


def number_of(dtype: np.dtype[Any]) -> tensor_pb2.DataType:
    """The type in the protocol of what to_wire() has returned."""
    return _NUMBERS[dtype]


def dtype_of(number: tensor_pb2.DataType) -> np.dtype[Any]:
    """The type of arrays for a type in the protocol. KeyError: it is none."""
    return _DTYPES[number]
