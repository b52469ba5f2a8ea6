// A live layer and what a request holds of it.
#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include "server/base/mutex.h"
#include "server/layer/layer_config.h"
#include "server/store/layer_store.h"

namespace tconv::server {

// One state of a layer.
struct LayerSnapshot {
  int64_t in_channels = 0;      // 0: not built
  int64_t weights_version = 0;  // 0: not built

  bool is_built() const { return weights_version > 0; }
};

// A name, its configuration and its current snapshot. Thread-safe.
//
// Changes of one layer are made one after the other, by whoever holds
// change_mutex() from reading the snapshot they are based on until the next is
// stored and published. Readers take the snapshot and wait for nobody.
class Layer {
 public:
  Layer(LayerKey key, LayerConfig config, LayerSnapshot snapshot)
      : key_(std::move(key)), config_(std::move(config)), snapshot_(snapshot) {}

  const LayerKey& key() const { return key_; }
  int64_t id() const { return key_.id; }
  const std::string& name() const { return key_.name; }
  const LayerConfig& config() const { return config_; }

  LayerSnapshot snapshot() const {
    MutexLock lock(snapshot_mutex_);
    return snapshot_;
  }

  Mutex& change_mutex() TCONV_THREAD_ANNOTATION(lock_returned(change_mutex_)) {
    return change_mutex_;
  }

  void Publish(LayerSnapshot snapshot) TCONV_REQUIRES(change_mutex_) {
    MutexLock lock(snapshot_mutex_);
    snapshot_ = snapshot;
  }

  // A layer that was deleted takes no more changes.
  void MarkDeleted() TCONV_REQUIRES(change_mutex_) { is_deleted_ = true; }
  bool is_deleted() const TCONV_REQUIRES(change_mutex_) { return is_deleted_; }

 private:
  const LayerKey key_;
  const LayerConfig config_;

  Mutex change_mutex_;
  bool is_deleted_ TCONV_GUARDED_BY(change_mutex_) = false;

  mutable Mutex snapshot_mutex_;
  LayerSnapshot snapshot_ TCONV_GUARDED_BY(snapshot_mutex_);
};

}  // namespace tconv::server
