// Readers of files that crash on corrupt ones, kept where that does no harm.
#pragma once

#include <absl/status/statusor.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>

#include <nlohmann/json.hpp>

namespace tconv::formats {

// Where a confined reader puts what is too large for its answer.
class Attic {
 public:
  // Writes to `fd`, at most `most_bytes` in all. Does not own it.
  Attic(int fd, int64_t most_bytes) : fd_(fd), most_bytes_(most_bytes) {}

  // Begins a new part, at a multiple of 64 bytes.
  absl::Status Begin();
  // Adds to the last part. RESOURCE_EXHAUSTED beyond the limit.
  absl::Status Append(std::span<const std::byte> bytes);
  // The last part, for Findings::Part().
  nlohmann::json Part() const;

 private:
  const int fd_;
  const int64_t most_bytes_;
  int64_t size_bytes_ = 0;
  int64_t part_begin_ = 0;
};

// What a confined reader has found. Believe no more of it than of the file.
struct Findings {
  nlohmann::json answer = {};
  // All that is in the attic, while `owner` lives.
  std::span<const std::byte> attic = {};
  std::shared_ptr<const void> owner = {};

  // What Attic::Part() told. INVALID_ARGUMENT when there is no such part.
  absl::StatusOr<std::span<const std::byte>> Part(const nlohmann::json& part) const;
};

using ConfinedReader = std::function<absl::StatusOr<nlohmann::json>(Attic&)>;

// Runs `read` in a process of its own, for a file of so many bytes. The process may
// take memory for 64 MiB and sixteen times the file, which no honest file of weights
// unpacks to, and ten seconds and one for each 8 MiB of it, of a processor, and ten times
// that in all.
// INVALID_ARGUMENT with the message of the reader's error, or that it crashed.
// INTERNAL when there can be no process.
absl::StatusOr<Findings> RunConfined(int64_t file_bytes, const ConfinedReader& read);

}  // namespace tconv::formats
