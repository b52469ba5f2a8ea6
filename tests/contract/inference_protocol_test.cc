// Both doors lead to the same rooms: every forward pass that was recorded from Keras has the same
// bits through tconv.v1 and through the inference protocol, in each of its forms.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <tconv/client.h>

#include <cstring>
#include <memory>
#include <string>
#include <utility>

#include "tests/golden/golden_case.h"
#include "tests/support/inference_client.h"
#include "tests/support/status_matchers.h"
#include "tests/support/test_server.h"

namespace tconv::testing {
namespace {

using ::testing::ElementsAreArray;
using ::testing::ValuesIn;

using inference::ModelInferRequest;
using inference::ModelInferResponse;

// The elements of the output, in either form.
std::string OutputBytes(const ModelInferResponse& response) {
  if (response.raw_output_contents_size() > 0) return response.raw_output_contents(0);
  const auto& contents = response.outputs(0).contents();
  const auto bytes_of = [](const auto& values) {
    return std::string(reinterpret_cast<const char*>(values.data()),
                       static_cast<size_t>(values.size()) * sizeof(*values.data()));
  };
  return contents.fp64_contents_size() > 0 ? bytes_of(contents.fp64_contents())
                                           : bytes_of(contents.fp32_contents());
}

// The same request with typed elements; float32 and float64 have them.
ModelInferRequest Typed(ModelInferRequest request, const Tensor& input) {
  request.clear_raw_input_contents();
  auto& contents = *request.mutable_inputs(0)->mutable_contents();
  if (input.dtype() == v1::DATA_TYPE_FLOAT64) {
    const auto values = *input.values<double>();
    contents.mutable_fp64_contents()->Add(values.begin(), values.end());
  } else {
    const auto values = *input.values<float>();
    contents.mutable_fp32_contents()->Add(values.begin(), values.end());
  }
  return request;
}

class InferenceProtocolTest : public ::testing::TestWithParam<GoldenCase> {
 protected:
  static void SetUpTestSuite() { server_ = TestServer::Start().release(); }
  static void TearDownTestSuite() { delete server_; }

  void SetUp() override {
    const auto& expect = GetParam().expect;
    NewLayer draft{model(),
                   KerasJson{GetParam().SerializedLayer()},
                   ToShape(expect.at("build_input_shape")),
                   {}};
    ASSERT_THAT(client_.Create(std::move(draft)), IsOk());
    ASSERT_THAT(client_.SetWeights(model(), GetParam().RecordedWeights()), IsOkAndHolds(2));
    const auto result = client_.Forward(model(), input_);
    ASSERT_THAT(result, IsOk());
    expected_ = result->output;
  }

  void TearDown() override { EXPECT_THAT(client_.Delete(model()), IsOk()); }

  const std::string& model() const { return GetParam().id; }

  void ExpectSame(const ModelInferResponse& response) const {
    EXPECT_EQ(response.model_name(), model());
    EXPECT_EQ(response.model_version(), "2");
    ASSERT_EQ(response.outputs_size(), 1);
    EXPECT_EQ(response.outputs(0).datatype(), DatatypeName(expected_.dtype()));
    EXPECT_THAT(response.outputs(0).shape(), ElementsAreArray(expected_.shape()));
    EXPECT_EQ(OutputBytes(response), expected_.bytes());
  }

  static TestServer* server_;
  const Client client_{server_->target()};
  InferenceClient inference_{server_->target()};
  const Tensor input_ = GetParam().Array("input");
  Tensor expected_ = input_;
};

TestServer* InferenceProtocolTest::server_ = nullptr;

TEST_P(InferenceProtocolTest, GivesTheSameBits) {
  const ModelInferRequest raw = InferRequestOf(model(), input_);
  const auto answer = inference_.Infer(raw);
  ASSERT_THAT(answer, IsOk());
  EXPECT_EQ(answer->raw_output_contents_size(), 1);
  ExpectSame(*answer);

  if (input_.dtype() == v1::DATA_TYPE_FLOAT32 || input_.dtype() == v1::DATA_TYPE_FLOAT64) {
    const auto typed = inference_.Infer(Typed(raw, input_));
    ASSERT_THAT(typed, IsOk());
    const bool has_typed_form =
        expected_.dtype() == v1::DATA_TYPE_FLOAT32 || expected_.dtype() == v1::DATA_TYPE_FLOAT64;
    EXPECT_EQ(typed->raw_output_contents_size(), has_typed_form ? 0 : 1);
    ExpectSame(*typed);
  }

  grpc::ClientContext context;
  const auto stream = inference_.stub().ModelStreamInfer(&context);
  ASSERT_TRUE(stream->Write(raw));
  inference::ModelStreamInferResponse streamed;
  ASSERT_TRUE(stream->Read(&streamed));
  EXPECT_EQ(streamed.error_message(), "");
  ExpectSame(streamed.infer_response());
  stream->WritesDone();
  EXPECT_TRUE(stream->Finish().ok());
}

TEST_P(InferenceProtocolTest, MetadataFitTheTensors) {
  inference::ModelMetadataRequest request;
  request.set_name(model());
  const auto metadata = inference_.Call(&InferenceClient::Stub::ModelMetadata, request);
  ASSERT_THAT(metadata, IsOk());
  const auto fits = [](const auto& tensor, const Tensor& actual) {
    ASSERT_EQ(static_cast<size_t>(tensor.shape_size()), actual.shape().size());
    for (int i = 0; i < tensor.shape_size(); ++i) {
      if (tensor.shape(i) != -1) {
        EXPECT_EQ(tensor.shape(i), actual.shape()[static_cast<size_t>(i)]);
      }
    }
  };
  ASSERT_EQ(metadata->inputs_size(), 1);
  ASSERT_EQ(metadata->outputs_size(), 1);
  fits(metadata->inputs(0), input_);
  fits(metadata->outputs(0), expected_);
  EXPECT_EQ(metadata->outputs(0).datatype(), DatatypeName(expected_.dtype()));
}

INSTANTIATE_TEST_SUITE_P(All, InferenceProtocolTest,
                         ValuesIn(CasesOfKinds({"forward", "activation", "dtype", "realworld",
                                                "constraint"})),
                         [](const auto& tested) { return TestNameOf(tested.param); });

}  // namespace
}  // namespace tconv::testing
