// The real connection against a service of the test's, over a socket.
#include <gmock/gmock.h>
#include <google/rpc/error_details.pb.h>
#include <google/rpc/status.pb.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <tconv/client.h>
#include <tconv/v1/transposed_conv.grpc.pb.h>
#include <unistd.h>

#include <future>

#include "tests/support/status_matchers.h"

namespace tconv {
namespace {

using std::chrono::milliseconds;
using tconv::testing::IsOk;
using tconv::testing::IsOkAndHolds;
using tconv::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::HasSubstr;

grpc::Status BadRequest(const std::string& field, const std::string& description) {
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

// Forward answers with its input, except on the layers named after what happens.
class EchoService final : public v1::TransposedConvService::CallbackService {
 public:
  grpc::ServerUnaryReactor* Forward(grpc::CallbackServerContext* context,
                                    const v1::ForwardRequest* request,
                                    v1::ForwardResponse* response) override {
    if (request->name() == "never") return new NeverReactor(entered_);
    auto* reactor = context->DefaultReactor();
    if (request->name() == "refused") {
      reactor->Finish(BadRequest("input.shape", "expected 3 channels"));
    } else {
      *response->mutable_output() = request->input();
      reactor->Finish(grpc::Status::OK);
    }
    return reactor;
  }

  // Ready when a Forward on "never" has arrived.
  std::future<void> entered() { return entered_.get_future(); }

 private:
  // Finishes when the client gives up.
  class NeverReactor final : public grpc::ServerUnaryReactor {
   public:
    explicit NeverReactor(std::promise<void>& entered) { entered.set_value(); }
    void OnCancel() override { Finish(grpc::Status::CANCELLED); }
    void OnDone() override { delete this; }
  };

  std::promise<void> entered_;
};

class GrpcConnectionTest : public ::testing::Test {
 protected:
  GrpcConnectionTest() {
    grpc::EnableDefaultHealthCheckService(true);
    int port = 0;
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
    builder.RegisterService(&service_).SetMaxReceiveMessageSize(-1);
    server_ = builder.BuildAndStart();
    target_ = "127.0.0.1:" + std::to_string(port);
  }

  EchoService service_;
  std::unique_ptr<grpc::Server> server_;
  std::string target_;
};

Tensor Ones(int64_t count) {
  return *Tensor::FromValues<float>({count}, std::vector<float>(static_cast<size_t>(count), 1.0f));
}

TEST_F(GrpcConnectionTest, CarriesMessagesBeyondTheLimitOfGrpc) {
  constexpr int64_t kCount = 4 << 20;
  const auto result = Client(target_).Forward("echo", Ones(kCount));
  ASSERT_THAT(result, IsOk());
  EXPECT_THAT(result->output.shape(), ElementsAre(kCount));
}

TEST_F(GrpcConnectionTest, TellsWhichFieldTheServerRefused) {
  const auto result = Client(target_).Forward("refused", Ones(1));
  EXPECT_THAT(result,
              StatusIs(absl::StatusCode::kInvalidArgument, "input.shape: expected 3 channels"));
  EXPECT_THAT(FieldViolations(result.status()),
              ElementsAre(AllOf(Field(&FieldViolation::field, "input.shape"),
                                Field(&FieldViolation::description, "expected 3 channels"))));
}

TEST_F(GrpcConnectionTest, GivesUpAfterTheTimeoutOfTheClient) {
  const Client client(target_, {.timeout = milliseconds(50)});
  EXPECT_THAT(client.Forward("never", Ones(1)), StatusIs(absl::StatusCode::kDeadlineExceeded));
}

TEST_F(GrpcConnectionTest, PrefersTheTimeoutOfTheCall) {
  const Client client(target_, {.timeout = std::chrono::hours(1)});
  const ForwardOptions options{.call = {.timeout = milliseconds(50)}};
  EXPECT_THAT(client.Forward("never", Ones(1), options),
              StatusIs(absl::StatusCode::kDeadlineExceeded));
}

TEST_F(GrpcConnectionTest, TakesTheLongestTimeoutThereIs) {
  const Client client(target_, {.timeout = milliseconds::max()});
  EXPECT_THAT(client.Forward("echo", Ones(1)), IsOk());
}

TEST_F(GrpcConnectionTest, CancelsACallThatRuns) {
  std::stop_source source;
  auto result = Client(target_).ForwardAsync("never", Ones(1),
                                             {.call = {.cancellation = source.get_token()}});
  service_.entered().wait();
  source.request_stop();
  EXPECT_THAT(result.get(), StatusIs(absl::StatusCode::kCancelled));
}

TEST_F(GrpcConnectionTest, CancelsACallBeforeItStarts) {
  std::stop_source source;
  source.request_stop();
  EXPECT_THAT(Client(target_).CheckHealth("", {.cancellation = source.get_token()}),
              StatusIs(absl::StatusCode::kCancelled));
}

TEST_F(GrpcConnectionTest, KeepsManyCallsInFlight) {
  const Client client(target_);
  std::vector<std::future<absl::StatusOr<ForwardResult>>> results;
  for (int64_t i = 0; i < 200; ++i) results.push_back(client.ForwardAsync("echo", Ones(i)));
  for (size_t i = 0; i < results.size(); ++i) {
    const auto result = results[i].get();
    ASSERT_THAT(result, IsOk());
    EXPECT_THAT(result->output.shape(), ElementsAre(i));
  }
}

TEST_F(GrpcConnectionTest, AsksTheHealthService) {
  const Client client(target_);
  EXPECT_THAT(client.CheckHealth(), IsOk());
  EXPECT_THAT(client.CheckHealth("no.such.Service"), StatusIs(absl::StatusCode::kNotFound));
  server_->GetHealthCheckService()->SetServingStatus(false);
  EXPECT_THAT(client.CheckHealth(),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("NOT_SERVING")));
}

TEST_F(GrpcConnectionTest, UsesAChannelOfTheCaller) {
  const Client client(
      ConnectOver(grpc::CreateChannel(target_, grpc::InsecureChannelCredentials())));
  EXPECT_THAT(client.Forward("echo", Ones(2)), IsOk());
}

TEST(GrpcConnectionWithoutServerTest, NamesTheServerThatCannotBeReached) {
  const Client client("unix:/nonexistent/tconv.socket");
  EXPECT_THAT(client.Forward("echo", Ones(1)),
              StatusIs(absl::StatusCode::kUnavailable,
                       HasSubstr("cannot reach unix:/nonexistent/tconv.socket: ")));
}

TEST(GrpcConnectionWithoutServerTest, NamesTheServerThatDoesNotAnswerInTime) {
  // The kernel accepts the connection, and nobody ever speaks on it.
  const int silent = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  socklen_t size = sizeof(address);
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  auto* generic_address = reinterpret_cast<sockaddr*>(&address);
  ASSERT_EQ(bind(silent, generic_address, size), 0);
  ASSERT_EQ(listen(silent, 1), 0);
  ASSERT_EQ(getsockname(silent, generic_address, &size), 0);
  const std::string target = "127.0.0.1:" + std::to_string(ntohs(address.sin_port));

  const Client client(target, {.timeout = milliseconds(100)});
  EXPECT_THAT(client.CheckHealth(), StatusIs(absl::StatusCode::kDeadlineExceeded,
                                             HasSubstr("cannot reach " + target + ": ")));
  close(silent);
}

}  // namespace
}  // namespace tconv
