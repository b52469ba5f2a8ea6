// Keeps a second server away from files that allow for one.
#pragma once

#include <string>

#include "server/base/status.h"

namespace tconv::server {

// An exclusive lock on a file that exists for nothing else. Held until it is
// destroyed or the process ends, however it ends; holds against other processes
// and within this one. The file stays: removing it would let two servers lock
// two files of one name.
class FileLock {
 public:
  // Creates the file at `path` when there is none. FAILED_PRECONDITION:
  // somebody else holds the lock. Else as FileError().
  static StatusOr<FileLock> Acquire(const std::string& path);

  FileLock(FileLock&& other) noexcept;
  FileLock& operator=(FileLock&&) = delete;
  ~FileLock();

 private:
  explicit FileLock(int descriptor) : descriptor_(descriptor) {}

  int descriptor_;
};

}  // namespace tconv::server
