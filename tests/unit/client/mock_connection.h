// A Connection whose calls a test expects and answers.
#pragma once

#include <gmock/gmock.h>
#include <tconv/connection.h>

namespace tconv::testing {

class MockConnection : public Connection {
 public:
  MOCK_METHOD(absl::StatusOr<v1::Layer>, Create, (const NewLayer&, const CallOptions&), (override));
  MOCK_METHOD(absl::StatusOr<v1::ForwardResponse>, ForwardShared,
              (const v1::ForwardRequest&, const CallOptions&), (override));
  MOCK_METHOD(absl::StatusOr<v1::BuildResponse>, Build,
              (const v1::BuildRequest&, const CallOptions&), (override));
  MOCK_METHOD(absl::StatusOr<int64_t>, SetWeights,
              (const std::string&, const NewWeights&, const CallOptions&), (override));
  MOCK_METHOD(absl::StatusOr<VersionedWeights>, GetWeights,
              (const std::string&, const CallOptions&), (override));
  MOCK_METHOD(absl::StatusOr<ForwardResult>, Forward,
              (const std::string&, const Tensor&, const ForwardOptions&), (override));
  MOCK_METHOD(absl::StatusOr<ForwardStreamResult>, ForwardStream,
              (const std::string&, const InputStream&, const OutputStream&,
               const ForwardStreamOptions&),
              (override));
  MOCK_METHOD(absl::StatusOr<v1::ComputeOutputShapeResponse>, ComputeOutputShape,
              (const v1::ComputeOutputShapeRequest&, const CallOptions&), (override));
  MOCK_METHOD(absl::StatusOr<v1::GetResponse>, Get, (const v1::GetRequest&, const CallOptions&),
              (override));
  MOCK_METHOD(absl::StatusOr<v1::ListResponse>, List, (const v1::ListRequest&, const CallOptions&),
              (override));
  MOCK_METHOD(absl::StatusOr<v1::DeleteResponse>, Delete,
              (const v1::DeleteRequest&, const CallOptions&), (override));
  MOCK_METHOD(absl::StatusOr<BackwardResult>, Backward,
              (const std::string&, const Tensor&, const Tensor&, const BackwardOptions&),
              (override));
  MOCK_METHOD(absl::StatusOr<StepResult>, ApplyGradients,
              (const std::string&, const Weights&, const StepOptions&), (override));
  MOCK_METHOD(absl::StatusOr<TrainStepResult>, TrainStep,
              (const std::string&, const Tensor&, const TrainSignal&, const TrainStepOptions&),
              (override));
  MOCK_METHOD(absl::StatusOr<v1::SetTrainableResponse>, SetTrainable,
              (const v1::SetTrainableRequest&, const CallOptions&), (override));
  MOCK_METHOD(absl::StatusOr<v1::Layer>, SetOptimizer,
              (const std::string&, const NewOptimizer&, const CallOptions&), (override));
  MOCK_METHOD(absl::StatusOr<OptimizerStatus>, GetOptimizer,
              (const std::string&, const CallOptions&), (override));
  MOCK_METHOD(absl::StatusOr<v1::CreateChainResponse>, CreateChain,
              (const v1::CreateChainRequest&, const CallOptions&), (override));
  MOCK_METHOD(absl::StatusOr<v1::GetChainResponse>, GetChain,
              (const v1::GetChainRequest&, const CallOptions&), (override));
  MOCK_METHOD(absl::StatusOr<v1::ListChainsResponse>, ListChains,
              (const v1::ListChainsRequest&, const CallOptions&), (override));
  MOCK_METHOD(absl::StatusOr<v1::DeleteChainResponse>, DeleteChain,
              (const v1::DeleteChainRequest&, const CallOptions&), (override));
  MOCK_METHOD(absl::StatusOr<v1::GetLogLevelResponse>, GetLogLevel,
              (const v1::GetLogLevelRequest&, const CallOptions&), (override));
  MOCK_METHOD(absl::StatusOr<v1::SetLogLevelResponse>, SetLogLevel,
              (const v1::SetLogLevelRequest&, const CallOptions&), (override));
  MOCK_METHOD(void, ForwardAsync,
              (const std::string&, const Tensor&, const ForwardOptions&, ForwardCallback),
              (override));
  MOCK_METHOD(absl::Status, CheckHealth, (const std::string&, const CallOptions&), (override));
};

}  // namespace tconv::testing
