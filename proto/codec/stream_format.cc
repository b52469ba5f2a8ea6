#include "proto/codec/stream_format.h"

#include <xxhash.h>

#include <new>

namespace tconv::codec {

void Checksum::Free::operator()(XXH3_state_s* state) const { XXH3_freeState(state); }

Checksum::Checksum() : state_(XXH3_createState()) {
  if (state_ == nullptr) throw std::bad_alloc();
  Reset();
}

void Checksum::Reset() { XXH3_64bits_reset(state_.get()); }

void Checksum::Add(std::span<const std::byte> bytes) {
  XXH3_64bits_update(state_.get(), bytes.data(), bytes.size());
}

uint64_t Checksum::value() const { return XXH3_64bits_digest(state_.get()); }

}  // namespace tconv::codec
