// One Forward on its way through the host.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "server/access/caller.h"
#include "server/base/status.h"
#include "server/telemetry/call_facts.h"
#include "server/tensor/tensor.h"
#include "server/tensor/tensor_source.h"

namespace tconv::server {

enum class LossSource : uint8_t { kActivity, kKernel, kBias };

struct Loss {
  LossSource source;
  double value;
};

// What a Forward answers.
struct ForwardResult {
  // In the compute dtype. It may be a part of what `owner` keeps alive.
  ConstTensorView output;
  std::shared_ptr<const void> owner;
  int64_t weights_version = 0;
  std::vector<Loss> losses;
};

// What is known of a Forward before it runs: nothing, as it stands here, while no
// plan for it is remembered.
struct ForwardOutlook {
  // The shortest that it has been seen to take; 0: unknown.
  std::chrono::nanoseconds least_time{0};
  // Whether several are worth computing together; those that are not would only
  // wait for each other.
  bool gains_together = false;
};

// Where the time of a Forward went. Jobs that are computed together each have
// the time of all.
struct ForwardTimes {
  std::chrono::nanoseconds plan{0};     // to find or make the plan and its weights
  std::chrono::nanoseconds compute{0};  // to fetch the input and to compute
};

// Memory for an output that the caller has.
struct OutputRoom {
  std::byte* data = nullptr;  // aligned to Tensor::kAlignment
  int64_t size_bytes = 0;
  std::shared_ptr<const void> owner;  // keeps it alive
};

struct ForwardJob {
  // `the_input` must outlive the job.
  ForwardJob(std::string the_layer, TensorSource& the_input, bool with_losses)
      : layer(std::move(the_layer)), input(&the_input), compute_losses(with_losses) {}

  // What is asked for.
  std::string layer;  // or chain
  TensorSource* input;
  bool compute_losses;
  // UNAVAILABLE, worth another try, when the layer is served at an older version.
  int64_t min_version = 0;
  // NOT_FOUND when the layer is served at another version.
  std::optional<int64_t> exact_version = {};
  // Who has to be allowed the layers of a chain, besides its name; null: anybody is.
  const Caller* caller = nullptr;
  // Apart from the input. Absent: the host allocates the output.
  std::optional<OutputRoom> room = {};

  // What came of it.
  StatusOr<ForwardResult> result = ForwardResult();
  ForwardTimes times;
  ForwardFacts facts;
};

}  // namespace tconv::server
