// What is told under which name.
#include "server/rpc/server_health.h"

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>

namespace tconv::server {
namespace {

using grpc::health::v1::Health;
using grpc::health::v1::HealthCheckRequest;
using grpc::health::v1::HealthCheckResponse;

class FakeHost final : public HealthSource {
 public:
  Status StoreStatus() const override {
    MutexLock lock(mutex_);
    return store_;
  }
  // Of "up".
  Status LayerStatus(const std::string& name) const override {
    MutexLock lock(mutex_);
    return name == "up" ? layer_ : Status(StatusCode::kNotFound, "no such layer");
  }
  void SetHealthListener(std::function<void()> listener) override {
    listener_ = std::move(listener);
  }

  void LoseStore() {
    {
      MutexLock lock(mutex_);
      store_ = Status(StatusCode::kUnavailable, "no answer");
    }
    listener_();
  }
  void SetLayer(const Status& status) {
    MutexLock lock(mutex_);
    layer_ = status;
  }

 private:
  mutable Mutex mutex_;
  Status store_ TCONV_GUARDED_BY(mutex_);
  Status layer_ TCONV_GUARDED_BY(mutex_);
  std::function<void()> listener_;
};

class ServerHealthTest : public ::testing::Test {
 protected:
  // A server with one of the two services.
  struct Door {
    explicit Door(grpc::Service* service) {
      int port = 0;
      grpc::ServerBuilder builder;
      builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
      builder.RegisterService(service);
      server = builder.BuildAndStart();
      stub = Health::NewStub(grpc::CreateChannel("127.0.0.1:" + std::to_string(port),
                                                 grpc::InsecureChannelCredentials()));
    }
    ~Door() { server->Shutdown(std::chrono::system_clock::now()); }

    // "SERVING", "NOT_SERVING", or "" for what is not there.
    std::string Ask(const std::string& service) const {
      HealthCheckRequest request;
      request.set_service(service);
      HealthCheckResponse response;
      grpc::ClientContext context;
      const grpc::Status status = stub->Check(&context, request, &response);
      if (status.error_code() == grpc::StatusCode::NOT_FOUND) return "";
      EXPECT_TRUE(status.ok()) << status.error_message();
      return HealthCheckResponse::ServingStatus_Name(response.status());
    }

    std::unique_ptr<grpc::Server> server;
    std::unique_ptr<Health::Stub> stub;
  };

  FakeHost host_;
  AccessControl access_;
  ServerHealth health_{host_, access_};
  const Door main_{health_.service()};
  const Door probes_{health_.probe_service()};
};

TEST_F(ServerHealthTest, WhileItDrainsTheServerIsAliveButNotReady) {
  for (const Door* door : {&main_, &probes_}) {
    EXPECT_EQ(door->Ask(""), "SERVING");
    EXPECT_EQ(door->Ask("tconv.v1.TransposedConvService"), "SERVING");
    EXPECT_EQ(door->Ask("tconv.live"), "SERVING");
  }
  health_.StopServing();
  for (const Door* door : {&main_, &probes_}) {
    EXPECT_EQ(door->Ask(""), "NOT_SERVING");
    EXPECT_EQ(door->Ask("tconv.v1.TransposedConvService"), "NOT_SERVING");
    EXPECT_EQ(door->Ask("tconv.live"), "SERVING");
  }
}

TEST_F(ServerHealthTest, WithoutItsStoreTheServerIsReadyNevertheless) {
  EXPECT_EQ(main_.Ask("tconv.store"), "SERVING");
  host_.LoseStore();
  EXPECT_EQ(main_.Ask("tconv.store"), "NOT_SERVING");
  EXPECT_EQ(main_.Ask(""), "SERVING");
}

TEST_F(ServerHealthTest, ALayerServesWhenItIsAsTheStoreHasIt) {
  const struct {
    Status status;
    const char* answer;
  } kCases[] = {
      {OkStatus(), "SERVING"},
      {Status(StatusCode::kFailedPrecondition, "not built"), "NOT_SERVING"},
      {Status(StatusCode::kDataLoss, "damaged"), "NOT_SERVING"},
      {Status(StatusCode::kNotFound, "gone"), ""},
  };
  for (const auto& test : kCases) {
    host_.SetLayer(test.status);
    EXPECT_EQ(main_.Ask("tconv.layer/up"), test.answer) << test.status;
  }
  EXPECT_EQ(main_.Ask("tconv.layer/other"), "");
}

TEST_F(ServerHealthTest, ProbesDoNotLearnWhichLayersThereAre) {
  EXPECT_EQ(main_.Ask("tconv.layer/up"), "SERVING");
  EXPECT_EQ(probes_.Ask("tconv.layer/up"), "");
}

TEST_F(ServerHealthTest, WatchersHearWhatTheHostTells) {
  HealthCheckRequest request;
  request.set_service("tconv.store");
  grpc::ClientContext context;
  const auto watch = main_.stub->Watch(&context, request);
  HealthCheckResponse response;
  ASSERT_TRUE(watch->Read(&response));
  EXPECT_EQ(response.status(), HealthCheckResponse::SERVING);
  host_.LoseStore();
  ASSERT_TRUE(watch->Read(&response));
  EXPECT_EQ(response.status(), HealthCheckResponse::NOT_SERVING);
  context.TryCancel();
}

}  // namespace
}  // namespace tconv::server
