// The health protocol over a socket, about services of the test's.
#include "server/rpc/health_service.h"

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <optional>
#include <string>

namespace tconv::server {
namespace {

using grpc::health::v1::Health;
using grpc::health::v1::HealthCheckRequest;
using grpc::health::v1::HealthCheckResponse;
using ::testing::Optional;

class HealthServiceTest : public ::testing::Test {
 protected:
  // A call of Watch.
  class Watch {
   public:
    Watch(Health::Stub& stub, const std::string& service) {
      HealthCheckRequest request;
      request.set_service(service);
      reader_ = stub.Watch(&context_, request);
    }
    ~Watch() { context_.TryCancel(); }

    // The next message; nothing when the call has ended.
    std::optional<HealthCheckResponse::ServingStatus> Next() {
      HealthCheckResponse response;
      if (!reader_->Read(&response)) return std::nullopt;
      return response.status();
    }
    grpc::Status End() { return reader_->Finish(); }
    void Cancel() { context_.TryCancel(); }

   private:
    grpc::ClientContext context_;
    std::unique_ptr<grpc::ClientReader<HealthCheckResponse>> reader_;
  };

  HealthServiceTest() {
    int port = 0;
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
    builder.RegisterService(&service_);
    server_ = builder.BuildAndStart();
    stub_ = Health::NewStub(grpc::CreateChannel("127.0.0.1:" + std::to_string(port),
                                                grpc::InsecureChannelCredentials()));
  }
  ~HealthServiceTest() override { server_->Shutdown(std::chrono::system_clock::now()); }

  grpc::Status Check(const std::string& service, HealthCheckResponse* response) {
    HealthCheckRequest request;
    request.set_service(service);
    grpc::ClientContext context;
    return stub_->Check(&context, request, response);
  }

  std::atomic<bool> is_up_{true};
  std::atomic<bool> has_late_{false};
  HealthService service_{
      [this](const std::string& name) -> std::optional<bool> {
        if (name == "up") return is_up_.load();
        if (name == "late" && has_late_) return true;
        return std::nullopt;
      },
      [](const grpc::ServerContextBase&, const std::string& name) {
        return name == "secret" ? Status(StatusCode::kPermissionDenied, "not for you") : OkStatus();
      }};
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<Health::Stub> stub_;
};

TEST_F(HealthServiceTest, WhoMayNotAskIsToldSo) {
  HealthCheckResponse response;
  EXPECT_EQ(Check("secret", &response).error_code(), grpc::StatusCode::PERMISSION_DENIED);

  HealthCheckRequest request;
  request.set_service("secret");
  grpc::ClientContext context;
  const auto watch = stub_->Watch(&context, request);
  EXPECT_FALSE(watch->Read(&response));
  EXPECT_EQ(watch->Finish().error_code(), grpc::StatusCode::PERMISSION_DENIED);
}

TEST_F(HealthServiceTest, CheckTellsHowTheServiceIs) {
  HealthCheckResponse response;
  ASSERT_TRUE(Check("up", &response).ok());
  EXPECT_EQ(response.status(), HealthCheckResponse::SERVING);
  is_up_ = false;
  ASSERT_TRUE(Check("up", &response).ok());
  EXPECT_EQ(response.status(), HealthCheckResponse::NOT_SERVING);
}

TEST_F(HealthServiceTest, CheckDoesNotFindAServiceThatIsNotThere) {
  HealthCheckResponse response;
  EXPECT_EQ(Check("bogus", &response).error_code(), grpc::StatusCode::NOT_FOUND);
}

TEST_F(HealthServiceTest, WatchersHearOfEveryChangeAndOfNothingElse) {
  Watch watch(*stub_, "up");
  EXPECT_THAT(watch.Next(), Optional(HealthCheckResponse::SERVING));
  service_.Refresh();
  is_up_ = false;
  service_.Refresh();
  EXPECT_THAT(watch.Next(), Optional(HealthCheckResponse::NOT_SERVING));
  is_up_ = true;
  service_.Refresh();
  EXPECT_THAT(watch.Next(), Optional(HealthCheckResponse::SERVING));
}

TEST_F(HealthServiceTest, WatchersWaitForAServiceThatComesLater) {
  Watch watch(*stub_, "late");
  EXPECT_THAT(watch.Next(), Optional(HealthCheckResponse::SERVICE_UNKNOWN));
  has_late_ = true;
  service_.Refresh();
  EXPECT_THAT(watch.Next(), Optional(HealthCheckResponse::SERVING));
}

TEST_F(HealthServiceTest, WatchesEndAfterTheLastChangeIsTold) {
  Watch before(*stub_, "up");
  EXPECT_THAT(before.Next(), Optional(HealthCheckResponse::SERVING));
  is_up_ = false;
  service_.EndWatches();
  Watch after(*stub_, "up");
  for (Watch* watch : {&before, &after}) {
    EXPECT_THAT(watch->Next(), Optional(HealthCheckResponse::NOT_SERVING));
    EXPECT_EQ(watch->Next(), std::nullopt);
    EXPECT_EQ(watch->End().error_code(), grpc::StatusCode::UNAVAILABLE);
  }
}

TEST_F(HealthServiceTest, WatchersMayLeaveWhileOthersStay) {
  Watch stays(*stub_, "up");
  EXPECT_THAT(stays.Next(), Optional(HealthCheckResponse::SERVING));
  for (int i = 0; i < 20; ++i) {
    Watch leaves(*stub_, "up");
    if (i % 2 == 0) {
      EXPECT_THAT(leaves.Next(), Optional(HealthCheckResponse::SERVING));
    }
    leaves.Cancel();
    service_.Refresh();
  }
  is_up_ = false;
  service_.Refresh();
  EXPECT_THAT(stays.Next(), Optional(HealthCheckResponse::NOT_SERVING));
}

}  // namespace
}  // namespace tconv::server
