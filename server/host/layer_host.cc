#include "server/host/layer_host.h"

#include <algorithm>
#include <utility>

#include "server/host/layer_session.h"
#include "server/host/version_waiters.h"
#include "server/store/store_errors.h"

namespace tconv::server {
namespace {

constexpr size_t kMaxNameBytes = 255;
// Generated names that others may have taken, until Create() gives up.
constexpr int kMostNamesTried = 100;
// Weights that are about to be stored get the version then.
constexpr int64_t kVersionOfTheStore = 0;

Status CheckName(const std::string& name) {
  if (name.size() > kMaxNameBytes) {
    return InvalidField("name", "expected at most {} bytes, got {}", kMaxNameBytes, name.size());
  }
  if (name.find('/') != std::string::npos) {
    return InvalidField("name", "expected a name without \"/\", got \"{}\"", name);
  }
  const auto is_control = [](char c) {
    return static_cast<unsigned char>(c) < 0x20 || c == '\x7f';
  };
  if (std::any_of(name.begin(), name.end(), is_control)) {
    return InvalidField("name", "expected a name without control characters");
  }
  return OkStatus();
}

// Whether weights may be replaced. Versions only grow: one that the layer has not
// reached here may be in the store, which compares it, too.
Status CheckVersion(const Layer& layer, std::optional<int64_t> if_version) {
  const int64_t version = layer.newest().weights_version;
  if (if_version.has_value() && *if_version < version) {
    return VersionMoved(layer.name(), *if_version, version);
  }
  return OkStatus();
}

Status BuiltAlready(const std::string& name) {
  return MakeError(StatusCode::kFailedPrecondition, "layer \"{}\" is built already", name);
}

// Refuses weights over the limit before anything is allocated for them.
Status CheckWeightBytes(const LayerConfig& config, int64_t in_channels, int64_t limit) {
  TCONV_RETURN_IF_ERROR(KernelShape(config, in_channels).status());
  const int64_t bytes = WeightBytesOf(config, in_channels);
  if (bytes > limit) {
    return MakeError(StatusCode::kResourceExhausted,
                     "weights take {} bytes, the server allows {} for a layer", bytes, limit);
  }
  return OkStatus();
}

// The channels that a kernel was made for; a malformed kernel is left for
// MakeWeights() to refuse.
int64_t ChannelsOf(const Shape& kernel) {
  return kernel.rank() > 0 ? kernel[kernel.rank() - 1] : 0;
}

// The weights that a draft asks for; null for a layer to be built later.
StatusOr<std::shared_ptr<const Weights>> FirstWeights(const LayerDraft& draft,
                                                      int64_t max_layer_bytes) {
  if (draft.input_shape.empty() && !draft.weights.has_value()) return nullptr;
  int64_t in_channels = 0;
  if (draft.input_shape.empty()) {
    in_channels = ChannelsOf(draft.weights->kernel->shape());
  } else {
    TCONV_ASSIGN_OR_RETURN(in_channels, InputChannels(draft.config, draft.input_shape));
  }
  TCONV_RETURN_IF_ERROR(CheckWeightBytes(draft.config, in_channels, max_layer_bytes));
  StatusOr<Weights> weights = draft.weights.has_value()
                                  ? MakeWeights(draft.config, in_channels, *draft.weights, 1)
                                  : InitializeWeights(draft.config, in_channels);
  if (!weights.ok()) {
    return draft.weights.has_value() ? InField("weights", weights.status()) : weights.status();
  }
  return std::make_shared<const Weights>(*std::move(weights));
}

}  // namespace

LayerHost::LayerHost(std::unique_ptr<LayerCatalog> catalog, PlanCache& plans, WorkerPool& pool,
                     const HostLimits& limits, const AccessControl* access)
    : catalog_(std::move(catalog)),
      plans_(plans),
      limits_(limits),
      quota_(*catalog_, access),
      memory_(BlockPool::Make(limits.max_idle_tensor_bytes)),
      forward_({plans, *memory_, quota_, limits.max_output_bytes, limits.slab_bytes}),
      chains_(*catalog_, forward_, pool) {}

StatusOr<std::unique_ptr<LayerHost>> LayerHost::Open(LayerStore& store, PlanCache& plans,
                                                     WorkerPool& pool, const HostLimits& limits,
                                                     const AccessControl* access) {
  TCONV_ASSIGN_OR_RETURN(auto catalog,
                         LayerCatalog::Open(store, plans, limits.max_loaded_weight_bytes));
  return std::unique_ptr<LayerHost>(new LayerHost(std::move(catalog), plans, pool, limits, access));
}

StatusOr<LayerInfo> LayerHost::Create(LayerDraft draft) {
  TCONV_ASSIGN_OR_RETURN(std::shared_ptr<const Weights> weights,
                         FirstWeights(draft, limits_.max_layer_bytes));
  const std::string name = draft.chosen_name();
  TCONV_RETURN_IF_ERROR(CheckName(name));

  MutexLock lock(quota_mutex_);
  TCONV_RETURN_IF_ERROR(CheckRoomForName());
  TCONV_ASSIGN_OR_RETURN(const std::shared_ptr<Layer> layer,
                         name.empty() ? CreateUnderFreeName(draft, weights)
                                      : CreateNamed(name, draft.config, weights));
  return Describe(*layer);
}

Status LayerHost::CheckRoomForName() const {
  if (catalog_->size() < limits_.max_layers) return OkStatus();
  return MakeError(StatusCode::kResourceExhausted,
                   "the server holds its limit of {} layers and chains", limits_.max_layers);
}

StatusOr<std::shared_ptr<Layer>> LayerHost::CreateNamed(
    const std::string& name, LayerConfig config, const std::shared_ptr<const Weights>& weights) {
  TCONV_RETURN_IF_ERROR(
      quota_.CheckRoomFor(name, 1, weights == nullptr ? 0 : weights->size_bytes()));
  if (config.name.empty()) config.name = name;
  const LayerSnapshot state = weights == nullptr ? LayerSnapshot() : SnapshotOf(*weights);
  return catalog_->Create({.name = name,
                           .config = std::move(config),
                           .in_channels = state.in_channels,
                           .weights_version = state.weights_version},
                          weights);
}

StatusOr<std::shared_ptr<Layer>> LayerHost::CreateUnderFreeName(
    const LayerDraft& draft, const std::shared_ptr<const Weights>& weights) {
  const std::string stem = draft.name_prefix + SnakeCaseClassName(draft.config.spatial_rank);
  for (int attempt = 1;; ++attempt) {
    auto layer = CreateNamed(catalog_->GenerateName(stem), draft.config, weights);
    // Other servers generate the same names.
    const bool is_taken = layer.status().code() == StatusCode::kAlreadyExists;
    if (!is_taken || attempt == kMostNamesTried) return layer;
  }
}

StatusOr<LayerInfo> LayerHost::Build(const std::string& name,
                                     std::span<const int64_t> input_shape) {
  TCONV_ASSIGN_OR_RETURN(const std::shared_ptr<Layer> layer, catalog_->Find(name));
  const auto settings = layer->settings();
  const LayerConfig& config = settings->config;
  TCONV_ASSIGN_OR_RETURN(const int64_t in_channels, InputChannels(config, input_shape));
  TCONV_RETURN_IF_ERROR(CheckWeightBytes(config, in_channels, limits_.max_layer_bytes));
  if (layer->newest().is_built()) return BuiltAlready(name);
  TCONV_ASSIGN_OR_RETURN(Weights weights, InitializeWeights(config, in_channels));

  MutexLock quota_lock(quota_mutex_);
  MutexLock lock(layer->change_mutex());
  if (layer->newest().is_built()) return BuiltAlready(name);
  TCONV_RETURN_IF_ERROR(quota_.CheckRoomFor(name, 0, weights.size_bytes()));
  const auto version =
      catalog_->Advance(*layer, std::make_shared<Weights>(std::move(weights)), /*if_version=*/0);
  const bool is_too_late = version.status().code() == StatusCode::kAborted;
  if (is_too_late && !layer->is_deleted()) return BuiltAlready(name);
  if (!version.ok()) return version.status();
  return Describe(*layer);
}

template <typename Make>
StatusOr<int64_t> LayerHost::ReplaceWeights(const std::string& name,
                                            std::optional<int64_t> if_version, Make make) {
  TCONV_ASSIGN_OR_RETURN(const std::shared_ptr<Layer> layer, catalog_->FindBuilt(name));

  MutexLock lock(layer->change_mutex());
  TCONV_RETURN_IF_ERROR(CheckVersion(*layer, if_version));
  StatusOr<Weights> next = make(*layer);
  if (!next.ok()) return InField("weights", next.status());
  return catalog_->Advance(*layer, std::make_shared<Weights>(*std::move(next)), if_version);
}

StatusOr<int64_t> LayerHost::SetWeights(const std::string& name, const WeightsSource& source,
                                        std::optional<int64_t> if_version) {
  return ReplaceWeights(name, if_version, [&](const Layer& layer) {
    return MakeWeights(layer.settings()->config, layer.newest().in_channels, source,
                       kVersionOfTheStore);
  });
}

StatusOr<int64_t> LayerHost::SetWeights(const std::string& name, Tensor kernel,
                                        std::optional<Tensor> bias,
                                        std::optional<int64_t> if_version) {
  return ReplaceWeights(name, if_version, [&](const Layer& layer) {
    return AdoptWeights(layer.settings()->config, layer.newest().in_channels, std::move(kernel),
                        std::move(bias), kVersionOfTheStore);
  });
}

Status LayerHost::CheckNewWeights(const std::string& name, const Shape& kernel,
                                  const std::optional<Shape>& bias,
                                  std::optional<int64_t> if_version) {
  TCONV_ASSIGN_OR_RETURN(const std::shared_ptr<Layer> layer, catalog_->FindBuilt(name));
  TCONV_RETURN_IF_ERROR(CheckVersion(*layer, if_version));
  const auto settings = layer->settings();
  const int64_t in_channels = layer->newest().in_channels;
  TCONV_RETURN_IF_ERROR(CheckWeightBytes(settings->config, in_channels, limits_.max_layer_bytes));
  return CheckWeightShapes(settings->config, in_channels, kernel, bias);
}

StatusOr<std::shared_ptr<const Weights>> LayerHost::GetWeights(const std::string& name) {
  TCONV_ASSIGN_OR_RETURN(LayerCatalog::Served served, catalog_->FindServed(name));
  return std::move(served.weights);
}

void LayerHost::Forward(ForwardJob& job) {
  ForwardJob* const jobs[] = {&job};
  ForwardTogether(jobs);
}

void LayerHost::ForwardTogether(std::span<ForwardJob* const> jobs) {
  const std::string& name = jobs.front()->layer;
  const auto named = catalog_->FindAny(name);
  if (named.ok() && named->chain != nullptr) return chains_.ForwardTogether(*named->chain, jobs);
  const auto served = named.ok() ? catalog_->FindServed(name) : named.status();
  if (!served.ok()) {
    for (ForwardJob* job : jobs) job->result = served.status();
    return;
  }
  const auto& [layer, weights] = *served;
  std::vector<ForwardJob*> ready;
  for (ForwardJob* job : jobs) {
    job->facts.layer_id = layer->id();
    job->facts.weights_version = weights->version;
    const Status status = CheckVersion(VersionedLayers(layer), weights->version, *job);
    if (status.ok()) {
      ready.push_back(job);
    } else {
      job->result = status;
    }
  }
  forward_.Run(layer->settings()->config, weights, ready);
}

StatusOr<std::unique_ptr<ForwardSession>> LayerHost::StreamForward(const StreamedForward& forward) {
  TCONV_ASSIGN_OR_RETURN(const NamedEntry named, catalog_->FindAny(forward.layer));
  TCONV_ASSIGN_OR_RETURN(auto session, named.chain != nullptr
                                           ? chains_.StreamForward(*named.chain, forward)
                                           : StreamThroughLayer(forward));
  if (session->buffer_bytes() > limits_.max_stream_bytes) {
    return MakeError(StatusCode::kResourceExhausted,
                     "the parts in which {} is computed take {} bytes, the server allows a stream "
                     "{}",
                     ToString(forward.shape), session->buffer_bytes(), limits_.max_stream_bytes);
  }
  return session;
}

StatusOr<std::unique_ptr<ForwardSession>> LayerHost::StreamThroughLayer(
    const StreamedForward& forward) {
  TCONV_ASSIGN_OR_RETURN(const LayerCatalog::Served served, catalog_->FindServed(forward.layer));
  const auto& [layer, weights] = served;
  if (weights->version < forward.min_version) {
    return VersionNotServed(VersionedLayers(layer), forward.min_version);
  }
  const auto settings = layer->settings();
  TCONV_ASSIGN_OR_RETURN(
      const DeconvProblem problem,
      MakeDeconvProblem(settings->config, weights->in_channels(), forward.shape));
  auto session = std::make_unique<LayerSession>(
      settings->config, weights, forward_.ComputationOf(forward.layer, problem, weights),
      forward.dtype, forward.compute_losses);
  session->set_layer_id(layer->id());
  return session;
}

ForwardOutlook LayerHost::OutlookOf(const std::string& name, const Shape& input_shape) const {
  const auto served = catalog_->Peek(name);
  if (!served.has_value()) {
    const auto chain = catalog_->PeekChain(name);
    return chain == nullptr ? ForwardOutlook() : chains_.OutlookOf(*chain, input_shape);
  }
  const auto& [layer, weights] = *served;
  const auto problem =
      MakeDeconvProblem(layer->settings()->config, weights->in_channels(), input_shape);
  const auto plan = problem.ok() ? plans_.Find(*problem, weights) : nullptr;
  return plan == nullptr ? ForwardOutlook()
                         : ForwardOutlook{plan->least_time.value(), plan->gains_in_batches};
}

StatusOr<PartialShape> LayerHost::ComputeOutputShape(const std::string& name,
                                                     std::span<const int64_t> input_shape) {
  TCONV_ASSIGN_OR_RETURN(const NamedEntry named, catalog_->FindAny(name));
  if (named.chain != nullptr) return chains_.ComputeOutputShape(*named.chain, input_shape);
  return tconv::server::ComputeOutputShape(named.layer->settings()->config, input_shape);
}

LayerInfo LayerHost::Describe(const Layer& layer, LayerDetail detail) const {
  const auto settings = layer.settings();
  const LayerSnapshot snapshot = layer.snapshot();
  LayerInfo info;
  info.name = layer.name();
  info.config = settings->config;
  info.optimizer = settings->optimizer;
  info.in_channels = snapshot.in_channels;
  info.parameter_count =
      snapshot.is_built() ? ParameterCount(info.config, snapshot.in_channels) : 0;
  info.weights_version = snapshot.weights_version;
  const auto weights = catalog_->LoadedWeightsOf(layer);
  if (weights == nullptr) return info;
  info.weight_bytes_held = weights->size_bytes();
  if (detail == LayerDetail::kPlans) info.plans = plans_.PlansOf(*weights);
  return info;
}

StatusOr<LayerInfo> LayerHost::Get(const std::string& name) {
  TCONV_ASSIGN_OR_RETURN(const std::shared_ptr<Layer> layer, catalog_->Find(name));
  return Describe(*layer, LayerDetail::kPlans);
}

LayerPage LayerHost::List(const std::string& after, size_t limit,
                          const LayerRegistry::NamePredicate& includes, LayerDetail detail) const {
  LayerPage page;
  // One more than asked for tells whether there is a next page.
  for (const auto& layer : catalog_->After(after, limit + 1, includes)) {
    if (page.layers.size() == limit) {
      page.next = page.layers.back().name;
      break;
    }
    page.layers.push_back(Describe(*layer, detail));
  }
  return page;
}

HostFacts LayerHost::facts() const {
  return {.layers = catalog_->size() - catalog_->chains(),
          .chains = catalog_->chains(),
          .damaged_layers = catalog_->damaged(),
          .behind_layers = catalog_->behind(),
          .is_store_up = catalog_->StoreStatus().ok(),
          .weights = catalog_->loaded_facts(),
          .used_tensor_bytes = memory_->used_bytes(),
          .idle_tensor_bytes = memory_->idle_bytes()};
}

std::unique_ptr<LayerTraining> LayerHost::MakeTraining(BackwardPlanCache& backward_plans,
                                                       WorkerPool& pool) {
  return std::make_unique<LayerTraining>(
      LayerTraining::Parts{*catalog_, quota_, {plans_, backward_plans, pool, *memory_}},
      limits_.max_output_bytes);
}

StatusOr<ModelInfo> LayerHost::DescribeModel(const std::string& name) {
  TCONV_ASSIGN_OR_RETURN(const NamedEntry named, catalog_->FindAny(name));
  return DescribeModel(named);
}

StatusOr<ModelInfo> LayerHost::DescribeModel(const NamedEntry& named) const {
  if (named.layer != nullptr) {
    return ModelOf(*named.layer, catalog_->LayerStatus(named.layer->name()));
  }
  const ChainRecord& chain = *named.chain;
  TCONV_ASSIGN_OR_RETURN(const ChainInfo info, chains_.Describe(chain));
  return ModelInfo{.name = info.name,
                   .id = chain.id,
                   .version = info.weights_version,
                   .input_shape = info.input_shape,
                   .output_shape = info.output_shape,
                   .dtype = info.output_dtype,
                   .state = catalog_->LayerStatus(info.name)};
}

std::vector<ModelInfo> LayerHost::ListModels(const LayerRegistry::NamePredicate& includes) const {
  std::vector<ModelInfo> models;
  for (const NamedEntry& named : catalog_->WithPrefix("")) {
    if (!includes(named.name())) continue;
    StatusOr<ModelInfo> model = DescribeModel(named);
    if (model.ok()) models.push_back(*std::move(model));
  }
  return models;
}

Status LayerHost::Delete(const std::string& name) { return catalog_->Delete(name); }

StatusOr<ChainInfo> LayerHost::CreateChain(const ChainDraft& draft) {
  if (draft.name.empty()) return InvalidField("name", "expected a name, got none");
  TCONV_RETURN_IF_ERROR(CheckName(draft.name));
  MutexLock lock(quota_mutex_);
  TCONV_RETURN_IF_ERROR(CheckRoomForName());
  TCONV_RETURN_IF_ERROR(quota_.CheckRoomFor(draft.name, 1, 0));
  return chains_.Create(draft);
}

}  // namespace tconv::server
