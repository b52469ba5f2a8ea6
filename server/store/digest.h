// A digest that tells whether stored bytes are still the written ones.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

struct XXH3_state_s;

namespace tconv::server {

using Digest = std::array<std::byte, 16>;

// XXH3-128 of fields in the order they are added. Guards against accidents, not
// against forgery.
class DigestBuilder {
 public:
  DigestBuilder();

  DigestBuilder& Add(int64_t value);
  // Counts with its length, so that a byte that moves from one text to the next
  // is noticed.
  DigestBuilder& Add(std::string_view text);
  // Counts without its length: it may come in any number of pieces. Fields
  // before it should tell where it ends.
  DigestBuilder& AddBytes(std::span<const std::byte> bytes);

  // In the canonical byte order of XXH3, the same on every machine.
  Digest Finish() const;

 private:
  struct Free {
    void operator()(XXH3_state_s* state) const;
  };

  std::unique_ptr<XXH3_state_s, Free> state_;
};

}  // namespace tconv::server
