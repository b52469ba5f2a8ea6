// Arrays as .npy, the file format of numpy.save().
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <cstdint>
#include <functional>
#include <iosfwd>

#include "formats/array.h"

namespace tconv::formats {

// Called while elements are transferred, with bytes done and bytes in all.
using TransferObserver = std::function<void(int64_t done, int64_t total)>;

// Reads a whole .npy of version 1, 2 or 3 with little-endian elements of one of
// these types, in C or Fortran order:
//   '<f4' float32   '<f8' float64   '<f2' float16
//   '<V2', '|V2' or 'bfloat16'      bfloat16, which numpy itself cannot name;
//                                   '<V2' is what ml_dtypes makes it write
// INVALID_ARGUMENT, with what to do about it: everything else, a damaged or
// truncated file, bytes after the last element. Holds no more memory than the
// file has bytes, whatever its header promises.
absl::StatusOr<Array> ReadNpy(std::istream& in, const TransferObserver& observer = {});

// Writes version 1.0 in C order; bfloat16 as '<V2'.
// UNKNOWN: the stream does not take it all.
absl::Status WriteNpy(std::ostream& out, const Array& array, const TransferObserver& observer = {});

}  // namespace tconv::formats
