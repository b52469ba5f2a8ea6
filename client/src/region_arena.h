// Regions of one piece of memory.
#pragma once

#include <cstddef>
#include <map>
#include <optional>

namespace tconv::internal {

// A part of the memory: whole multiples of RegionArena::kAlignment.
struct Region {
  size_t offset = 0;
  size_t bytes = 0;
};

// Which parts of a memory are taken. The first gap that is large enough is used,
// and neighbouring gaps become one: good for the few large tensors it is for.
class RegionArena {
 public:
  static constexpr size_t kAlignment = 64;

  explicit RegionArena(size_t bytes);

  // Nothing when no gap has so many bytes.
  std::optional<Region> Take(size_t bytes);
  // REQUIRES: Take() gave it.
  void Return(Region region);

 private:
  std::map<size_t, size_t> gaps_;  // offset to bytes
};

}  // namespace tconv::internal
