// The use cases of the service, free of transport and encoding.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "server/access/access_control.h"
#include "server/base/mutex.h"
#include "server/base/status.h"
#include "server/compute/backward_plan_cache.h"
#include "server/compute/plan_cache.h"
#include "server/compute/worker_pool.h"
#include "server/host/admission_queue.h"
#include "server/host/chains.h"
#include "server/host/forward_job.h"
#include "server/host/forward_session.h"
#include "server/host/health_source.h"
#include "server/host/layer.h"
#include "server/host/layer_catalog.h"
#include "server/host/layer_forward.h"
#include "server/host/layer_quota.h"
#include "server/host/layer_registry.h"
#include "server/host/layer_training.h"
#include "server/host/model_info.h"
#include "server/host/model_loading.h"
#include "server/host/queued_call.h"
#include "server/layer/geometry.h"
#include "server/layer/layer_config.h"
#include "server/layer/optimizer.h"
#include "server/layer/slabs.h"
#include "server/layer/weights.h"
#include "server/store/layer_store.h"
#include "server/tensor/tensor.h"

namespace tconv::server {

struct HostLimits {
  int64_t max_layers = 10'000;  // and chains
  // Of one layer's weights in memory.
  int64_t max_layer_bytes = int64_t{2} << 30;
  // Of all loaded weights; those used least recently are dropped and read again
  // from the store when needed.
  int64_t max_loaded_weight_bytes = int64_t{8} << 30;
  // Of one output of Forward.
  int64_t max_output_bytes = (int64_t{2} << 30) - (int64_t{1} << 20);
  // Of the input and output that one stream has in memory.
  int64_t max_stream_bytes = int64_t{256} << 20;
  // Of memory for inputs and outputs that is kept while no call needs it.
  int64_t max_idle_tensor_bytes = int64_t{1} << 30;
  // As for SlabsOf().
  int64_t slab_bytes = kSlabBytes;
};

// How to create a layer.
struct LayerDraft {
  std::string name;  // empty: the config's, else generated
  LayerConfig config;
  PartialShape input_shape;  // empty: not given
  std::optional<WeightsSource> weights;
  std::string name_prefix = {};  // that a generated name begins with

  // Empty when one is to be generated.
  const std::string& chosen_name() const { return name.empty() ? config.name : name; }
};

// What Get tells of a layer.
struct LayerInfo {
  std::string name;
  LayerConfig config;
  std::optional<Optimizer> optimizer;
  int64_t in_channels = 0;
  int64_t parameter_count = 0;
  int64_t weights_version = 0;
  int64_t weight_bytes_held = 0;
  std::vector<std::shared_ptr<const CachedPlan>> plans;
};

// Whether plans are told of, too.
enum class LayerDetail : uint8_t { kBrief, kPlans };

struct LayerPage {
  std::vector<LayerInfo> layers;
  std::string next;  // the `after` of the next page; empty on the last
};

// What the host holds.
struct HostFacts {
  int64_t layers = 0;
  int64_t chains = 0;
  int64_t damaged_layers = 0;  // of the layers; damaged chains count in both
  int64_t behind_layers = 0;   // of these, an older state is served than the store has
  bool is_store_up = true;
  LruFacts weights;
  int64_t used_tensor_bytes = 0;  // inputs and outputs of calls
  int64_t idle_tensor_bytes = 0;  // kept for later ones
};

// What can be done with the layers of a store, which other servers may change, too.
// Thread-safe: calls on different layers do not wait for each other, and Forward
// waits for no change of weights.
//
// While the store is away what is loaded is served; all else is UNAVAILABLE. Other
// errors are those that tconv/v1/transposed_conv.proto states for the RPC of
// the same name, with paths of the request's fields.
class LayerHost {
 public:
  // Reads the index of the store; weights are read when first needed. `store`,
  // `plans`, `pool` and `access`, which tells the limits of tenants unless it is null, must
  // outlive the host.
  // Damaged layers are logged and answer DATA_LOSS until they are deleted.
  static StatusOr<std::unique_ptr<LayerHost>> Open(LayerStore& store, PlanCache& plans,
                                                   WorkerPool& pool, const HostLimits& limits,
                                                   const AccessControl* access = nullptr);

  StatusOr<LayerInfo> Create(LayerDraft draft);
  StatusOr<LayerInfo> Build(const std::string& name, std::span<const int64_t> input_shape);
  // Returns the new version.
  StatusOr<int64_t> SetWeights(const std::string& name, const WeightsSource& source,
                               std::optional<int64_t> if_version);
  // What SetWeights() would say to weights of these shapes, before they are there.
  // RESOURCE_EXHAUSTED beyond max_layer_bytes.
  Status CheckNewWeights(const std::string& name, const Shape& kernel,
                         const std::optional<Shape>& bias, std::optional<int64_t> if_version);
  // Takes the tensors instead of copying them, as far as their type allows.
  StatusOr<int64_t> SetWeights(const std::string& name, Tensor kernel, std::optional<Tensor> bias,
                               std::optional<int64_t> if_version);
  StatusOr<std::shared_ptr<const Weights>> GetWeights(const std::string& name);
  // Fills in what comes of `job`.
  void Forward(ForwardJob& job);
  // The same for jobs of one layer, at least one. Jobs with inputs of the same
  // shape are computed as one batch where that is allowed, with the same results
  // to the last bit; a job that fails does not harm the others.
  void ForwardTogether(std::span<ForwardJob* const> jobs);
  // Begins a Forward whose input and output are streamed; they may be larger than
  // those of a Forward. RESOURCE_EXHAUSTED beyond max_stream_bytes.
  StatusOr<std::unique_ptr<ForwardSession>> StreamForward(const StreamedForward& forward);
  // Submits `call`, a Forward, to `queue` once `version` of the layer or chain, 0 being any,
  // is served; drops it with UNAVAILABLE, worth another try, when that takes until
  // shortly before its deadline, or ten seconds. Does not wait.
  void SubmitWithVersion(const std::string& name, int64_t version, QueuedCall& call,
                         AdmissionQueue& queue) {
    catalog_->AwaitVersion(name, version, call, queue);
  }
  // Drops such a call, for nobody waits for its answer any more. False when it has
  // been submitted.
  bool AbandonWaiter(QueuedCall& call) { return catalog_->AbandonWaiter(call); }
  // What is known of a Forward before it runs. Cheap.
  ForwardOutlook OutlookOf(const std::string& name, const Shape& input_shape) const;
  StatusOr<PartialShape> ComputeOutputShape(const std::string& name,
                                            std::span<const int64_t> input_shape);
  StatusOr<LayerInfo> Get(const std::string& name);
  // Layers whose names come after `after` and satisfy `includes`, at most `limit`
  // (> 0) of them. Does not wait for the store.
  LayerPage List(const std::string& after, size_t limit,
                 const LayerRegistry::NamePredicate& includes,
                 LayerDetail detail = LayerDetail::kBrief) const;
  Status Delete(const std::string& name);

  // A layer or chain as the inference protocol sees it; NOT_FOUND, and DATA_LOSS for a damaged one.
  StatusOr<ModelInfo> DescribeModel(const std::string& name);
  // All whose names satisfy `includes`, in their order, without the damaged ones.
  std::vector<ModelInfo> ListModels(const LayerRegistry::NamePredicate& includes) const;
  // As in model_loading.h.
  Status LoadModel(const std::string& name, const Caller* caller = nullptr) {
    return tconv::server::LoadModel(*catalog_, name, caller);
  }
  Status UnloadModel(const std::string& name, bool with_layers = false,
                     const Caller* caller = nullptr) {
    return tconv::server::UnloadModel(*catalog_, name, with_layers, caller);
  }

  // Of chains. Forward and what belongs to it takes their names, too.
  StatusOr<ChainInfo> CreateChain(const ChainDraft& draft);
  StatusOr<ChainInfo> GetChain(const std::string& name) { return chains_.Get(name); }
  ChainPage ListChains(const std::string& after, size_t limit,
                       const LayerRegistry::NamePredicate& includes) const {
    return chains_.List(after, limit, includes);
  }
  Status DeleteChain(const std::string& name) { return chains_.Delete(name); }

  // As it is now.
  LayerInfo Describe(const Layer& layer, LayerDetail detail = LayerDetail::kBrief) const;
  HostFacts facts() const;

  // What trains the layers. The host, and what is given, must outlive it.
  std::unique_ptr<LayerTraining> MakeTraining(BackwardPlanCache& backward_plans, WorkerPool& pool);

  HealthSource& health() { return *catalog_; }

 private:
  LayerHost(std::unique_ptr<LayerCatalog> catalog, PlanCache& plans, WorkerPool& pool,
            const HostLimits& limits, const AccessControl* access);

  StatusOr<std::shared_ptr<Layer>> CreateNamed(const std::string& name, LayerConfig config,
                                               const std::shared_ptr<const Weights>& weights);
  StatusOr<std::shared_ptr<Layer>> CreateUnderFreeName(
      const LayerDraft& draft, const std::shared_ptr<const Weights>& weights);
  // RESOURCE_EXHAUSTED: there are as many layers and chains as there may be.
  Status CheckRoomForName() const;
  StatusOr<ModelInfo> DescribeModel(const NamedEntry& named) const;
  StatusOr<std::unique_ptr<ForwardSession>> StreamThroughLayer(const StreamedForward& forward);
  // Stores make(layer) as the next version of the weights.
  template <typename Make>
  StatusOr<int64_t> ReplaceWeights(const std::string& name, std::optional<int64_t> if_version,
                                   Make make);

  const std::unique_ptr<LayerCatalog> catalog_;
  PlanCache& plans_;
  const HostLimits limits_;
  const LayerQuota quota_;
  const std::shared_ptr<BlockPool> memory_;  // of inputs and outputs
  const LayerForward forward_;
  Chains chains_;
  // Held while what the quotas count changes; taken before the mutex of a layer.
  Mutex quota_mutex_;
};

}  // namespace tconv::server
