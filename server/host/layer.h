// A live layer and what a request holds of it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "server/base/mutex.h"
#include "server/base/status.h"
#include "server/layer/layer_config.h"
#include "server/layer/optimizer.h"
#include "server/store/layer_store.h"

namespace tconv::server {

// One state of a layer.
struct LayerSnapshot {
  int64_t in_channels = 0;      // 0: not built
  int64_t weights_version = 0;  // 0: not built

  bool is_built() const { return weights_version > 0; }
};

inline LayerSnapshot SnapshotOf(const LayerRecord& record) {
  return {record.in_channels, record.weights_version};
}

inline LayerSnapshot SnapshotOf(const Weights& weights) {
  return {weights.in_channels(), weights.version};
}

// What a layer is, besides its weights: of the configuration `trainable` may change.
// Shared as shared_ptr<const LayerSettings> and never changed.
struct LayerSettings {
  LayerConfig config;
  std::optional<Optimizer> optimizer;
  int64_t version = 0;  // 0: as created
};

inline LayerSettings SettingsOf(LayerRecord record) {
  return {std::move(record.config), std::move(record.optimizer), record.settings_version};
}

// With nothing about the weights.
inline LayerRecord RecordOf(const LayerKey& key, const LayerSettings& settings) {
  return {.name = key.name,
          .config = settings.config,
          .optimizer = settings.optimizer,
          .settings_version = settings.version,
          .id = key.id};
}

// A layer of the store, its settings and its current snapshot. Thread-safe.
//
// The settings are the newest that are known of. The snapshot is what is served. The store may have
// a newer state: others wrote it, and its weights are being loaded. Neither ever goes back.
//
// Changes that this process makes to one layer are made one after the other, by
// whoever holds change_mutex() from reading the state they are based on until the
// next is stored and published. Readers take the snapshot and wait for nobody.
class Layer {
 public:
  explicit Layer(LayerRecord record)
      : key_(record.key()),
        snapshot_(SnapshotOf(record)),
        newest_(snapshot_),
        settings_(std::make_shared<const LayerSettings>(SettingsOf(std::move(record)))) {}

  const LayerKey& key() const { return key_; }
  int64_t id() const { return key_.id; }
  const std::string& name() const { return key_.name; }

  Mutex& change_mutex() TCONV_THREAD_ANNOTATION(lock_returned(change_mutex_)) {
    return change_mutex_;
  }

  std::shared_ptr<const LayerSettings> settings() const {
    MutexLock lock(state_mutex_);
    return settings_;
  }
  // The store has these settings.
  void Learn(std::shared_ptr<const LayerSettings> settings) {
    MutexLock lock(state_mutex_);
    if (settings->version > settings_->version) settings_ = std::move(settings);
  }

  LayerSnapshot snapshot() const {
    MutexLock lock(state_mutex_);
    return snapshot_;
  }
  // What the store is known to have.
  LayerSnapshot newest() const {
    MutexLock lock(state_mutex_);
    return newest_;
  }
  // Whether that is more than is served. Not true of a layer that was deleted.
  bool IsBehind() const {
    MutexLock lock(state_mutex_);
    return !is_deleted_ && IsNewer(newest_, snapshot_);
  }

  // The store has this state.
  void Learn(LayerSnapshot state) {
    MutexLock lock(state_mutex_);
    if (IsNewer(state, newest_)) newest_ = state;
  }
  // From now on this state, which the store has, is served. False when it is not
  // newer than the one that is.
  bool Publish(LayerSnapshot state) {
    MutexLock lock(state_mutex_);
    if (!IsNewer(state, snapshot_)) return false;
    snapshot_ = state;
    if (IsNewer(state, newest_)) newest_ = state;
    return true;
  }

  // Why the layer cannot be served as the store has it; OK while it can. The setter
  // tells whether that is news.
  Status trouble() const {
    MutexLock lock(state_mutex_);
    return trouble_;
  }
  bool SetTrouble(const Status& trouble) {
    MutexLock lock(state_mutex_);
    return std::exchange(trouble_, trouble).code() != trouble.code();
  }

  // Whether this server was told to keep no weights of it in memory.
  bool is_unloaded() const {
    MutexLock lock(state_mutex_);
    return is_unloaded_;
  }
  void set_unloaded(bool is_unloaded) {
    MutexLock lock(state_mutex_);
    is_unloaded_ = is_unloaded;
  }

  // It is no longer in the store.
  void MarkDeleted() {
    MutexLock lock(state_mutex_);
    is_deleted_ = true;
  }
  bool is_deleted() const {
    MutexLock lock(state_mutex_);
    return is_deleted_;
  }
  // Whether its weights may stay in memory.
  bool MayBeHeld() const {
    MutexLock lock(state_mutex_);
    return !is_deleted_ && !is_unloaded_;
  }

 private:
  static bool IsNewer(const LayerSnapshot& left, const LayerSnapshot& right) {
    return left.weights_version > right.weights_version;
  }

  const LayerKey key_;

  Mutex change_mutex_;

  mutable Mutex state_mutex_;
  LayerSnapshot snapshot_ TCONV_GUARDED_BY(state_mutex_);
  LayerSnapshot newest_ TCONV_GUARDED_BY(state_mutex_);
  std::shared_ptr<const LayerSettings> settings_ TCONV_GUARDED_BY(state_mutex_);
  Status trouble_ TCONV_GUARDED_BY(state_mutex_);
  bool is_unloaded_ TCONV_GUARDED_BY(state_mutex_) = false;
  bool is_deleted_ TCONV_GUARDED_BY(state_mutex_) = false;
};

}  // namespace tconv::server
