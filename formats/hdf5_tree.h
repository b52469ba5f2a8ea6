// What a HDF5 file holds, as far as files of Keras use it.
#pragma once

#include <absl/status/statusor.h>

#include <cstddef>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "formats/array.h"

namespace tconv::formats {

struct Hdf5Tree {
  using Texts = std::vector<std::string>;

  // By path from the root, "layers/conv2d_transpose/vars/0". Chunked, compressed and
  // big-endian ones come as all others; bfloat16 as Keras writes it.
  Arrays datasets = {};
  // Attributes that are texts or lists of texts, by the path of their object, which is
  // empty for the root, and their name.
  std::map<std::string, std::map<std::string, Texts>> attributes = {};

  // Null when there is none.
  const Texts* FindTexts(const std::string& path, const std::string& name) const;
};

// Of a whole file, but the state of an optimizer; links to elsewhere are not followed.
// INVALID_ARGUMENT: a damaged file, or one that is not HDF5.
absl::StatusOr<Hdf5Tree> ReadHdf5(std::span<const std::byte> file);

}  // namespace tconv::formats
