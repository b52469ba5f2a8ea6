#include "server/rpc/health_service.h"

#include <utility>

#include "server/wire/status_codec.h"

namespace tconv::server {
namespace {

using grpc::health::v1::HealthCheckRequest;
using grpc::health::v1::HealthCheckResponse;

HealthCheckResponse::ServingStatus StatusOf(std::optional<bool> is_serving) {
  if (!is_serving.has_value()) return HealthCheckResponse::SERVICE_UNKNOWN;
  return *is_serving ? HealthCheckResponse::SERVING : HealthCheckResponse::NOT_SERVING;
}

}  // namespace

// One call of Watch. Its state is guarded by the mutex of the service: that one
// outlives the call, which gRPC may end on another thread as soon as Finish() is
// called.
class HealthService::Watcher final : public grpc::ServerWriteReactor<HealthCheckResponse> {
 public:
  Watcher(HealthService& service, std::string watched)
      : service_(service), watched_(std::move(watched)) {}

  // Instead of watching.
  void Refuse(const Status& why) {
    is_finished_ = true;
    Finish(ToGrpcStatus(why));
  }

 private:
  friend class HealthService;

  void OnWriteDone(bool ok) override {
    MutexLock lock(service_.mutex_);
    is_writing_ = false;
    if (!ok) is_cancelled_ = true;
    service_.Tell(*this);
  }
  void OnCancel() override {
    MutexLock lock(service_.mutex_);
    is_cancelled_ = true;
    service_.Tell(*this);
  }
  void OnDone() override {
    service_.Remove(*this);
    delete this;
  }

  HealthService& service_;
  const std::string watched_;
  HealthCheckResponse message_;  // the last that was told
  bool has_told_ = false;
  bool is_writing_ = false;
  bool is_cancelled_ = false;
  bool is_finished_ = false;
};

void HealthService::Refresh() {
  MutexLock lock(mutex_);
  TellAll();
}

void HealthService::EndWatches() {
  MutexLock lock(mutex_);
  is_ending_ = true;
  TellAll();
}

void HealthService::TellAll() {
  for (Watcher* watcher : watchers_) Tell(*watcher);
}

void HealthService::Tell(Watcher& watcher) {
  if (watcher.is_writing_ || watcher.is_finished_) return;
  const auto status = StatusOf(is_serving_(watcher.watched_));
  const bool is_told = watcher.has_told_ && watcher.message_.status() == status;
  if (!is_told && !watcher.is_cancelled_) {
    watcher.has_told_ = watcher.is_writing_ = true;
    watcher.message_.set_status(status);
    watcher.StartWrite(&watcher.message_);
  } else if (is_ending_ || watcher.is_cancelled_) {
    watcher.is_finished_ = true;
    watcher.Finish({grpc::StatusCode::UNAVAILABLE, "the server is ending"});
  }
}

void HealthService::Remove(Watcher& watcher) {
  MutexLock lock(mutex_);
  watchers_.erase(&watcher);
}

grpc::ServerUnaryReactor* HealthService::Check(grpc::CallbackServerContext* context,
                                               const HealthCheckRequest* request,
                                               HealthCheckResponse* response) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  if (const Status may_ask = may_ask_(*context, request->service()); !may_ask.ok()) {
    reactor->Finish(ToGrpcStatus(may_ask));
    return reactor;
  }
  const std::optional<bool> answer = is_serving_(request->service());
  if (answer.has_value()) {
    response->set_status(StatusOf(answer));
    reactor->Finish(grpc::Status::OK);
  } else {
    reactor->Finish({grpc::StatusCode::NOT_FOUND, "there is no such service"});
  }
  return reactor;
}

grpc::ServerWriteReactor<HealthCheckResponse>* HealthService::Watch(
    grpc::CallbackServerContext* context, const HealthCheckRequest* request) {
  auto* watcher = new Watcher(*this, request->service());
  MutexLock lock(mutex_);
  if (const Status may_ask = may_ask_(*context, request->service()); !may_ask.ok()) {
    watcher->Refuse(may_ask);
    return watcher;
  }
  watchers_.insert(watcher);
  Tell(*watcher);
  return watcher;
}

}  // namespace tconv::server
