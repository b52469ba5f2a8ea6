// XXH3 (64 bits, seed 0), which streams of elements end with.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

struct XXH3_state_s;

namespace tconv::server {

// Of bytes that come in any number of pieces. Guards against accidents, not
// against forgery.
class Checksum {
 public:
  Checksum();

  void Add(std::span<const std::byte> bytes);
  uint64_t value() const;

 private:
  struct Free {
    void operator()(XXH3_state_s* state) const;
  };

  std::unique_ptr<XXH3_state_s, Free> state_;
};

}  // namespace tconv::server
