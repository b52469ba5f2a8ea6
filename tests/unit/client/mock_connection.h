// A Connection whose calls a test expects and answers.
#pragma once

#include <gmock/gmock.h>
#include <tconv/connection.h>

namespace tconv::testing {

class MockConnection : public Connection {
 public:
  MOCK_METHOD(absl::StatusOr<v1::CreateResponse>, Create,
              (const v1::CreateRequest&, const CallOptions&), (override));
  MOCK_METHOD(absl::StatusOr<v1::BuildResponse>, Build,
              (const v1::BuildRequest&, const CallOptions&), (override));
  MOCK_METHOD(absl::StatusOr<v1::SetWeightsResponse>, SetWeights,
              (const v1::SetWeightsRequest&, const CallOptions&), (override));
  MOCK_METHOD(absl::StatusOr<v1::GetWeightsResponse>, GetWeights,
              (const v1::GetWeightsRequest&, const CallOptions&), (override));
  MOCK_METHOD(absl::StatusOr<v1::ForwardResponse>, Forward,
              (const v1::ForwardRequest&, const CallOptions&), (override));
  MOCK_METHOD(absl::StatusOr<v1::ComputeOutputShapeResponse>, ComputeOutputShape,
              (const v1::ComputeOutputShapeRequest&, const CallOptions&), (override));
  MOCK_METHOD(absl::StatusOr<v1::GetResponse>, Get, (const v1::GetRequest&, const CallOptions&),
              (override));
  MOCK_METHOD(absl::StatusOr<v1::ListResponse>, List, (const v1::ListRequest&, const CallOptions&),
              (override));
  MOCK_METHOD(absl::StatusOr<v1::DeleteResponse>, Delete,
              (const v1::DeleteRequest&, const CallOptions&), (override));
  MOCK_METHOD(void, ForwardAsync, (v1::ForwardRequest, const CallOptions&, ForwardCallback),
              (override));
  MOCK_METHOD(absl::Status, CheckHealth, (const std::string&, const CallOptions&), (override));
};

}  // namespace tconv::testing
