// Requests of training that make no sense: each gets a code that says so, and changes
// nothing.

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <tconv/client.h>
#include <tconv/v1/training.pb.h>

#include <cmath>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "tests/integration/raw_call.h"
#include "tests/support/small_training.h"
#include "tests/support/status_matchers.h"
#include "tests/support/test_server.h"

namespace tconv::testing {
namespace {

using absl::StatusCode;
using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::StartsWith;

v1::Tensor Ones(const std::vector<int64_t>& shape) {
  const Tensor tensor = Filled({shape.begin(), shape.end()}, 1);
  v1::Tensor message;
  message.set_dtype(v1::DATA_TYPE_FLOAT32);
  message.mutable_shape()->Add(shape.begin(), shape.end());
  message.set_data(std::string(tensor.bytes()));
  return message;
}

// A change that makes a good request a bad one, and how the message of the error begins.
template <typename Request>
struct Spoiled {
  const char* what;
  std::function<void(Request&)> change;
  const char* message;
};

class HostileTrainingTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_THAT(client_.Create(SmallLayer("up", 1)), IsOk());
    ASSERT_THAT(client_.SetOptimizer("up", Sgd(0.125)), IsOk());
  }
  // Nothing of it has changed the layer.
  void TearDown() override {
    const auto stored = client_.GetWeights("up");
    ASSERT_THAT(stored, IsOk());
    EXPECT_EQ(stored->version, 1);
    EXPECT_THAT(*stored->weights.kernel.values<float>(), Each(1));
    EXPECT_EQ(client_.GetOptimizer("up")->iterations, 0);
  }

  absl::Status Send(const std::string& method, const google::protobuf::Message& request) {
    const grpc::Status status =
        RawUnaryCall(channel_, "/tconv.v1.TrainingService/" + method, request.SerializeAsString());
    return {static_cast<absl::StatusCode>(status.error_code()), status.error_message()};
  }

  template <typename Request, size_t kCount>
  void ExpectRefused(const std::string& method, const Request& good,
                     const Spoiled<Request> (&cases)[kCount]) {
    for (const Spoiled<Request>& test : cases) {
      Request request = good;
      test.change(request);
      EXPECT_THAT(Send(method, request),
                  StatusIs(StatusCode::kInvalidArgument, StartsWith(test.message)))
          << test.what;
    }
  }

  const std::unique_ptr<TestServer> server_ = TestServer::Start();
  const Client client_{server_->target()};
  const std::shared_ptr<grpc::Channel> channel_ = OpenChannel(server_->target());
};

v1::TrainStepRequest GoodStep() {
  v1::TrainStepRequest request;
  request.set_name("up");
  *request.mutable_input() = Ones({1, 2, 2, 3});
  *request.mutable_target() = Ones({1, 4, 4, 4});
  *request.mutable_loss() = Object("MeanSquaredError", {});
  return request;
}

TEST_F(HostileTrainingTest, TrainStepsThatMakeNoSenseAreRefused) {
  using Request = v1::TrainStepRequest;
  const Spoiled<Request> kCases[] = {
      {"no input", [](Request& r) { r.clear_input(); }, "input: "},
      {"no target", [](Request& r) { r.clear_target(); }, "target: "},
      {"target and upstream", [](Request& r) { *r.mutable_upstream() = r.target(); }, "target: "},
      {"no loss", [](Request& r) { r.clear_loss(); }, "loss: "},
      {"a loss for nothing",
       [](Request& r) {
         *r.mutable_upstream() = r.target();
         r.clear_target();
       },
       "loss: "},
      {"an unknown loss", [](Request& r) { r.mutable_loss()->set_name("Hinge"); }, "loss.name: "},
      {"probabilities", [](Request& r) { *r.mutable_loss() = Object("BinaryCrossentropy", {}); },
       "loss.arguments.from_logits: "},
      {"other channels",
       [](Request& r) {
         *r.mutable_input() = Ones({1, 2, 2, 4});
       },
       "input.shape: "},
      {"another target",
       [](Request& r) {
         *r.mutable_target() = Ones({1, 4, 4, 3});
       },
       "target.shape: "},
      {"a target for one",
       [](Request& r) {
         *r.mutable_target() = Ones({1, 1, 1, 1});
       },
       "target.shape: "},
      {"half a target", [](Request& r) { r.mutable_target()->mutable_data()->resize(128); },
       "target.data: "},
      {"a huge target", [](Request& r) { r.mutable_target()->set_shape(0, int64_t{1} << 60); },
       "target."},
      {"shared memory", [](Request& r) { r.mutable_input()->mutable_region()->set_segment("s"); },
       "input.region: "},
      {"no rate", [](Request& r) { r.set_learning_rate(0); }, "learning_rate: "},
      {"not a rate", [](Request& r) { r.set_learning_rate(std::nan("")); }, "learning_rate: "},
      {"a long name", [](Request& r) { r.set_step_id(std::string(65, 'x')); }, "step_id: "},
  };
  ExpectRefused("TrainStep", GoodStep(), kCases);
}

TEST_F(HostileTrainingTest, BackwardsThatMakeNoSenseAreRefused) {
  using Request = v1::BackwardRequest;
  const Spoiled<Request> kCases[] = {
      {"no input", [](Request& r) { r.clear_input(); }, "input: "},
      {"no upstream", [](Request& r) { r.clear_upstream(); }, "upstream: "},
      {"another upstream",
       [](Request& r) {
         *r.mutable_upstream() = Ones({1, 4, 4, 1});
       },
       "upstream.shape: "},
      {"more upstream", [](Request& r) { r.mutable_upstream()->mutable_data()->append("1234"); },
       "upstream.data: "},
      {"a negative version", [](Request& r) { r.set_min_version(-1); }, "min_version: "},
  };
  Request good;
  good.set_name("up");
  *good.mutable_input() = Ones({1, 2, 2, 3});
  *good.mutable_upstream() = Ones({1, 4, 4, 4});
  ExpectRefused("Backward", good, kCases);
}

TEST_F(HostileTrainingTest, GradientsThatDoNotFitAreRefused) {
  using Request = v1::ApplyGradientsRequest;
  const Spoiled<Request> kCases[] = {
      {"none", [](Request& r) { r.clear_gradients(); }, "gradients: "},
      {"no kernel", [](Request& r) { r.mutable_gradients()->clear_kernel(); },
       "gradients.kernel: "},
      {"no bias", [](Request& r) { r.mutable_gradients()->clear_bias(); }, "gradients.bias"},
      {"another kernel",
       [](Request& r) {
         *r.mutable_gradients()->mutable_kernel() = Ones({2, 2, 3, 4});
       },
       "gradients.kernel"},
      {"half a bias",
       [](Request& r) { r.mutable_gradients()->mutable_bias()->mutable_data()->resize(8); },
       "gradients.bias.data: "},
  };
  Request good;
  good.set_name("up");
  *good.mutable_gradients()->mutable_kernel() = Ones({2, 2, 4, 3});
  *good.mutable_gradients()->mutable_bias() = Ones({4});
  ExpectRefused("ApplyGradients", good, kCases);
}

TEST_F(HostileTrainingTest, OptimizersThatMakeNoSenseAreRefused) {
  using Request = v1::SetOptimizerRequest;
  const auto adam = [](Request& r) { *r.mutable_optimizer() = Object("Adam", {}); };
  const Spoiled<Request> kCases[] = {
      {"none", [](Request&) {}, "definition: "},
      {"an unknown one", [](Request& r) { *r.mutable_optimizer() = Object("Lion", {}); },
       "optimizer.name: "},
      {"an unknown argument",
       [](Request& r) {
         *r.mutable_optimizer() = Object("SGD", {{"beta", 1}});
       },
       "optimizer.arguments.beta: "},
      {"text that is not JSON", [](Request& r) { r.set_keras_json("{"); }, "keras_json"},
      {"a schedule",
       [](Request& r) {
         r.set_keras_json(R"({"class_name": "SGD", "config": {"learning_rate":
             {"class_name": "ExponentialDecay", "config": {}}}})");
       },
       "keras_json."},
      {"negative iterations",
       [&](Request& r) {
         adam(r);
         r.set_iterations(-1);
       },
       "iterations: "},
      {"a slot of another shape",
       [&](Request& r) {
         adam(r);
         r.set_iterations(1);
         for (v1::Weights* slot :
              {r.mutable_slots()->mutable_momentum(), r.mutable_slots()->mutable_velocity()}) {
           *slot->mutable_kernel() = Ones({2, 2, 4, 4});
           *slot->mutable_bias() = Ones({4});
         }
       },
       "slots.momentum.kernel"},
      {"a slot that the rule has not",
       [](Request& r) {
         *r.mutable_optimizer() = Object("SGD", {});
         r.set_iterations(1);
         *r.mutable_slots()->mutable_velocity()->mutable_kernel() = Ones({2, 2, 4, 3});
         *r.mutable_slots()->mutable_velocity()->mutable_bias() = Ones({4});
       },
       "slots.velocity"},
  };
  Request nothing;
  nothing.set_name("up");
  ExpectRefused("SetOptimizer", nothing, kCases);
}

TEST_F(HostileTrainingTest, BytesThatAreNoMessageAreInvalidArguments) {
  for (const char* method : {"SetTrainable", "SetOptimizer", "GetOptimizer", "Backward",
                             "ApplyGradients", "TrainStep"}) {
    const grpc::Status status = RawUnaryCall(
        channel_, fmt::format("/tconv.v1.TrainingService/{}", method), "\xff\xff\xff\xff\xff");
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT) << method;
    EXPECT_THAT(status.error_message(), HasSubstr(fmt::format("tconv.v1.{}Request", method)));
  }
}

TEST_F(HostileTrainingTest, OutputsBeyondAllLimitsAreRefusedBeforeTheyTakeMemory) {
  v1::LayerConfig far = SmallConfig();
  far.set_strides(0, 1 << 30);
  ASSERT_THAT(client_.Create({.name = "far", .definition = far, .input_shape = {-1, -1, -1, 3}}),
              IsOk());
  EXPECT_THAT(client_.Backward("far", Filled({1, 9, 9, 3}, 1), OnesUpstream()).status().code(),
              ::testing::AnyOf(StatusCode::kInvalidArgument, StatusCode::kResourceExhausted));
}

TEST_F(HostileTrainingTest, FrozenLayersRefuseStepsAndSayTheWayOut) {
  ASSERT_THAT(client_.SetTrainable("up", false), IsOk());
  EXPECT_THAT(client_.TrainStep("up", SmallInput(), Target(2)),
              StatusIs(StatusCode::kFailedPrecondition, HasSubstr("SetTrainable")));
  EXPECT_THAT(client_.Backward("up", SmallInput(), OnesUpstream()), IsOk());
  ASSERT_THAT(client_.Create({.name = "new", .definition = SmallConfig()}), IsOk());
  EXPECT_THAT(client_.TrainStep("new", SmallInput(), Target(2)),
              StatusIs(StatusCode::kFailedPrecondition, HasSubstr("Build")));
  EXPECT_THAT(client_.TrainStep("none", SmallInput(), Target(2)), StatusIs(StatusCode::kNotFound));
}

}  // namespace
}  // namespace tconv::testing
