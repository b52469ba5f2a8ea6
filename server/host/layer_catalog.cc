#include "server/host/layer_catalog.h"

#include <spdlog/spdlog.h>

#include <chrono>
#include <span>
#include <string_view>

#include "server/store/store_errors.h"

namespace tconv::server {
namespace {

Status Replaced(const std::string& name) {
  return MakeError(StatusCode::kAborted,
                   "layer \"{}\" has been deleted and created anew meanwhile, try again", name);
}

Status LayerIsUnloaded(const std::string& name) {
  return MakeError(StatusCode::kUnavailable,
                   "layer \"{}\" has been unloaded from this server: RepositoryModelLoad loads it",
                   name);
}

}  // namespace

Status LayerIsNotBuilt(const std::string& name) {
  return MakeError(StatusCode::kFailedPrecondition,
                   "layer \"{}\" has no weights yet: call Build with the shape of its inputs, or "
                   "give input_shape or weights to Create",
                   name);
}

LayerCatalog::LayerCatalog(LayerStore& store, PlanCache& plans, int64_t max_loaded_weight_bytes)
    : store_(store),
      plans_(plans),
      loaded_(max_loaded_weight_bytes, [&plans](const Weights& weights) { plans.Drop(weights); }) {}

StatusOr<std::unique_ptr<LayerCatalog>> LayerCatalog::Open(LayerStore& store, PlanCache& plans,
                                                           int64_t max_loaded_weight_bytes) {
  auto catalog =
      std::unique_ptr<LayerCatalog>(new LayerCatalog(store, plans, max_loaded_weight_bytes));
  TCONV_ASSIGN_OR_RETURN(LayerIndex index, store.ReadIndex());
  const int64_t revision = index.revision;
  catalog->TakeIndex(std::move(index));
  catalog->registry_.CatchUp(revision, std::nullopt);
  if (auto feed = store.Follow(revision)) {
    LayerCatalog* const self = catalog.get();
    self->updater_ =
        std::make_unique<LayerUpdater>([self](Layer& layer) { return self->Update(layer); });
    self->follower_ = std::make_unique<StoreFollower>(
        std::move(feed), [self](StatusOr<StoreChanges> look) { self->TakeLook(std::move(look)); });
  }
  return catalog;
}

// ---- Finding.

StatusOr<std::shared_ptr<Layer>> LayerCatalog::Find(const std::string& name) {
  return AskAgainAfterLook([&] { return registry_.Find(name); });
}

StatusOr<std::shared_ptr<Layer>> LayerCatalog::FindBuilt(const std::string& name) {
  return AskAgainAfterLook([&]() -> StatusOr<std::shared_ptr<Layer>> {
    TCONV_ASSIGN_OR_RETURN(std::shared_ptr<Layer> layer, registry_.Find(name));
    if (!layer->newest().is_built()) return LayerIsNotBuilt(name);
    return layer;
  });
}

StatusOr<LayerCatalog::Served> LayerCatalog::FindServed(const std::string& name) {
  return AskAgainAfterLook([&]() -> StatusOr<Served> {
    TCONV_ASSIGN_OR_RETURN(std::shared_ptr<Layer> layer, registry_.Find(name));
    TCONV_ASSIGN_OR_RETURN(std::shared_ptr<const Weights> weights, WeightsOf(*layer));
    return Served{std::move(layer), std::move(weights)};
  });
}

std::optional<LayerCatalog::Served> LayerCatalog::Peek(const std::string& name) const {
  const auto layer = registry_.Find(name);
  if (!layer.ok()) return std::nullopt;
  auto weights = loaded_.Find((*layer)->id());
  if (weights == nullptr) return std::nullopt;
  return Served{*layer, std::move(weights)};
}

StatusOr<std::shared_ptr<const Weights>> LayerCatalog::WeightsOf(Layer& layer) {
  while (true) {
    const LayerSnapshot snapshot = layer.snapshot();
    if (!snapshot.is_built()) return LayerIsNotBuilt(layer.name());
    if (layer.is_unloaded()) return LayerIsUnloaded(layer.name());
    auto weights = loaded_.GetOrBuild(layer.id(), [&] { return Read(layer); });
    EraseUnlessKept(layer);
    // It may have been read for others, before the snapshot was published.
    const bool is_older = weights.ok() && (*weights)->version < snapshot.weights_version;
    if (!is_older) return weights;
  }
}

StatusOr<LayerCatalog::Loaded::Built> LayerCatalog::Read(Layer& layer) {
  auto weights = ReadNewest(layer);
  if (weights.status().code() == StatusCode::kNotFound) Forget(layer.key());
  // What passes by itself is no trouble of the layer.
  if (weights.status().code() == StatusCode::kDataLoss) NoteTrouble(layer, weights.status());
  if (!weights.ok()) return weights.status();
  Publish(layer, SnapshotOf(**weights));
  return Built(*std::move(weights));
}

StatusOr<std::shared_ptr<const Weights>> LayerCatalog::ReadNewest(const Layer& layer) {
  TCONV_RETURN_IF_ERROR(CheckReachable());
  const int64_t newest = layer.newest().weights_version;
  TCONV_ASSIGN_OR_RETURN(Weights weights, store_.ReadWeights(layer.key()));
  if (weights.version < newest) {
    return LayerDamaged(layer.name(),
                        fmt::format("the store has weights of version {}, and has had version {}",
                                    weights.version, newest));
  }
  return std::make_shared<const Weights>(std::move(weights));
}

StatusOr<LayerCatalog::Training> LayerCatalog::ReadTraining(Layer& layer) {
  TCONV_RETURN_IF_ERROR(CheckReachable());
  StatusOr<StoredTraining> stored = store_.ReadTraining(layer.key());
  if (stored.status().code() == StatusCode::kNotFound) return GoneOrReplaced(layer);
  if (!stored.ok()) return stored.status();
  const int64_t weights_version = stored->layer.weights_version;
  auto settings = std::make_shared<const LayerSettings>(SettingsOf(std::move(stored->layer)));
  layer.Learn(settings);
  return Training{std::move(stored->state), std::move(settings), weights_version};
}

StatusOr<std::shared_ptr<const Weights>> LayerCatalog::WeightsAt(Layer& layer, int64_t version) {
  auto weights = loaded_.Find(layer.id());
  if (weights == nullptr || weights->version != version) {
    TCONV_ASSIGN_OR_RETURN(weights, ReadNewest(layer));
    Serve(layer, weights);
  }
  if (weights->version != version) return VersionMoved(layer.name(), version, weights->version);
  return weights;
}

LayerCatalog::Loaded::Built LayerCatalog::Built(std::shared_ptr<const Weights> weights) {
  const int64_t bytes = weights->size_bytes();
  return {std::move(weights), bytes};
}

Status LayerCatalog::LayerStatus(const std::string& name) const {
  TCONV_ASSIGN_OR_RETURN(const NamedEntry named, registry_.FindAny(name));
  if (named.chain != nullptr) return ChainStatus(*named.chain);
  const Layer& layer = *named.layer;
  if (layer.is_unloaded()) return LayerIsUnloaded(name);
  return layer.newest().is_built() ? layer.trouble() : LayerIsNotBuilt(name);
}

// ---- Changing.

Status LayerCatalog::CheckReachable() const {
  return follower_ == nullptr ? OkStatus() : follower_->CheckReachable();
}

StatusOr<std::shared_ptr<Layer>> LayerCatalog::Create(LayerRecord record,
                                                      std::shared_ptr<const Weights> weights) {
  TCONV_RETURN_IF_ERROR(CheckReachable());
  const StatusOr<int64_t> id = store_.Create(record, weights.get());
  TCONV_RETURN_IF_ERROR(health_.NoteStore(id.status()));
  record.id = *id;
  if (weights != nullptr) loaded_.Put(*id, Built(std::move(weights)));
  const Registered registered = registry_.Add(record);
  if (registered.replaced != nullptr) Retire(*registered.replaced);
  health_.Notify();
  if (registered.layer != nullptr) return registered.layer;
  // Others have deleted it already.
  loaded_.Erase(*id);
  return std::make_shared<Layer>(std::move(record));
}

Status LayerCatalog::Put(const Layer& layer, int most_tries, const std::function<Status()>& put) {
  for (int tries = 1;; ++tries) {
    TCONV_RETURN_IF_ERROR(CheckReachable());
    const Status stored = health_.NoteStore(put());
    if (stored.code() == StatusCode::kNotFound) return GoneOrReplaced(layer);
    if (stored.code() != StatusCode::kAborted || tries == most_tries) return stored;
    TCONV_RETURN_IF_ERROR(CatchUp());
  }
}

StatusOr<int64_t> LayerCatalog::Advance(Layer& layer, std::shared_ptr<Weights> weights,
                                        std::optional<int64_t> if_version) {
  TCONV_RETURN_IF_ERROR(Put(layer, if_version.has_value() ? 1 : kMostTries, [&] {
    const int64_t base = if_version.value_or(layer.newest().weights_version);
    weights->version = base + 1;
    return store_.PutWeights(layer.key(), *weights, base);
  }));
  // A plan that cannot be compiled now will be when it is needed.
  (void)Prepare(layer, weights);
  Serve(layer, weights);
  return weights->version;
}

StatusOr<int64_t> LayerCatalog::AdvanceStep(Layer& layer, std::shared_ptr<Weights> weights,
                                            const TrainingState& state, const StepBase& base) {
  weights->version = base.weights_version + 1;
  TCONV_RETURN_IF_ERROR(
      Put(layer, 1, [&] { return store_.PutStep(layer.key(), *weights, state, base); }));
  Serve(layer, weights);
  return weights->version;
}

Status LayerCatalog::ChangeSettings(Layer& layer, const std::function<void(LayerSettings&)>& edit) {
  std::shared_ptr<LayerSettings> next;
  TCONV_RETURN_IF_ERROR(Put(layer, kMostTries, [&] {
    next = std::make_shared<LayerSettings>(*layer.settings());
    const int64_t base = next->version++;
    edit(*next);
    return store_.PutSettings(RecordOf(layer.key(), *next), nullptr, base);
  }));
  layer.Learn(std::move(next));
  return OkStatus();
}

Status LayerCatalog::ChangeOptimizer(Layer& layer, const Optimizer& optimizer,
                                     OptimizerState state) {
  TrainingState training;
  training.optimizer = std::move(state);
  std::shared_ptr<LayerSettings> next;
  TCONV_RETURN_IF_ERROR(Put(layer, kMostTries, [&]() -> Status {
    StatusOr<StoredTraining> stored = store_.ReadTraining(layer.key());
    // What is damaged is healed by what takes its place.
    const bool is_damaged = stored.status().code() == StatusCode::kDataLoss;
    if (!stored.ok() && !is_damaged) return stored.status();
    std::optional<int64_t> weights_version;
    if (is_damaged) {
      next = std::make_shared<LayerSettings>(*layer.settings());
    } else {
      weights_version = stored->layer.weights_version;
      training.steps = std::move(stored->state.steps);
      next = std::make_shared<LayerSettings>(SettingsOf(std::move(stored->layer)));
    }
    const int64_t base = next->version++;
    next->optimizer = optimizer;
    return store_.PutSettings(RecordOf(layer.key(), *next), &training, base, weights_version);
  }));
  layer.Learn(std::move(next));
  return OkStatus();
}

Status LayerCatalog::GoneOrReplaced(const Layer& layer) {
  Forget(layer.key());
  TCONV_RETURN_IF_ERROR(CatchUp());
  return registry_.IdOf(layer.name(), EntryKind::kLayer).ok() ? Replaced(layer.name())
                                                              : LayerNotFound(layer.name());
}

Status LayerCatalog::DeleteEntry(const std::string& name, EntryKind kind) {
  TCONV_ASSIGN_OR_RETURN(const int64_t id,
                         AskAgainAfterLook([&] { return registry_.IdOf(name, kind); }));
  TCONV_RETURN_IF_ERROR(CheckReachable());
  const Status deleted =
      health_.NoteStore(kind == EntryKind::kChain ? store_.DeleteChain(name) : store_.Delete(name));
  if (deleted.ok() || deleted.code() == StatusCode::kNotFound) Forget({name, id});
  return deleted;
}

// ---- Loading.

void LayerCatalog::Unload(Layer& layer) {
  layer.set_unloaded(true);
  loaded_.Erase(layer.id());
  health_.Notify();
}

Status LayerCatalog::Load(Layer& layer) {
  layer.set_unloaded(false);
  health_.Notify();
  return FindServed(layer.name()).status();
}

// ---- Following.

Status LayerCatalog::CatchUp() { return follower_ == nullptr ? OkStatus() : follower_->CatchUp(); }

void LayerCatalog::TakeLook(StatusOr<StoreChanges> look) {
  (void)health_.NoteStore(look.status());
  if (!look.ok()) return;
  const LayerIndex& changed = look->changed;
  const bool is_news = !changed.layers.empty() || !changed.chains.empty() ||
                       !changed.damaged.empty() || look->living.has_value();
  for (const auto& layer : registry_.GoBack(look->revision)) Retire(*layer);
  TakeIndex(std::move(look->changed));
  for (const auto& layer : registry_.CatchUp(look->revision, look->living)) Retire(*layer);
  if (is_news) health_.Notify();
}

void LayerCatalog::TakeIndex(LayerIndex index) {
  for (const DamagedLayer& damaged : index.damaged) {
    spdlog::error("{}", MessageOf(damaged.error));
    const Registered registered = registry_.AddDamaged(damaged);
    if (registered.replaced != nullptr) Retire(*registered.replaced);
  }
  for (const LayerRecord& record : index.layers) Take(record);
  for (const ChainRecord& record : index.chains) Take(record);
}

void LayerCatalog::Take(const LayerRecord& record) {
  const Registered registered = registry_.Add(record);
  if (registered.replaced != nullptr) Retire(*registered.replaced);
  if (registered.layer == nullptr) return;
  Layer& layer = *registered.layer;
  layer.Learn(std::make_shared<const LayerSettings>(SettingsOf(record)));
  layer.Learn(SnapshotOf(record));
  if (!layer.IsBehind()) return;
  if (loaded_.Find(layer.id()) != nullptr) return updater_->Ask(registered.layer);
  ServeWhenRead(layer);
}

void LayerCatalog::ServeWhenRead(Layer& layer) {
  // What others are reading may be the version before.
  loaded_.Erase(layer.id());
  Publish(layer, layer.newest());
}

Status LayerCatalog::Update(Layer& layer) {
  MutexLock lock(layer.change_mutex());
  if (!layer.IsBehind()) return OkStatus();
  if (loaded_.Find(layer.id()) == nullptr) {
    ServeWhenRead(layer);
    return OkStatus();
  }
  const Status updated = LoadBeside(layer);
  // The next look tells that it was deleted.
  if (updated.code() == StatusCode::kNotFound) return OkStatus();
  if (!updated.ok()) NoteTrouble(layer, updated);
  return updated;
}

Status LayerCatalog::LoadBeside(Layer& layer) {
  TCONV_ASSIGN_OR_RETURN(const std::shared_ptr<const Weights> weights, ReadNewest(layer));
  TCONV_RETURN_IF_ERROR(Prepare(layer, weights));
  Serve(layer, weights);
  return OkStatus();
}

Status LayerCatalog::Prepare(const Layer& layer, const std::shared_ptr<const Weights>& weights) {
  const auto previous = loaded_.Find(layer.id());
  if (previous == nullptr) return OkStatus();
  const Status compiled = plans_.CompileLike(*previous, weights);
  if (!compiled.ok()) plans_.Drop(*weights);
  return compiled;
}

void LayerCatalog::Serve(Layer& layer, const std::shared_ptr<const Weights>& weights) {
  loaded_.Put(layer.id(), Built(weights));
  Publish(layer, SnapshotOf(*weights));
  EraseUnlessKept(layer);
}

void LayerCatalog::EraseUnlessKept(const Layer& layer) {
  if (!layer.MayBeHeld()) loaded_.Erase(layer.id());
}

void LayerCatalog::Publish(Layer& layer, LayerSnapshot state) {
  const bool is_newer = layer.Publish(state);
  const bool is_well_again = layer.SetTrouble(OkStatus());
  if (is_newer) waiters_.Notify(layer);
  if (is_newer || is_well_again) health_.Notify();
}

void LayerCatalog::NoteTrouble(Layer& layer, const Status& trouble) {
  if (!layer.SetTrouble(trouble)) return;
  spdlog::error("layer \"{}\" stays at version {}: {}", layer.name(),
                layer.snapshot().weights_version, MessageOf(trouble));
  health_.Notify();
}

void LayerCatalog::Forget(const LayerKey& key) {
  if (const auto layer = registry_.Erase(key)) Retire(*layer);
  health_.Notify();
}

void LayerCatalog::Retire(Layer& layer) {
  layer.MarkDeleted();
  loaded_.Erase(layer.id());
  waiters_.Notify(layer);
}

}  // namespace tconv::server
