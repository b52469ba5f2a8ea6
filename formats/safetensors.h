// The file format of Hugging Face's safetensors: arrays by name.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <iosfwd>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "formats/array.h"

namespace tconv::formats {

// The arrays of a whole file, which lie where they are in `file`.
// INVALID_ARGUMENT: a damaged file, or arrays outside of it.
absl::StatusOr<Arrays> ReadSafetensors(std::shared_ptr<const std::string> file);

// Writes the arrays in this order, the first at a multiple of 64 bytes of the file, for
// the format allows no gaps. REQUIRES: names differ, and are UTF-8.
// UNKNOWN: the stream does not take it all.
absl::Status WriteSafetensors(std::ostream& out,
                              const std::vector<std::pair<std::string, Array>>& arrays);

}  // namespace tconv::formats
