// Memory that is given to a server, and what of it is in use.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <cstddef>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "client/src/region_arena.h"
#include "proto/codec/segment_socket.h"

namespace tconv::internal {

// A memfd, mapped here and by the server. Thread-safe.
class SegmentMemory : public std::enable_shared_from_this<SegmentMemory> {
 public:
  // One connection over which the memory was given.
  struct Registration {
    codec::FileDescriptor socket;
    std::string segment;
    // Guarded by the mutex of the memory.
    int calls = 0;
    std::vector<Region> abandoned;
  };

  // A call that names the memory; lets the registration go at its end.
  class Call {
   public:
    Call(std::shared_ptr<SegmentMemory> memory, std::shared_ptr<Registration> registration)
        : memory_(std::move(memory)), registration_(std::move(registration)) {}
    Call(Call&& other) = default;
    ~Call() {
      if (memory_ != nullptr) memory_->EndCall(*registration_);
    }

    const std::string& segment() const { return registration_->segment; }
    // The region belongs to the server until it has ended this call.
    void Abandon(Region region) { memory_->Abandon(registration_, region); }

   private:
    std::shared_ptr<SegmentMemory> memory_;
    std::shared_ptr<Registration> registration_;
  };

  static absl::StatusOr<std::shared_ptr<SegmentMemory>> Open(std::string socket_path, size_t bytes);
  ~SegmentMemory();
  SegmentMemory(const SegmentMemory&) = delete;
  SegmentMemory& operator=(const SegmentMemory&) = delete;

  std::byte* data() const { return data_; }

  // RESOURCE_EXHAUSTED.
  absl::StatusOr<Region> Take(size_t bytes);
  void Return(Region region);

  // Gives the memory to the server again when the connection has ended.
  absl::StatusOr<Call> BeginCall();

 private:
  SegmentMemory(std::string socket_path, codec::FileDescriptor memory, std::byte* data,
                size_t bytes);

  absl::StatusOr<std::shared_ptr<Registration>> Register() const;
  void EndCall(Registration& registration);
  void Abandon(const std::shared_ptr<Registration>& registration, Region region);
  // Returns what the server has let go of. The mutex is held.
  void Reclaim();

  const std::string socket_path_;
  const codec::FileDescriptor memory_;
  std::byte* const data_;
  const size_t bytes_;

  std::mutex mutex_;
  RegionArena arena_;
  std::shared_ptr<Registration> current_;               // null: to be made by the next call
  std::vector<std::shared_ptr<Registration>> retired_;  // with abandoned regions
};

}  // namespace tconv::internal
