// A service that plays the server's side of the protocol, without layers: it
// answers with its input, except on the layers named after what happens.
#pragma once

#include <google/rpc/error_details.pb.h>
#include <google/rpc/status.pb.h>
#include <grpcpp/grpcpp.h>
#include <tconv/client.h>
#include <tconv/v1/transposed_conv.grpc.pb.h>
#include <xxhash.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "tests/unit/client/fake_chain_service.h"
#include "tests/unit/client/fake_training_service.h"

namespace tconv::testing {

inline uint64_t Xxh3(const std::string& bytes) { return XXH3_64bits(bytes.data(), bytes.size()); }

inline grpc::Status BadRequest(const std::string& field, const std::string& description) {
  google::rpc::BadRequest bad_request;
  auto* violation = bad_request.add_field_violations();
  violation->set_field(field);
  violation->set_description(description);
  google::rpc::Status details;
  details.set_code(grpc::StatusCode::INVALID_ARGUMENT);
  details.add_details()->PackFrom(bad_request);
  return {grpc::StatusCode::INVALID_ARGUMENT, field + ": " + description,
          details.SerializeAsString()};
}

// A refusal that is worth another try after `delay`.
inline grpc::Status RefusalFor(std::chrono::milliseconds delay) {
  google::rpc::RetryInfo info;
  info.mutable_retry_delay()->set_nanos(static_cast<int32_t>(delay.count() * 1'000'000));
  google::rpc::Status details;
  details.set_code(grpc::StatusCode::RESOURCE_EXHAUSTED);
  details.add_details()->PackFrom(info);
  return {grpc::StatusCode::RESOURCE_EXHAUSTED, "too much", details.SerializeAsString()};
}

using ServiceBase =
    v1::TransposedConvService::WithCallbackMethod_Forward<v1::TransposedConvService::Service>;

class FakeService final : public ServiceBase {
 public:
  // What came in with the last call of its kind.
  struct Seen {
    std::string data;  // of the stream that ended last, in its order
    v1::CreateRequest create_request;
    v1::SetWeightsStreamStart set_weights_start;
    std::string announced_bytes;  // metadata of Forward
    std::string layer;            // metadata of Forward
  };
  Seen seen() const {
    const std::lock_guard lock(mutex_);
    return seen_;
  }

  // What the first call on "refused once" is to wait for.
  static constexpr std::chrono::milliseconds kRefusal{300};

  std::atomic<int> calls = 0;
  // The next calls of Forward, SetWeights, Delete and ForwardStream that fail
  // with UNAVAILABLE.
  std::atomic<int> failures = 0;
  // Is called before every message of ForwardStream that is read.
  void BeforeReading(std::function<void()> action) {
    const std::lock_guard lock(mutex_);
    before_reading_ = std::move(action);
  }

  // Ready when a call on "never" has arrived.
  std::future<void> entered() { return entered_.get_future(); }

  grpc::ServerUnaryReactor* Forward(grpc::CallbackServerContext* context,
                                    const v1::ForwardRequest* request,
                                    v1::ForwardResponse* response) override {
    ++calls;
    if (request->name() == "never") return new NeverReactor(entered_);
    Note([&](Seen& seen) {
      seen.announced_bytes = MetadataOf(*context, "tconv-message-bytes");
      seen.layer = MetadataOf(*context, "tconv-layer");
    });
    context->AddTrailingMetadata("tconv-timing", "queue=1,plan=2,compute=3,serialize=4");
    auto* reactor = context->DefaultReactor();
    if (request->name() == "refused") {
      reactor->Finish(BadRequest("input.shape", "expected 3 channels"));
    } else if (request->name() == "refused once" && calls == 1) {
      reactor->Finish(RefusalFor(kRefusal));
    } else if (request->name() == "cut off once" && calls == 1) {
      reactor->Finish(grpc::Status::CANCELLED);
    } else if (Fails()) {
      reactor->Finish({grpc::StatusCode::UNAVAILABLE, "later"});
    } else {
      *response->mutable_output() = request->input();
      response->set_weights_version(1);
      if (request->compute_losses()) response->add_losses()->set_value(0.5);
      if (request->name() == "misshapen") response->mutable_output()->add_shape(2);
      reactor->Finish(grpc::Status::OK);
    }
    return reactor;
  }

  grpc::Status Create(grpc::ServerContext*, const v1::CreateRequest* request,
                      v1::CreateResponse* response) override {
    Note([&](Seen& seen) { seen.create_request = *request; });
    response->mutable_layer()->set_name(request->name());
    return grpc::Status::OK;
  }

  grpc::Status SetWeights(grpc::ServerContext*, const v1::SetWeightsRequest*,
                          v1::SetWeightsResponse* response) override {
    ++calls;
    if (Fails()) return {grpc::StatusCode::UNAVAILABLE, "later"};
    response->set_weights_version(2);
    return grpc::Status::OK;
  }

  grpc::Status Delete(grpc::ServerContext*, const v1::DeleteRequest*,
                      v1::DeleteResponse*) override {
    ++calls;
    return Fails() ? grpc::Status(grpc::StatusCode::UNAVAILABLE, "later") : grpc::Status::OK;
  }

  grpc::Status ForwardStream(grpc::ServerContext* context,
                             grpc::ServerReaderWriter<v1::ForwardStreamResponse,
                                                      v1::ForwardStreamRequest>* stream) override;

  grpc::Status SetWeightsStream(grpc::ServerContext* context,
                                grpc::ServerReader<v1::SetWeightsStreamRequest>* reader,
                                v1::SetWeightsStreamResponse* response) override;

  // A kernel of [2, 300000] and, but for the layer "no_bias", a bias of [3]; the
  // floats count up from 0. Messages end anywhere.
  grpc::Status GetWeightsStream(grpc::ServerContext* context,
                                const v1::GetWeightsStreamRequest* request,
                                grpc::ServerWriter<v1::GetWeightsStreamResponse>* writer) override;

 private:
  // Finishes when the client gives up.
  class NeverReactor final : public grpc::ServerUnaryReactor {
   public:
    explicit NeverReactor(std::promise<void>& entered) { entered.set_value(); }
    void OnCancel() override { Finish(grpc::Status::CANCELLED); }
    void OnDone() override { delete this; }
  };

  // Empty when there is none.
  static std::string MetadataOf(const grpc::CallbackServerContext& context, const char* key) {
    const auto found = context.client_metadata().find(key);
    if (found == context.client_metadata().end()) return "";
    return {found->second.data(), found->second.size()};
  }

  template <typename Action>
  void Note(Action action) {
    const std::lock_guard lock(mutex_);
    action(seen_);
  }

  void PrepareToRead() {
    std::function<void()> action;
    {
      const std::lock_guard lock(mutex_);
      action = before_reading_;
    }
    if (action) action();
  }

  bool Fails() { return failures.load() > 0 && failures.fetch_sub(1) > 0; }

  std::promise<void> entered_;
  mutable std::mutex mutex_;  // of the rest
  Seen seen_;
  std::function<void()> before_reading_;
};

// Runs the services on a free port of loopback.
class FakeServer {
 public:
  FakeServer() {
    grpc::EnableDefaultHealthCheckService(true);
    int port = 0;
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
    builder.RegisterService(&service).RegisterService(&training).RegisterService(&chains);
    builder.SetMaxReceiveMessageSize(-1);
    builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 10);
    server = builder.BuildAndStart();
    target = "127.0.0.1:" + std::to_string(port);
  }

  FakeService service;
  FakeTrainingService training;
  FakeChainService chains;
  std::unique_ptr<grpc::Server> server;
  std::string target;
};

}  // namespace tconv::testing
