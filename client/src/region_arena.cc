#include "client/src/region_arena.h"

#include <algorithm>
#include <iterator>

namespace tconv::internal {

RegionArena::RegionArena(size_t bytes) {
  const size_t usable = bytes / kAlignment * kAlignment;
  if (usable > 0) gaps_.emplace(0, usable);
}

std::optional<Region> RegionArena::Take(size_t bytes) {
  // Empty tensors have a place as well. Nothing so large that rounding it up would
  // overflow fits.
  const size_t units = std::max<size_t>(1, bytes / kAlignment + (bytes % kAlignment != 0));
  const auto gap = std::find_if(gaps_.begin(), gaps_.end(), [units](const auto& candidate) {
    return candidate.second / kAlignment >= units;
  });
  if (gap == gaps_.end()) return std::nullopt;
  const Region taken{gap->first, units * kAlignment};
  const size_t left = gap->second - taken.bytes;
  gaps_.erase(gap);
  if (left > 0) gaps_.emplace(taken.offset + taken.bytes, left);
  return taken;
}

void RegionArena::Return(Region region) {
  auto gap = gaps_.emplace(region.offset, region.bytes).first;
  const auto next = std::next(gap);
  if (next != gaps_.end() && gap->first + gap->second == next->first) {
    gap->second += next->second;
    gaps_.erase(next);
  }
  if (gap == gaps_.begin()) return;
  const auto previous = std::prev(gap);
  if (previous->first + previous->second != gap->first) return;
  previous->second += gap->second;
  gaps_.erase(gap);
}

}  // namespace tconv::internal
