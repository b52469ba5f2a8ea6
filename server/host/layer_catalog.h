// The layers and chains of a store, as this server knows and serves them.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "server/base/lru_map.h"
#include "server/base/status.h"
#include "server/compute/plan_cache.h"
#include "server/host/admission_queue.h"
#include "server/host/health_notes.h"
#include "server/host/health_source.h"
#include "server/host/layer.h"
#include "server/host/layer_registry.h"
#include "server/host/layer_updater.h"
#include "server/host/queued_call.h"
#include "server/host/store_follower.h"
#include "server/host/version_waiters.h"
#include "server/layer/weights.h"
#include "server/store/layer_store.h"

namespace tconv::server {

// A change that others were faster than is tried that often, at most, before the
// caller is told.
inline constexpr int kMostTries = 16;

// The store is written first, then memory changes; an error leaves both as they
// were. Weights are read when first needed, by one of those who need them, and
// held as long as there is room.
//
// Other servers may change the same store. What they do is followed: layers come
// and go, and newer weights of a layer that is in use are loaded and prepared
// beside those that are served, which they then replace. Whoever would be told
// that a layer does not exist, or is not built, is told so only after another look
// at the store: UNAVAILABLE when that is not possible. Thread-safe.
class LayerCatalog final : public HealthSource {
 public:
  // A layer with the weights that it serves now.
  struct Served {
    std::shared_ptr<Layer> layer;
    std::shared_ptr<const Weights> weights;
  };

  // `store` and `plans` must outlive the catalog.
  static StatusOr<std::unique_ptr<LayerCatalog>> Open(LayerStore& store, PlanCache& plans,
                                                      int64_t max_loaded_weight_bytes);
  // REQUIRES: no call waits for a version.
  ~LayerCatalog() override = default;

  // NOT_FOUND; DATA_LOSS for a damaged layer.
  StatusOr<std::shared_ptr<Layer>> Find(const std::string& name);
  // The same; FAILED_PRECONDITION when it is not built.
  StatusOr<std::shared_ptr<Layer>> FindBuilt(const std::string& name);
  // The same with weights, that of the snapshot or newer. Other errors as
  // LayerStore::ReadWeights().
  StatusOr<Served> FindServed(const std::string& name);
  // A chain; errors as Find(). And whichever the name stands for.
  StatusOr<std::shared_ptr<const ChainRecord>> FindChain(const std::string& name);
  StatusOr<NamedEntry> FindAny(const std::string& name);
  // The layers of a chain, each once, without a look at the store. ABORTED: the chain is
  // deleted. DATA_LOSS for a damaged layer.
  StatusOr<std::vector<std::shared_ptr<Layer>>> FindLayersOf(const ChainRecord& chain) const;
  // The same with weights, all of them served at one instant. Other errors as
  // FindServed(); ABORTED when they change too fast.
  StatusOr<std::vector<Served>> ServeChain(const ChainRecord& chain);
  // What is in memory, without a look at the store; null when it is not. Does not
  // count as a use.
  std::optional<Served> Peek(const std::string& name) const;
  std::shared_ptr<const ChainRecord> PeekChain(const std::string& name) const {
    return registry_.FindChain(name).value_or(nullptr);
  }
  std::shared_ptr<const Weights> LoadedWeightsOf(const Layer& layer) const {
    return loaded_.Find(layer.id());
  }

  // How far the training of a layer is, and what that belongs to.
  struct Training {
    TrainingState state;
    std::shared_ptr<const LayerSettings> settings;
    int64_t weights_version = 0;  // 0: not built

    StepBase base() const { return {weights_version, settings->version}; }
  };
  // As one state, which the store has now. Errors as LayerStore::ReadTraining().
  StatusOr<Training> ReadTraining(Layer& layer);
  // The weights of `version`, the one that ReadTraining() told. ABORTED when the store
  // has another one by now.
  StatusOr<std::shared_ptr<const Weights>> WeightsAt(Layer& layer, int64_t version)
      TCONV_REQUIRES(layer.change_mutex());

  // As in LayerRegistry.
  int64_t size() const { return registry_.size(); }
  int64_t chains() const { return registry_.chains(); }
  int64_t damaged() const { return registry_.damaged(); }
  int64_t behind() const { return registry_.behind(); }
  std::vector<std::shared_ptr<Layer>> After(const std::string& after, size_t limit,
                                            const LayerRegistry::NamePredicate& includes) const {
    return registry_.After(after, limit, includes);
  }
  std::vector<std::shared_ptr<const ChainRecord>> ChainsAfter(
      const std::string& after, size_t limit, const LayerRegistry::NamePredicate& includes) const {
    return registry_.ChainsAfter(after, limit, includes);
  }
  std::vector<NamedEntry> WithPrefix(const std::string& prefix) const {
    return registry_.WithPrefix(prefix);
  }
  std::string GenerateName(const std::string& stem) { return registry_.GenerateName(stem); }

  // Of the weights in memory.
  LruFacts loaded_facts() const { return loaded_.facts(); }

  // Changes, with the errors of the store; UNAVAILABLE at once while it is known to
  // be away. `weights` as in LayerStore::Create().
  StatusOr<std::shared_ptr<Layer>> Create(LayerRecord record,
                                          std::shared_ptr<const Weights> weights);
  // Makes `weights` the next version, which is returned, and serves it. That is the
  // version behind `if_version`, ABORTED when the store has another one; without
  // it, the one behind whichever the store has. REQUIRES: nobody else has `weights`.
  StatusOr<int64_t> Advance(Layer& layer, std::shared_ptr<Weights> weights,
                            std::optional<int64_t> if_version) TCONV_REQUIRES(layer.change_mutex());
  // The same with the state of the training that led to `weights`, when the store
  // has what they are based on; else ABORTED. Compiles no plans: hardly any version
  // of a layer that is being trained is asked for outputs.
  StatusOr<int64_t> AdvanceStep(Layer& layer, std::shared_ptr<Weights> weights,
                                const TrainingState& state, const StepBase& base)
      TCONV_REQUIRES(layer.change_mutex());
  // Makes edit(settings) the next settings of the layer, whichever the store has;
  // called again when others were faster.
  Status ChangeSettings(Layer& layer, const std::function<void(LayerSettings&)>& edit)
      TCONV_REQUIRES(layer.change_mutex());
  // Gives the layer another optimizer, in `state`. The steps that were made stay known by
  // their names, unless these are damaged.
  Status ChangeOptimizer(Layer& layer, const Optimizer& optimizer, OptimizerState state)
      TCONV_REQUIRES(layer.change_mutex());
  Status Delete(const std::string& name) { return DeleteEntry(name, EntryKind::kLayer); }
  StatusOr<std::shared_ptr<const ChainRecord>> CreateChain(ChainRecord record);
  Status DeleteChain(const std::string& name) { return DeleteEntry(name, EntryKind::kChain); }

  // Keeps no weights of the layer in memory from now on: whoever needs them is told UNAVAILABLE
  // until Load(). Nobody else hears of it; changes of the layer go on in the store.
  void Unload(Layer& layer);
  // Serves it again, with its weights in memory when this returns. Errors of FindServed().
  Status Load(Layer& layer);

  // Submits `call` to `queue` once the layer or chain serves `version`, or drops it; as
  // VersionWaiters. Does not wait: a name that is not known here is looked for on a
  // thread of the queue.
  void AwaitVersion(const std::string& name, int64_t version, QueuedCall& call,
                    AdmissionQueue& queue);
  bool AbandonWaiter(QueuedCall& call) { return waiters_.Abandon(call); }

  Status StoreStatus() const override { return health_.store(); }
  Status LayerStatus(const std::string& name) const override;
  void SetHealthListener(std::function<void()> listener) override {
    health_.SetListener(std::move(listener));
  }

 private:
  class Search;
  using Loaded = LruMap<int64_t, Weights>;  // by the id of the layer

  LayerCatalog(LayerStore& store, PlanCache& plans, int64_t max_loaded_weight_bytes);

  // ask(), once more after a look at the store if others may have changed what it
  // says.
  template <typename Ask>
  std::invoke_result_t<Ask> AskAgainAfterLook(Ask ask);
  // Learns what others have changed.
  Status CatchUp();
  // UNAVAILABLE while the store is known to be away.
  Status CheckReachable() const;

  StatusOr<std::shared_ptr<const Weights>> WeightsOf(Layer& layer);
  StatusOr<Loaded::Built> Read(Layer& layer);
  StatusOr<std::shared_ptr<const Weights>> ReadNewest(const Layer& layer);
  // OK when all layers of the chain are well.
  Status ChainStatus(const ChainRecord& chain) const;
  static Loaded::Built Built(std::shared_ptr<const Weights> weights);

  // put(), a change of the layer in the store; again, with what is known by then, as
  // long as others are faster.
  Status Put(const Layer& layer, int most_tries, const std::function<Status()>& put);
  Status DeleteEntry(const std::string& name, EntryKind kind);
  // What a change is told that did not find the layer in the store.
  Status GoneOrReplaced(const Layer& layer);

  void TakeLook(StatusOr<StoreChanges> look);
  void TakeIndex(LayerIndex index);
  void Take(const LayerRecord& record);
  void Take(const ChainRecord& record);
  void AwaitVersion(const NamedEntry& named, int64_t version, QueuedCall& call,
                    AdmissionQueue& queue);
  StatusOr<VersionedLayers> VersionedLayersOf(const NamedEntry& named) const;
  // Of a layer that is behind.
  Status Update(Layer& layer);
  Status LoadBeside(Layer& layer);
  void ServeWhenRead(Layer& layer);

  // Compiles plans for weights that are to replace those in use.
  Status Prepare(const Layer& layer, const std::shared_ptr<const Weights>& weights);
  void Serve(Layer& layer, const std::shared_ptr<const Weights>& weights);
  // To be called after weights were put into memory: it may be that they are not to be there.
  void EraseUnlessKept(const Layer& layer);
  void Publish(Layer& layer, LayerSnapshot state);
  void NoteTrouble(Layer& layer, const Status& trouble);
  // The store has no such layer any more.
  void Forget(const LayerKey& key);
  void Retire(Layer& layer);

  LayerStore& store_;
  PlanCache& plans_;
  HealthNotes health_;
  LayerRegistry registry_;
  Loaded loaded_;
  VersionWaiters waiters_;
  // Both null for a store that nobody else changes.
  std::unique_ptr<LayerUpdater> updater_;
  std::unique_ptr<StoreFollower> follower_;
};

template <typename Ask>
std::invoke_result_t<Ask> LayerCatalog::AskAgainAfterLook(Ask ask) {
  auto answer = ask();
  if (answer.ok()) return answer;
  const StatusCode code = answer.status().code();
  const bool is_final = code != StatusCode::kNotFound && code != StatusCode::kFailedPrecondition;
  if (is_final || follower_ == nullptr) return answer;
  TCONV_RETURN_IF_ERROR(follower_->CatchUp());
  return ask();
}

// What a call is told that needs weights.
Status LayerIsNotBuilt(const std::string& name);

}  // namespace tconv::server
