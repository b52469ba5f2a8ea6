// Forward by a stream.
#pragma once

#include <absl/status/statusor.h>
#include <tconv/calls.h>

#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <string>

#include "client/src/call.h"

namespace tconv {

// Which layers are channels_first: their streams have another order than their
// tensors. Learned from answers. Thread-safe.
class DataFormats {
 public:
  bool IsChannelsFirst(const std::string& layer) const;
  void Remember(const std::string& layer, bool is_channels_first);

 private:
  mutable std::mutex mutex_;
  std::set<std::string> channels_first_;  // guarded by mutex_
};

// Sends a tensor and receives one, both row-major. A layer that turns out to
// have another data format than `formats` says is called once more. `terms` say of
// the call what `options` might. `done` is called exactly once, on the thread that
// handles `queue`.
void StartForwardStream(std::shared_ptr<const Endpoint> endpoint, CallTerms terms,
                        std::shared_ptr<DataFormats> formats, const std::string& layer,
                        const Tensor& input, const ForwardStreamOptions& options,
                        grpc::CompletionQueue& queue,
                        std::function<void(absl::StatusOr<ForwardResult>)> done);

// Sends what the caller reads, and hands on to the caller what comes.
void StartForwardStream(std::shared_ptr<const Endpoint> endpoint, CallTerms terms,
                        const std::string& layer, const InputStream& input,
                        const OutputStream& output, const ForwardStreamOptions& options,
                        grpc::CompletionQueue& queue,
                        std::function<void(absl::StatusOr<ForwardStreamResult>)> done);

}  // namespace tconv
