// What runs inside of the confined process, on the HDF5 library.
#pragma once

#include <absl/status/statusor.h>

#include <cstddef>
#include <span>

#include <nlohmann/json.hpp>

#include "formats/confined.h"

namespace tconv::formats {

// {"datasets": {path: {"dtype": "float32", "shape": [2, 3], "part": as of `attic`} or
// {"error": text}}, "attributes": {path: {name: [texts]}}}, of a whole file, whose
// elements are put into `attic`. INVALID_ARGUMENT: a damaged file. Corrupt files may
// crash the process.
absl::StatusOr<nlohmann::json> DumpHdf5(std::span<const std::byte> image, Attic& attic);

}  // namespace tconv::formats
