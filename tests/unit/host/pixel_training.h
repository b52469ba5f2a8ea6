// Layers of one pixel that learn, on two hosts that share a store.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "server/host/layer_training.h"
#include "server/store/memory_store.h"
#include "tests/support/replica.h"
#include "tests/support/status_matchers.h"

namespace tconv::testing {

// A pixel, as a request brings it.
class Pixel {
 public:
  explicit Pixel(float value, const server::Shape& shape = server::Shape({1, 1, 1, 1}))
      : values_(static_cast<size_t>(shape.num_elements()), value),
        source_(
            {server::DType::kFloat32, shape, reinterpret_cast<const std::byte*>(values_.data())}) {}

  server::TensorSource* source() { return &source_; }

 private:
  const std::vector<float> values_;
  server::ViewSource source_;
};

inline server::Optimizer Sgd(double learning_rate, double momentum = 0) {
  return server::Optimizer::Make(
             {"SGD", {{"learning_rate", learning_rate}, {"momentum", momentum}}})
      .value();
}

inline float ValueOf(const server::Tensor& tensor) { return tensor.view().values<float>()[0]; }

// Layers y = kernel * x + bias of one pixel, where every figure is known: the gradients
// by kernel and bias are upstream * x and upstream.
class LayerTrainingTest : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_THAT(a_.Create("up", 3), IsOk()); }

  static server::StatusOr<server::BackwardResult> Backward(Replica& replica, float x,
                                                           float upstream,
                                                           server::BackwardJob job = {}) {
    Pixel input(x);
    Pixel gradient(upstream);
    job.layer = "up";
    job.input = input.source();
    job.upstream = gradient.source();
    return replica.training().Backward(job);
  }

  // A step with these gradients.
  static server::StatusOr<server::StepOutcome> Apply(Replica& replica, float kernel, float bias,
                                                     server::StepTerms terms = {}) {
    terms.layer = "up";
    OneByOne gradients(kernel, bias);
    return replica.training().ApplyGradients(terms, gradients.source());
  }

  // A step towards y = target.
  static server::StatusOr<server::TrainStepResult> Learn(Replica& replica, float x, float target,
                                                         server::TrainStepJob job = {}) {
    Pixel input(x);
    Pixel signal(target);
    job.terms.layer = "up";
    job.input = input.source();
    job.loss = server::DataLoss::Make({"MeanSquaredError", {}}).value();
    job.signal = signal.source();
    return replica.training().TrainStep(job);
  }

  // The kernel that the store has, at this version.
  float KernelAt(int64_t version) {
    const auto index = store_.ReadIndex();
    EXPECT_THAT(index, IsOk());
    for (const server::LayerRecord& record : index->layers) {
      if (record.name != "up") continue;
      EXPECT_EQ(record.weights_version, version);
      return ValueOf(store_.ReadWeights(record.key())->kernel);
    }
    ADD_FAILURE() << "no layer";
    return 0;
  }

  server::Status Optimize(const server::Optimizer& optimizer, server::OptimizerState state = {}) {
    return a_.training().SetOptimizer("up", optimizer, std::move(state)).status();
  }

  server::MemoryStore store_{int64_t{1} << 26};
  Replica a_{store_};
  Replica b_{store_};
};

inline auto IsStep(int64_t version, int64_t iterations, bool was_applied_before = false) {
  return IsOkAndHolds(::testing::AllOf(
      ::testing::Field(&server::StepOutcome::weights_version, version),
      ::testing::Field(&server::StepOutcome::iterations, iterations),
      ::testing::Field(&server::StepOutcome::was_applied_before, was_applied_before)));
}

}  // namespace tconv::testing
