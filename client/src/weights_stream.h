// Weights by streams.
#pragma once

#include <absl/status/statusor.h>
#include <tconv/calls.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "client/src/call.h"

namespace tconv {

// Both call `done` exactly once, on the thread that handles `queue`.
void StartSetWeightsStream(std::shared_ptr<const Endpoint> endpoint, CallTerms terms,
                           const std::string& layer, const NewWeights& weights,
                           grpc::CompletionQueue& queue,
                           std::function<void(absl::StatusOr<int64_t>)> done);
void StartGetWeightsStream(std::shared_ptr<const Endpoint> endpoint, CallTerms terms,
                           const std::string& layer, grpc::CompletionQueue& queue,
                           std::function<void(absl::StatusOr<VersionedWeights>)> done);

}  // namespace tconv
