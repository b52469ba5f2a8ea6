// The members of a ZIP archive: .keras and .npz files are ones.
#pragma once

#include <absl/status/statusor.h>

#include <cstddef>
#include <map>
#include <memory>
#include <span>
#include <string>

#include "formats/file.h"

namespace tconv::formats {

struct ZipMembers {
  std::map<std::string, std::span<const std::byte>> bytes = {};  // by name
  std::shared_ptr<const void> owner = {};
};

// All members, unpacked. INVALID_ARGUMENT: a damaged or encrypted archive, one that
// has a name twice, or one that unpacks to far more than it is.
absl::StatusOr<ZipMembers> ReadZip(const File& file);

}  // namespace tconv::formats
