#include "server/host/shared_memory.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace tconv::server {
namespace {

// Bytes of mapped memory, counted until they are unmapped.
class Charge {
 public:
  Charge(std::shared_ptr<std::atomic<int64_t>> total, int64_t bytes,
         std::shared_ptr<const void> until_unmapped)
      : until_unmapped_(std::move(until_unmapped)), total_(std::move(total)), bytes_(bytes) {
    *total_ += bytes_;
  }
  ~Charge() { *total_ -= bytes_; }
  Charge(const Charge&) = delete;
  Charge& operator=(const Charge&) = delete;

 private:
  const std::shared_ptr<const void> until_unmapped_;
  const std::shared_ptr<std::atomic<int64_t>> total_;
  const int64_t bytes_;
};

// The size of memory that keeps it. Memory that shrank would kill the server when
// it reads; so would huge pages, which their file system can take back.
StatusOr<int64_t> SealedSize(int memory) {
  constexpr int kSeals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
  const int seals = fcntl(memory, F_GET_SEALS);
  struct statfs system = {};
  if (seals < 0 || fstatfs(memory, &system) != 0 || system.f_type != TMPFS_MAGIC) {
    return Status(StatusCode::kInvalidArgument, "expected a memfd of ordinary pages");
  }
  if ((seals & kSeals) != kSeals) {
    return Status(StatusCode::kInvalidArgument,
                  "expected a memfd with the seals F_SEAL_SHRINK, F_SEAL_GROW and F_SEAL_SEAL");
  }
  struct stat file = {};
  if (fstat(memory, &file) != 0 || file.st_size <= 0) {
    return Status(StatusCode::kInvalidArgument, "expected a memfd that is not empty");
  }
  return file.st_size;
}

StatusOr<std::byte*> Map(int memory, int64_t size_bytes) {
  void* data =
      mmap(nullptr, static_cast<size_t>(size_bytes), PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
  if (data != MAP_FAILED) return static_cast<std::byte*>(data);
  const bool is_refused = errno == EACCES || errno == EPERM;
  return MakeError(is_refused ? StatusCode::kInvalidArgument : StatusCode::kResourceExhausted,
                   "cannot map {} bytes to read and write: {}", size_bytes, std::strerror(errno));
}

StatusOr<std::string> MakeName() {
  std::array<unsigned char, 16> bits = {};
  if (getrandom(bits.data(), bits.size(), 0) != static_cast<ssize_t>(bits.size())) {
    return Status(StatusCode::kUnavailable, "the system has no random numbers");
  }
  return fmt::format("{:02x}", fmt::join(bits, ""));
}

}  // namespace

SharedSegment::~SharedSegment() { munmap(data_, static_cast<size_t>(size_bytes_)); }

StatusOr<std::byte*> SharedSegment::At(int64_t offset, int64_t size_bytes) const {
  constexpr auto kAlignment = static_cast<int64_t>(Tensor::kAlignment);
  if (offset < 0 || offset % kAlignment != 0) {
    return InvalidField("offset", "expected a multiple of {}, got {}", kAlignment, offset);
  }
  if (size_bytes < 0 || offset > size_bytes_ || size_bytes > size_bytes_ - offset) {
    return InvalidField("offset", "expected {} bytes from {} on within a segment of {}", size_bytes,
                        offset, size_bytes_);
  }
  return data_ + offset;
}

StatusOr<std::string> SharedMemory::Add(int memory, std::shared_ptr<const void> until_unmapped) {
  TCONV_ASSIGN_OR_RETURN(const int64_t size_bytes, SealedSize(memory));
  TCONV_ASSIGN_OR_RETURN(std::string name, MakeName());

  MutexLock lock(mutex_);
  if (segments_.size() >= limits_.max_segments) {
    return MakeError(StatusCode::kResourceExhausted,
                     "the server holds its limit of {} segments of shared memory",
                     limits_.max_segments);
  }
  if (size_bytes > limits_.max_bytes - *mapped_bytes_) {
    return MakeError(StatusCode::kResourceExhausted,
                     "{} bytes of shared memory beside the {} that are mapped are more than the "
                     "server allows, {}",
                     size_bytes, mapped_bytes_->load(), limits_.max_bytes);
  }
  auto charge =
      std::make_shared<const Charge>(mapped_bytes_, size_bytes, std::move(until_unmapped));
  TCONV_ASSIGN_OR_RETURN(std::byte* const data, Map(memory, size_bytes));
  segments_.emplace(name,
                    std::make_shared<const SharedSegment>(data, size_bytes, std::move(charge)));
  return name;
}

void SharedMemory::Remove(const std::string& name) {
  std::shared_ptr<const SharedSegment> removed;
  MutexLock lock(mutex_);
  const auto found = segments_.find(name);
  if (found == segments_.end()) return;
  // Unmapping takes its time; it happens when the lock is free again.
  removed = std::move(found->second);
  segments_.erase(found);
}

StatusOr<std::shared_ptr<const SharedSegment>> SharedMemory::Find(const std::string& name) const {
  MutexLock lock(mutex_);
  const auto found = segments_.find(name);
  if (found != segments_.end()) return found->second;
  return Status(StatusCode::kNotFound,
                "no shared memory of this name: the connection that it was given over has ended");
}

}  // namespace tconv::server
