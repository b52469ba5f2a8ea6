#include "server/host/layer_host.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "server/host/losses.h"
#include "server/store/store_errors.h"

namespace tconv::server {
namespace {

constexpr size_t kMaxNameBytes = 255;

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

Status NotBuilt(const std::string& name) {
  return MakeError(StatusCode::kFailedPrecondition,
                   "layer \"{}\" has no weights yet: call Build with the shape of its inputs, or "
                   "give input_shape or weights to Create",
                   name);
}

// Whether weights may be replaced.
Status CheckVersion(const std::string& name, const LayerSnapshot& snapshot,
                    std::optional<int64_t> if_version) {
  if (if_version.has_value() && *if_version != snapshot.weights_version) {
    return MakeError(StatusCode::kAborted, "weights of layer \"{}\" are at version {}, not {}",
                     name, snapshot.weights_version, *if_version);
  }
  return snapshot.is_built() ? OkStatus() : NotBuilt(name);
}

// Refuses weights over the limit before anything is allocated for them.
Status CheckWeightBytes(const LayerConfig& config, int64_t in_channels, int64_t limit) {
  TCONV_RETURN_IF_ERROR(KernelShape(config, in_channels).status());
  const int64_t bytes =
      ParameterCount(config, in_channels) * static_cast<int64_t>(SizeOf(config.dtype.variable));
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

Status CheckOutputBytes(const ForwardJob& job, const DeconvProblem& problem, int64_t limit) {
  const int64_t bytes =
      problem.dst_shape().num_elements() * static_cast<int64_t>(SizeOf(problem.dtype));
  if (job.room.has_value() && bytes > job.room->size_bytes) {
    return InvalidField("output.size_bytes", "expected at least {} bytes for {} {}, got {}", bytes,
                        NameOf(problem.dtype), ToString(problem.dst_shape()), job.room->size_bytes);
  }
  if (!job.room.has_value() && bytes > limit) {
    return MakeError(StatusCode::kResourceExhausted,
                     "output {} takes {} bytes, the server allows {}",
                     ToString(problem.dst_shape()), bytes, limit);
  }
  return OkStatus();
}

}  // namespace

LayerHost::LayerHost(LayerStore& store, PlanCache& plans, const HostLimits& limits)
    : store_(store),
      plans_(plans),
      limits_(limits),
      memory_(BlockPool::Make(limits.max_idle_tensor_bytes)),
      loaded_(store, limits.max_loaded_weight_bytes,
              [&plans](const Weights& weights) { plans.Drop(weights); }) {}

StatusOr<std::unique_ptr<LayerHost>> LayerHost::Open(LayerStore& store, PlanCache& plans,
                                                     const HostLimits& limits) {
  auto host = std::unique_ptr<LayerHost>(new LayerHost(store, plans, limits));
  TCONV_ASSIGN_OR_RETURN(LayerIndex index, store.ReadIndex());
  for (DamagedLayer& damaged : index.damaged) {
    spdlog::error("{}", MessageOf(damaged.error));
    host->registry_.InsertDamaged(damaged.name, std::move(damaged.error));
  }
  for (LayerRecord& record : index.layers) {
    host->registry_.Insert(
        std::make_shared<Layer>(record.key(), std::move(record.config),
                                LayerSnapshot{record.in_channels, record.weights_version}));
  }
  return host;
}

StatusOr<LayerInfo> LayerHost::Create(LayerDraft draft) {
  TCONV_ASSIGN_OR_RETURN(std::shared_ptr<const Weights> weights,
                         FirstWeights(draft, limits_.max_layer_bytes));
  std::string name = draft.name.empty() ? draft.config.name : draft.name;
  TCONV_RETURN_IF_ERROR(CheckName(name));

  MutexLock lock(names_mutex_);
  if (registry_.size() >= limits_.max_layers) {
    return MakeError(StatusCode::kResourceExhausted, "the server holds its limit of {} layers",
                     limits_.max_layers);
  }
  if (name.empty()) name = registry_.GenerateName(SnakeCaseClassName(draft.config.spatial_rank));
  if (draft.config.name.empty()) draft.config.name = name;

  const LayerSnapshot snapshot = weights == nullptr
                                     ? LayerSnapshot{}
                                     : LayerSnapshot{weights->in_channels(), weights->version};
  const LayerRecord record{.name = name,
                           .config = draft.config,
                           .in_channels = snapshot.in_channels,
                           .weights_version = snapshot.weights_version};
  TCONV_ASSIGN_OR_RETURN(const int64_t id, store_.Create(record, weights.get()));
  auto layer = std::make_shared<Layer>(LayerKey{name, id}, std::move(draft.config), snapshot);
  if (weights != nullptr) loaded_.Put(*layer, std::move(weights));
  registry_.Insert(layer);
  return Describe(*layer);
}

StatusOr<LayerInfo> LayerHost::Build(const std::string& name,
                                     std::span<const int64_t> input_shape) {
  TCONV_ASSIGN_OR_RETURN(const std::shared_ptr<Layer> layer, registry_.Find(name));
  TCONV_ASSIGN_OR_RETURN(const int64_t in_channels, InputChannels(layer->config(), input_shape));
  TCONV_RETURN_IF_ERROR(CheckWeightBytes(layer->config(), in_channels, limits_.max_layer_bytes));

  MutexLock lock(layer->change_mutex());
  if (layer->is_deleted()) return LayerNotFound(name);
  if (layer->snapshot().is_built()) {
    return MakeError(StatusCode::kFailedPrecondition, "layer \"{}\" is built already", name);
  }
  TCONV_ASSIGN_OR_RETURN(Weights weights, InitializeWeights(layer->config(), in_channels));
  TCONV_RETURN_IF_ERROR(Advance(*layer, std::move(weights)));
  return Describe(*layer);
}

template <typename Make>
StatusOr<int64_t> LayerHost::ReplaceWeights(const std::string& name,
                                            std::optional<int64_t> if_version, Make make) {
  TCONV_ASSIGN_OR_RETURN(const std::shared_ptr<Layer> layer, registry_.Find(name));

  MutexLock lock(layer->change_mutex());
  if (layer->is_deleted()) return LayerNotFound(name);
  const LayerSnapshot snapshot = layer->snapshot();
  TCONV_RETURN_IF_ERROR(CheckVersion(name, snapshot, if_version));
  StatusOr<Weights> next = make(*layer, snapshot.weights_version + 1);
  if (!next.ok()) return InField("weights", next.status());
  TCONV_RETURN_IF_ERROR(Advance(*layer, *std::move(next)));
  return snapshot.weights_version + 1;
}

StatusOr<int64_t> LayerHost::SetWeights(const std::string& name, const WeightsSource& source,
                                        std::optional<int64_t> if_version) {
  return ReplaceWeights(name, if_version, [&](const Layer& layer, int64_t version) {
    return MakeWeights(layer.config(), layer.snapshot().in_channels, source, version);
  });
}

StatusOr<int64_t> LayerHost::SetWeights(const std::string& name, Tensor kernel,
                                        std::optional<Tensor> bias,
                                        std::optional<int64_t> if_version) {
  return ReplaceWeights(name, if_version, [&](const Layer& layer, int64_t version) {
    return AdoptWeights(layer.config(), layer.snapshot().in_channels, std::move(kernel),
                        std::move(bias), version);
  });
}

Status LayerHost::CheckNewWeights(const std::string& name, const Shape& kernel,
                                  const std::optional<Shape>& bias,
                                  std::optional<int64_t> if_version) const {
  TCONV_ASSIGN_OR_RETURN(const std::shared_ptr<Layer> layer, registry_.Find(name));
  const LayerSnapshot snapshot = layer->snapshot();
  TCONV_RETURN_IF_ERROR(CheckVersion(name, snapshot, if_version));
  TCONV_RETURN_IF_ERROR(
      CheckWeightBytes(layer->config(), snapshot.in_channels, limits_.max_layer_bytes));
  return CheckWeightShapes(layer->config(), snapshot.in_channels, kernel, bias);
}

Status LayerHost::Advance(Layer& layer, Weights weights) {
  const auto shared = std::make_shared<const Weights>(std::move(weights));
  const LayerSnapshot next{shared->in_channels(), shared->version};
  TCONV_RETURN_IF_ERROR(store_.PutWeights(layer.key(), *shared, layer.snapshot().weights_version));
  loaded_.Put(layer, shared);
  layer.Publish(next);
  loaded_.ForgetAllBut(layer, next.weights_version);
  return OkStatus();
}

StatusOr<std::shared_ptr<const Weights>> LayerHost::CurrentWeights(Layer& layer) {
  while (true) {
    const LayerSnapshot snapshot = layer.snapshot();
    if (!snapshot.is_built()) return NotBuilt(layer.name());
    auto weights = loaded_.Get(layer, snapshot.weights_version);
    if (weights.status().code() != StatusCode::kAborted) return weights;
    // The layer moved on before its weights were read. A deleted one does not
    // move any more.
    if (layer.snapshot().weights_version == snapshot.weights_version)
      return LayerNotFound(layer.name());
  }
}

StatusOr<std::shared_ptr<const Weights>> LayerHost::GetWeights(const std::string& name) {
  TCONV_ASSIGN_OR_RETURN(const std::shared_ptr<Layer> layer, registry_.Find(name));
  return CurrentWeights(*layer);
}

void LayerHost::Forward(ForwardJob& job) {
  ForwardJob* const jobs[] = {&job};
  ForwardTogether(jobs);
}

void LayerHost::ForwardTogether(std::span<ForwardJob* const> jobs) {
  const auto layer = registry_.Find(jobs.front()->layer);
  const auto weights = layer.ok() ? CurrentWeights(**layer) : layer.status();
  if (!weights.ok()) {
    for (ForwardJob* job : jobs) job->result = weights.status();
    return;
  }
  std::vector<ReadyForward> ready;
  for (ForwardJob* job : jobs) {
    auto prepared = Prepare((*layer)->config(), *weights, *job);
    if (prepared.ok()) {
      ready.push_back(*std::move(prepared));
    } else {
      job->result = prepared.status();
    }
  }
  for (const ForwardBatch batch : FormBatches(ready, limits_.max_output_bytes)) {
    Compute((*layer)->config(), *weights, batch);
  }
}

StatusOr<ReadyForward> LayerHost::Prepare(const LayerConfig& config,
                                          const std::shared_ptr<const Weights>& weights,
                                          ForwardJob& job) {
  const auto begin = std::chrono::steady_clock::now();
  ReadyForward ready;
  ready.job = &job;
  TCONV_ASSIGN_OR_RETURN(ready.problem,
                         MakeDeconvProblem(config, weights->in_channels(), job.input->shape()));
  TCONV_RETURN_IF_ERROR(CheckOutputBytes(job, ready.problem, limits_.max_output_bytes));
  if (ready.problem.dst_shape().num_elements() > 0) {
    ready.computation = std::make_shared<const SlabComputation>(plans_, *memory_, ready.problem,
                                                                weights, limits_.slab_bytes);
    TCONV_ASSIGN_OR_RETURN(ready.plan, ready.computation->PlanOf(ready.computation->slabs()[0]));
  }
  job.times.plan = std::chrono::steady_clock::now() - begin;
  return ready;
}

void LayerHost::Compute(const LayerConfig& config, const std::shared_ptr<const Weights>& weights,
                        ForwardBatch batch) {
  const Status status = ComputeBatch(plans_, *memory_, weights, batch);
  if (status.code() == StatusCode::kResourceExhausted && batch.size() > 1) {
    // There may be memory for each, one after the other.
    for (size_t i = 0; i < batch.size(); ++i) Compute(config, weights, batch.subspan(i, 1));
    return;
  }
  for (const ReadyForward& ready : batch) {
    ForwardJob& job = *ready.job;
    if (!status.ok()) {
      job.result = status;
    } else if (job.compute_losses) {
      PenaltySums sums;
      if (config.activity_regularizer.has_value() && ready.computation != nullptr) {
        sums = ready.computation->SumsOf(job.result->output);
      }
      job.result->losses = LossesOf(config, *weights, sums, ready.problem);
    }
  }
}

StatusOr<std::unique_ptr<ForwardSession>> LayerHost::StreamForward(const StreamedForward& forward) {
  TCONV_ASSIGN_OR_RETURN(const std::shared_ptr<Layer> layer, registry_.Find(forward.layer));
  const LayerSnapshot snapshot = layer->snapshot();
  if (!snapshot.is_built()) return NotBuilt(forward.layer);
  TCONV_ASSIGN_OR_RETURN(const DeconvProblem problem,
                         MakeDeconvProblem(layer->config(), snapshot.in_channels, forward.shape));
  TCONV_ASSIGN_OR_RETURN(const std::shared_ptr<const Weights> weights, CurrentWeights(*layer));
  auto session = std::make_unique<ForwardSession>(
      layer->config(), weights,
      SlabComputation(plans_, *memory_, problem, weights, limits_.slab_bytes), forward.dtype,
      forward.compute_losses);
  if (session->buffer_bytes() > limits_.max_stream_bytes) {
    return MakeError(StatusCode::kResourceExhausted,
                     "the parts in which {} is computed take {} bytes, the server allows a stream "
                     "{}",
                     ToString(forward.shape), session->buffer_bytes(), limits_.max_stream_bytes);
  }
  return session;
}

ForwardOutlook LayerHost::OutlookOf(const std::string& name, const Shape& input_shape) const {
  const auto layer = registry_.Find(name);
  if (!layer.ok()) return {};
  const auto weights = loaded_.Peek(**layer, (*layer)->snapshot().weights_version);
  if (weights == nullptr) return {};
  const auto problem = MakeDeconvProblem((*layer)->config(), weights->in_channels(), input_shape);
  const auto plan = problem.ok() ? plans_.Find(*problem, weights) : nullptr;
  return plan == nullptr ? ForwardOutlook()
                         : ForwardOutlook{plan->least_time.value(), plan->gains_in_batches};
}

StatusOr<PartialShape> LayerHost::ComputeOutputShape(const std::string& name,
                                                     std::span<const int64_t> input_shape) const {
  TCONV_ASSIGN_OR_RETURN(const std::shared_ptr<Layer> layer, registry_.Find(name));
  return tconv::server::ComputeOutputShape(layer->config(), input_shape);
}

LayerInfo LayerHost::Describe(const Layer& layer) const {
  const LayerSnapshot snapshot = layer.snapshot();
  LayerInfo info;
  info.name = layer.name();
  info.config = layer.config();
  info.in_channels = snapshot.in_channels;
  info.parameter_count =
      snapshot.is_built() ? ParameterCount(layer.config(), snapshot.in_channels) : 0;
  info.weights_version = snapshot.weights_version;
  for (const auto& weights : loaded_.Find(layer)) info.weight_bytes_held += weights->size_bytes();
  return info;
}

StatusOr<LayerInfo> LayerHost::Get(const std::string& name) const {
  TCONV_ASSIGN_OR_RETURN(const std::shared_ptr<Layer> layer, registry_.Find(name));
  LayerInfo info = Describe(*layer);
  for (const auto& weights : loaded_.Find(*layer)) {
    for (auto& plan : plans_.PlansOf(*weights)) info.plans.push_back(std::move(plan));
  }
  return info;
}

LayerPage LayerHost::List(const std::string& after, size_t limit) const {
  LayerPage page;
  // One more than asked for tells whether there is a next page.
  for (const auto& layer : registry_.After(after, limit + 1)) {
    if (page.layers.size() == limit) {
      page.next = page.layers.back().name;
      break;
    }
    page.layers.push_back(Describe(*layer));
  }
  return page;
}

Status LayerHost::Delete(const std::string& name) {
  MutexLock names_lock(names_mutex_);
  const auto layer = registry_.Find(name);
  if (layer.ok()) {
    MutexLock lock((*layer)->change_mutex());
    TCONV_RETURN_IF_ERROR(store_.Delete(name));
    (*layer)->MarkDeleted();
  } else if (layer.status().code() == StatusCode::kDataLoss) {
    TCONV_RETURN_IF_ERROR(store_.Delete(name));
  } else {
    return layer.status();
  }
  registry_.Erase(name);
  if (layer.ok()) loaded_.ForgetAllBut(**layer, 0);
  return OkStatus();
}

}  // namespace tconv::server
