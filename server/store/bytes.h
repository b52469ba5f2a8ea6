// Memory of the stores: borrowed bytes, and values as the bytes they lie in.
#pragma once

#include <bit>
#include <cstddef>
#include <span>
#include <string_view>

#include "server/tensor/tensor.h"

namespace tconv::server {

using ByteSpan = std::span<const std::byte>;

inline ByteSpan BytesOf(std::string_view text) { return std::as_bytes(std::span(text)); }

static_assert(std::endian::native == std::endian::little, "elements are stored as they lie");
inline ByteSpan BytesOf(ConstTensorView tensor) {
  return {tensor.data, static_cast<size_t>(tensor.size_bytes())};
}

}  // namespace tconv::server
