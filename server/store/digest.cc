#include "server/store/digest.h"

#include <xxhash.h>

#include <cstring>
#include <new>

namespace tconv::server {

void DigestBuilder::Free::operator()(XXH3_state_s* state) const { XXH3_freeState(state); }

DigestBuilder::DigestBuilder() : state_(XXH3_createState()) {
  if (state_ == nullptr) throw std::bad_alloc();
  XXH3_128bits_reset(state_.get());
}

DigestBuilder& DigestBuilder::Add(int64_t value) {
  std::array<unsigned char, 8> little_endian;
  for (size_t i = 0; i < little_endian.size(); ++i) {
    little_endian[i] = static_cast<unsigned char>(static_cast<uint64_t>(value) >> (8 * i));
  }
  return AddBytes(std::as_bytes(std::span(little_endian)));
}

DigestBuilder& DigestBuilder::Add(std::string_view text) {
  Add(static_cast<int64_t>(text.size()));
  return AddBytes(std::as_bytes(std::span(text)));
}

DigestBuilder& DigestBuilder::AddBytes(std::span<const std::byte> bytes) {
  XXH3_128bits_update(state_.get(), bytes.data(), bytes.size());
  return *this;
}

Digest DigestBuilder::Finish() const {
  XXH128_canonical_t canonical;
  XXH128_canonicalFromHash(&canonical, XXH3_128bits_digest(state_.get()));
  Digest digest;
  static_assert(sizeof(canonical.digest) == digest.size());
  std::memcpy(digest.data(), canonical.digest, digest.size());
  return digest;
}

}  // namespace tconv::server
