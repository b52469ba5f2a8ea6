// A TrainingService that keeps what it is asked, and answers what a test prepares.
#pragma once

#include <grpcpp/grpcpp.h>
#include <tconv/v1/training.grpc.pb.h>

#include "tests/unit/client/fake_call.h"

namespace tconv::testing {

class FakeTrainingService final : public v1::TrainingService::Service {
 public:
  FakeCall<v1::SetTrainableRequest, v1::SetTrainableResponse> set_trainable;
  FakeCall<v1::SetOptimizerRequest, v1::SetOptimizerResponse> set_optimizer;
  FakeCall<v1::GetOptimizerRequest, v1::GetOptimizerResponse> get_optimizer;
  FakeCall<v1::BackwardRequest, v1::BackwardResponse> backward;
  FakeCall<v1::ApplyGradientsRequest, v1::ApplyGradientsResponse> apply_gradients;
  FakeCall<v1::TrainStepRequest, v1::TrainStepResponse> train_step;

  grpc::Status SetTrainable(grpc::ServerContext* context, const v1::SetTrainableRequest* request,
                            v1::SetTrainableResponse* response) override {
    return set_trainable.Handle(context, request, response);
  }
  grpc::Status SetOptimizer(grpc::ServerContext* context, const v1::SetOptimizerRequest* request,
                            v1::SetOptimizerResponse* response) override {
    return set_optimizer.Handle(context, request, response);
  }
  grpc::Status GetOptimizer(grpc::ServerContext* context, const v1::GetOptimizerRequest* request,
                            v1::GetOptimizerResponse* response) override {
    return get_optimizer.Handle(context, request, response);
  }
  grpc::Status Backward(grpc::ServerContext* context, const v1::BackwardRequest* request,
                        v1::BackwardResponse* response) override {
    return backward.Handle(context, request, response);
  }
  grpc::Status ApplyGradients(grpc::ServerContext* context,
                              const v1::ApplyGradientsRequest* request,
                              v1::ApplyGradientsResponse* response) override {
    return apply_gradients.Handle(context, request, response);
  }
  grpc::Status TrainStep(grpc::ServerContext* context, const v1::TrainStepRequest* request,
                         v1::TrainStepResponse* response) override {
    return train_step.Handle(context, request, response);
  }
};

}  // namespace tconv::testing
