// The standard health protocol of gRPC, about whatever is asked to know.
#pragma once

#include <grpc/health/v1/health.grpc.pb.h>
#include <grpcpp/support/server_callback.h>

#include <functional>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "server/base/mutex.h"
#include "server/base/status.h"

namespace tconv::server {

// Whether a service serves; nothing when there is none of this name. Called on
// many threads at once: must answer from memory.
using ServingTest = std::function<std::optional<bool>(const std::string& service)>;

// Whether the caller may ask about a service; an error is what it is told instead,
// whether or not there is such a service. Called likewise.
using AskingTest =
    std::function<Status(const grpc::ServerContextBase& context, const std::string& service)>;

// Check answers NOT_FOUND about a service that does not exist; Watch goes on, for
// there may be one later. Thread-safe.
class HealthService final : public grpc::health::v1::Health::CallbackService {
 public:
  HealthService(ServingTest is_serving, AskingTest may_ask)
      : is_serving_(std::move(is_serving)), may_ask_(std::move(may_ask)) {}

  // Tells watchers what has changed. To be called after every change.
  void Refresh();
  // Tells watchers how things are for the last time and ends their calls, those
  // of later ones as well: by themselves they would never end.
  void EndWatches();

  grpc::ServerUnaryReactor* Check(grpc::CallbackServerContext* context,
                                  const grpc::health::v1::HealthCheckRequest* request,
                                  grpc::health::v1::HealthCheckResponse* response) override;
  grpc::ServerWriteReactor<grpc::health::v1::HealthCheckResponse>* Watch(
      grpc::CallbackServerContext* context,
      const grpc::health::v1::HealthCheckRequest* request) override;

 private:
  class Watcher;

  void Remove(Watcher& watcher);
  // Tells what the watcher does not know yet, or ends its call. One message is
  // under way at a time; its end leads here again.
  void Tell(Watcher& watcher) TCONV_REQUIRES(mutex_);
  void TellAll() TCONV_REQUIRES(mutex_);

  const ServingTest is_serving_;
  const AskingTest may_ask_;
  Mutex mutex_;
  std::set<Watcher*> watchers_ TCONV_GUARDED_BY(mutex_);
  bool is_ending_ TCONV_GUARDED_BY(mutex_) = false;
};

}  // namespace tconv::server
