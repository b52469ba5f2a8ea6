// One of several hosts that share a store.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "server/base/mutex.h"
#include "server/compute/backward_plan_cache.h"
#include "server/compute/backward_planner.h"
#include "server/compute/backward_strategies.h"
#include "server/compute/strategies.h"
#include "server/compute/worker_pool.h"
#include "server/host/layer_host.h"
#include "server/host/layer_training.h"
#include "tests/support/layer_config_builder.h"
#include "tests/support/store_link.h"

namespace tconv::testing {

// Weights of a 1 x 1 layer from one channel to one filter: y = kernel * x + bias.
class OneByOne {
 public:
  OneByOne(float kernel, float bias) : kernel_{kernel}, bias_{bias} {}

  server::WeightsSource source() { return {&kernel_source_, &bias_source_}; }

 private:
  static server::ConstTensorView ViewOf(const std::array<float, 1>& value,
                                        const server::Shape& shape) {
    return {server::DType::kFloat32, shape, reinterpret_cast<const std::byte*>(value.data())};
  }

  const std::array<float, 1> kernel_;
  const std::array<float, 1> bias_;
  server::ViewSource kernel_source_{ViewOf(kernel_, server::Shape({1, 1, 1, 1}))};
  server::ViewSource bias_source_{ViewOf(bias_, server::Shape({1}))};
};

// A host of layers that multiply a pixel by a number.
class Replica {
 public:
  // `store` must be one that can be followed, and outlive the replica.
  explicit Replica(server::LayerStore& store, const server::HostLimits& limits = {})
      : link_(store), host_(server::LayerHost::Open(link_, plans_, *pool_, limits).value()) {
    host_->health().SetHealthListener([this] {
      server::MutexLock lock(mutex_);
      health_changed_.NotifyAll();
    });
  }
  ~Replica() { host_->health().SetHealthListener(nullptr); }

  server::LayerHost& host() { return *host_; }
  server::LayerTraining& training() { return *training_; }
  StoreLink& link() { return link_; }

  server::Status Create(const std::string& name, float factor) {
    OneByOne weights(factor, 0);
    return host_->Create({name, LayerConfigBuilder().Build(), {}, weights.source()}).status();
  }

  server::StatusOr<int64_t> Set(const std::string& name, float factor,
                                std::optional<int64_t> if_version = std::nullopt) {
    return host_->SetWeights(name, OneByOne(factor, 0).source(), if_version);
  }

  // What the layer makes of 1, and by which version.
  struct Answer {
    float factor = 0;
    int64_t version = 0;

    friend bool operator==(const Answer&, const Answer&) = default;
  };
  server::StatusOr<Answer> Apply(const std::string& name, int64_t min_version = 0) {
    const float x = 1;
    server::ViewSource input({server::DType::kFloat32, server::Shape({1, 1, 1, 1}),
                              reinterpret_cast<const std::byte*>(&x)});
    server::ForwardJob job(name, input, false);
    job.min_version = min_version;
    host_->Forward(job);
    if (!job.result.ok()) return job.result.status();
    return Answer{job.result->output.values<float>()[0], job.result->weights_version};
  }

  // Waits until `is_so` what the host tells about its health.
  void AwaitHealth(const std::function<bool(const server::HealthSource&)>& is_so) {
    server::MutexLock lock(mutex_);
    while (!is_so(host_->health())) health_changed_.Wait(mutex_);
  }

 private:
  StoreLink link_;
  const std::unique_ptr<server::WorkerPool> pool_ = server::WorkerPool::Make(1).value();
  const std::unique_ptr<const server::Planner> planner_ =
      server::Planner::Make(*server::MakeStrategies(*pool_), "").value();
  server::PlanCache plans_{*planner_, int64_t{1} << 24};
  const server::BackwardPlanner backward_planner_{server::MakeBackwardStrategies(*pool_).value()};
  server::BackwardPlanCache backward_plans_{backward_planner_};
  const std::unique_ptr<server::LayerHost> host_;
  const std::unique_ptr<server::LayerTraining> training_ =
      host_->MakeTraining(backward_plans_, *pool_);
  server::Mutex mutex_;
  server::CondVar health_changed_;
};

}  // namespace tconv::testing
