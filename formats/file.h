// Files to read.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>

namespace tconv::formats {

// Owns a descriptor. Movable.
class File {
 public:
  explicit File(int fd, int64_t size_bytes) : fd_(fd), size_bytes_(size_bytes) {}
  File(File&& other) noexcept : fd_(std::exchange(other.fd_, -1)), size_bytes_(other.size_bytes_) {}
  File& operator=(File&&) = delete;
  ~File();

  int fd() const { return fd_; }
  int64_t size_bytes() const { return size_bytes_; }

 private:
  int fd_;
  int64_t size_bytes_;
};

// A file to read from its beginning. INVALID_ARGUMENT: it cannot be opened, or is
// not a regular file.
absl::StatusOr<File> OpenFile(const std::string& path);

// An empty file in memory, which nobody else has. INTERNAL.
absl::StatusOr<File> MakeMemoryFile();

// RESOURCE_EXHAUSTED: there is no room.
absl::Status WriteAll(int fd, std::span<const std::byte> bytes);

// All that it holds. INVALID_ARGUMENT: it cannot be read.
absl::StatusOr<std::string> ReadWhole(const File& file);

}  // namespace tconv::formats
