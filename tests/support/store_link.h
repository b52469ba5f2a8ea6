// A shared store as one of several servers reaches it.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "server/base/mutex.h"
#include "server/base/status.h"
#include "server/store/layer_store.h"

namespace tconv::testing {

// Passes everything on to a store in the same process, and can be told to lose the
// connection, to let reads of weights wait, and to fail them. Thread-safe.
class StoreLink final : public server::LayerStore {
 public:
  // `store` must be one that can be followed, and outlive the link.
  explicit StoreLink(server::LayerStore& store) : store_(store) {}

  // Until Mend() every call is UNAVAILABLE.
  void Cut() {
    is_cut_ = true;
    if (auto* feed = feed_.load()) feed->Interrupt();
  }
  void Mend() { is_cut_ = false; }

  // Reads of weights wait until they may go on.
  void HoldReads() {
    server::MutexLock lock(mutex_);
    are_reads_held_ = true;
  }
  void ReleaseReads() {
    server::MutexLock lock(mutex_);
    are_reads_held_ = false;
    changed_.NotifyAll();
  }
  // Waits until so many reads of weights have begun, since the beginning.
  void AwaitReads(int count) {
    server::MutexLock lock(mutex_);
    while (reads_ < count) changed_.Wait(mutex_);
  }
  int reads() {
    server::MutexLock lock(mutex_);
    return reads_;
  }
  // What else happens each time just before a step is stored. Not while one is.
  void BeforeSteps(std::function<void()> action) { before_step_ = std::move(action); }
  // What reads of weights answer instead of them; OK: the weights.
  void FailReads(server::Status error) {
    server::MutexLock lock(mutex_);
    read_error_ = std::move(error);
  }

  server::StatusOr<server::LayerIndex> ReadIndex() override {
    TCONV_RETURN_IF_ERROR(Check());
    return store_.ReadIndex();
  }
  server::StatusOr<int64_t> Create(const server::LayerRecord& record,
                                   const server::Weights* weights) override {
    TCONV_RETURN_IF_ERROR(Check());
    return store_.Create(record, weights);
  }
  server::Status Update(const server::LayerKey& layer, const server::LayerChange& change) override {
    TCONV_RETURN_IF_ERROR(Check());
    if (change.training != nullptr && before_step_) before_step_();
    return store_.Update(layer, change);
  }
  server::StatusOr<server::StoredTraining> ReadTraining(const server::LayerKey& layer) override {
    TCONV_RETURN_IF_ERROR(Check());
    return store_.ReadTraining(layer);
  }
  server::StatusOr<server::Weights> ReadWeights(const server::LayerKey& layer) override {
    TCONV_RETURN_IF_ERROR(BeginRead());
    TCONV_RETURN_IF_ERROR(Check());
    return store_.ReadWeights(layer);
  }
  server::Status Delete(const std::string& name) override {
    TCONV_RETURN_IF_ERROR(Check());
    return store_.Delete(name);
  }
  server::StatusOr<int64_t> CreateChain(const server::ChainRecord& record) override {
    TCONV_RETURN_IF_ERROR(Check());
    return store_.CreateChain(record);
  }
  server::Status DeleteChain(const std::string& name) override {
    TCONV_RETURN_IF_ERROR(Check());
    return store_.DeleteChain(name);
  }
  std::unique_ptr<server::ChangeFeed> Follow(int64_t revision) override {
    auto feed = std::make_unique<Feed>(*this, store_.Follow(revision));
    feed_ = feed.get();
    return feed;
  }

 private:
  class Feed final : public server::ChangeFeed {
   public:
    Feed(StoreLink& link, std::unique_ptr<server::ChangeFeed> feed)
        : link_(link), feed_(std::move(feed)) {}
    ~Feed() override { link_.feed_ = nullptr; }

    server::StatusOr<server::StoreChanges> Next(std::chrono::milliseconds patience) override {
      TCONV_RETURN_IF_ERROR(link_.Check());
      return feed_->Next(patience);
    }
    void Interrupt() override { feed_->Interrupt(); }

   private:
    StoreLink& link_;
    const std::unique_ptr<server::ChangeFeed> feed_;
  };

  server::Status Check() const {
    if (!is_cut_) return server::OkStatus();
    return server::Status(server::StatusCode::kUnavailable, "store: the link is cut");
  }

  server::Status BeginRead() {
    server::MutexLock lock(mutex_);
    ++reads_;
    changed_.NotifyAll();
    while (are_reads_held_) changed_.Wait(mutex_);
    return read_error_;
  }

  server::LayerStore& store_;
  std::atomic<bool> is_cut_ = false;
  std::atomic<Feed*> feed_ = nullptr;
  std::function<void()> before_step_;

  server::Mutex mutex_;
  server::CondVar changed_;
  bool are_reads_held_ TCONV_GUARDED_BY(mutex_) = false;
  int reads_ TCONV_GUARDED_BY(mutex_) = 0;
  server::Status read_error_ TCONV_GUARDED_BY(mutex_);
};

}  // namespace tconv::testing
