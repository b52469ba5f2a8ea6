// A host with chains for tests.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "server/compute/strategies.h"
#include "server/host/layer_host.h"
#include "server/store/memory_store.h"
#include "tests/support/shape_table.h"
#include "tests/support/status_matchers.h"

namespace tconv::testing {

class ChainHost {
 public:
  explicit ChainHost(const server::HostLimits& limits = {},
                     const server::AccessControl* access = nullptr)
      : host_(server::LayerHost::Open(store_, plans_, *pool_, limits, access).value()) {}

  server::LayerHost* operator->() { return host_.get(); }
  server::WorkerPool& pool() { return *pool_; }

  // With random weights, the same for the same seed.
  void CreateLayer(const std::string& name, const server::LayerConfig& config, int64_t in_channels,
                   uint64_t seed = 1) {
    std::vector<int64_t> dims(static_cast<size_t>(config.tensor_rank()), 2);
    dims[static_cast<size_t>(config.channel_axis())] = in_channels;
    const auto problem =
        server::MakeDeconvProblem(config, in_channels, server::Shape::Make(dims).value()).value();
    const auto weights = RandomWeights(problem, config.dtype.variable, seed);
    server::ViewSource kernel(weights->kernel.view());
    server::ViewSource bias(weights->bias.has_value() ? weights->bias->view()
                                                      : server::ConstTensorView());
    server::LayerDraft draft{.name = name, .config = config, .input_shape = {}, .weights = {}};
    draft.weights = server::WeightsSource{&kernel, weights->bias.has_value() ? &bias : nullptr};
    ASSERT_THAT(host_->Create(std::move(draft)), IsOk());
  }

  server::StatusOr<server::ForwardResult> Forward(const std::string& name,
                                                  server::ConstTensorView input,
                                                  bool compute_losses = false,
                                                  int64_t min_version = 0) {
    server::ViewSource source(input);
    server::ForwardJob job(name, source, compute_losses);
    job.min_version = min_version;
    host_->Forward(job);
    return std::move(job.result);
  }

 private:
  std::unique_ptr<server::WorkerPool> pool_ = server::WorkerPool::Make(2).value();
  std::unique_ptr<const server::Planner> planner_ =
      server::Planner::Make(server::MakeStrategies(*pool_).value(), "").value();
  server::PlanCache plans_{*planner_, int64_t{1} << 28};
  server::MemoryStore store_{int64_t{1} << 30};
  std::unique_ptr<server::LayerHost> host_;
};

}  // namespace tconv::testing
