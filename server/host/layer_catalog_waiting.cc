// The calls that wait until a catalog serves a version.
#include <chrono>
#include <span>
#include <string_view>
#include <utility>

#include "server/host/layer_catalog.h"

namespace tconv::server {

// Finds the layer or chain whose version a call asks for.
class LayerCatalog::Search final : public QueuedCall {
 public:
  Search(LayerCatalog& catalog, std::string name, int64_t version, QueuedCall& call,
         AdmissionQueue& queue)
      : catalog_(catalog), name_(std::move(name)), version_(version), call_(call), queue_(queue) {}

  std::string_view flow() const override { return name_; }
  std::chrono::system_clock::time_point deadline() const override { return call_.deadline(); }
  bool computes() const override { return false; }

  void Run(std::span<QueuedCall* const>) override {
    const std::unique_ptr<Search> self(this);
    const auto named = catalog_.FindAny(name_);
    if (!named.ok()) return call_.Drop(named.status());
    catalog_.AwaitVersion(*named, version_, call_, queue_);
  }
  void Drop(const Status& why) override {
    const std::unique_ptr<Search> self(this);
    call_.Drop(why);
  }

 private:
  LayerCatalog& catalog_;
  const std::string name_;
  const int64_t version_;
  QueuedCall& call_;
  AdmissionQueue& queue_;
};

void LayerCatalog::AwaitVersion(const std::string& name, int64_t version, QueuedCall& call,
                                AdmissionQueue& queue) {
  if (version == 0) return queue.Submit(call);
  const auto named = registry_.FindAny(name);
  if (named.ok()) return AwaitVersion(*named, version, call, queue);
  // It destroys itself.
  queue.Submit(*new Search(*this, name, version, call, queue));
}

void LayerCatalog::AwaitVersion(const NamedEntry& named, int64_t version, QueuedCall& call,
                                AdmissionQueue& queue) {
  const StatusOr<VersionedLayers> layers = VersionedLayersOf(named);
  if (!layers.ok()) return call.Drop(layers.status());
  if (follower_ != nullptr && layers->newest_version() < version) follower_->LookSoon();
  waiters_.Await(*layers, version, call, queue);
}

StatusOr<VersionedLayers> LayerCatalog::VersionedLayersOf(const NamedEntry& named) const {
  if (named.layer != nullptr) return VersionedLayers(named.layer);
  TCONV_ASSIGN_OR_RETURN(const auto layers, FindLayersOf(*named.chain));
  return VersionedLayers(named.chain->name, {layers.begin(), layers.end()});
}

}  // namespace tconv::server
