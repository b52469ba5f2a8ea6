#include "server/wire/inference_codec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "tests/support/status_matchers.h"

namespace tconv::server {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::IsOk;
using ::testing::StartsWith;
using testing::StatusIs;

using inference::ModelInferRequest;

// Two floats, raw.
ModelInferRequest RawRequest() {
  ModelInferRequest request;
  request.set_model_name("up");
  request.set_id("7");
  auto& input = *request.add_inputs();
  input.set_name("input");
  input.set_datatype("FP32");
  input.add_shape(2);
  request.add_raw_input_contents(std::string("\0\0\x80\x3f\0\0\0\x40", 8));
  return request;
}

ModelInferRequest TypedRequest() {
  ModelInferRequest request = RawRequest();
  request.clear_raw_input_contents();
  auto& contents = *request.mutable_inputs(0)->mutable_contents();
  contents.add_fp32_contents(1);
  contents.add_fp32_contents(2);
  return request;
}

// A request as it arrives.
class Arrived {
 public:
  explicit Arrived(const ModelInferRequest& request) {
    const grpc::Slice slice(request.SerializeAsString());
    grpc::ByteBuffer buffer(&slice, 1);
    payloads_ = *codec::ReceivedPayloads::Parse(&buffer, &request_);
  }

  const ModelInferRequest& message() const { return request_; }
  StatusOr<std::unique_ptr<TensorSource>> Input() {
    return InferInputFromProto(request_, payloads_);
  }
  // Of its terms, or else of its input.
  Status Verdict() {
    const Status terms = InferTermsFromProto(request_).status();
    return terms.ok() ? Input().status() : terms;
  }

 private:
  ModelInferRequest request_;
  codec::ReceivedPayloads payloads_;
};

TEST(InferenceCodecTest, ReadsRawAndTypedElementsAlike) {
  for (const ModelInferRequest& request : {RawRequest(), TypedRequest()}) {
    Arrived arrived(request);
    const auto input = arrived.Input();
    ASSERT_THAT(input, IsOk());
    EXPECT_EQ((*input)->dtype(), DType::kFloat32);
    EXPECT_EQ((*input)->shape(), Shape({2}));
    std::array<float, 2> values{};
    (*input)->MoveTo(reinterpret_cast<std::byte*>(values.data()));
    EXPECT_THAT(values, ElementsAre(1, 2));
  }
}

TEST(InferenceCodecTest, ReadsTypedDoubles) {
  ModelInferRequest request = TypedRequest();
  request.mutable_inputs(0)->set_datatype("FP64");
  request.mutable_inputs(0)->mutable_contents()->clear_fp32_contents();
  for (const double value : {1.5, 2.5}) {
    request.mutable_inputs(0)->mutable_contents()->add_fp64_contents(value);
  }
  Arrived arrived(request);
  const auto input = arrived.Input();
  ASSERT_THAT(input, IsOk());
  std::array<double, 2> values{};
  (*input)->MoveTo(reinterpret_cast<std::byte*>(values.data()));
  EXPECT_THAT(values, ElementsAre(1.5, 2.5));
}

TEST(InferenceCodecTest, EveryTypeHasItsNameItsNumberAndItsSize) {
  const struct {
    DType dtype;
    const char* name;
    int number;
  } kCases[] = {{DType::kFloat16, "FP16", 10},
                {DType::kFloat32, "FP32", 11},
                {DType::kFloat64, "FP64", 12},
                {DType::kBFloat16, "BF16", 14}};
  for (const auto& test : kCases) {
    EXPECT_EQ(DatatypeOf(test.dtype), test.name);
    EXPECT_EQ(static_cast<int>(DataTypeOf(test.dtype)), test.number);
    ModelInferRequest request = RawRequest();
    request.mutable_inputs(0)->set_datatype(test.name);
    request.set_raw_input_contents(0, std::string(2 * SizeOf(test.dtype), '\0'));
    Arrived arrived(request);
    const auto input = arrived.Input();
    ASSERT_THAT(input, IsOk()) << test.name;
    EXPECT_EQ((*input)->dtype(), test.dtype);
  }
}

TEST(InferenceCodecTest, NamesTheFieldThatIsWrong) {
  using Change = std::function<void(ModelInferRequest&)>;
  const auto input = [](const auto& change) -> Change {
    return [change](ModelInferRequest& request) { change(*request.mutable_inputs(0)); };
  };
  const struct {
    const char* what;
    ModelInferRequest request;
    Change change;
    const char* error;
  } kCases[] = {
      {"no input", RawRequest(), [](auto& request) { request.clear_inputs(); },
       "inputs: expected \"input\" alone, got 0 inputs"},
      {"two inputs", RawRequest(), [](auto& request) { request.add_inputs(); },
       "inputs: expected \"input\" alone, got 2 inputs"},
      {"another name", RawRequest(), input([](auto& in) { in.set_name("x"); }),
       "inputs[0].name: expected \"input\", got \"x\""},
      {"an integer type", RawRequest(), input([](auto& in) { in.set_datatype("INT32"); }),
       "inputs[0].datatype: expected FP32, FP64, FP16 or BF16, got \"INT32\""},
      {"a lower-case type", RawRequest(), input([](auto& in) { in.set_datatype("fp32"); }),
       "inputs[0].datatype: "},
      {"no type", RawRequest(), input([](auto& in) { in.clear_datatype(); }),
       "inputs[0].datatype: "},
      {"an open shape", RawRequest(), input([](auto& in) { in.set_shape(0, -1); }),
       "inputs[0].shape: "},
      {"another shape", RawRequest(), input([](auto& in) { in.set_shape(0, 3); }),
       "raw_input_contents[0]: expected 12 bytes for float32 [3], got 8"},
      {"a huge shape", RawRequest(), input([](auto& in) {
         for (int i = 0; i < 3; ++i) in.add_shape(int64_t{1} << 40);
       }),
       "inputs[0].shape: "},
      {"shared memory", RawRequest(), input([](auto& in) {
         (*in.mutable_parameters())["shared_memory_region"].set_string_param("x");
       }),
       "inputs[0].parameters: expected none, got \"shared_memory_region\""},
      {"two raw contents", RawRequest(), [](auto& request) { request.add_raw_input_contents(); },
       "raw_input_contents: expected one for each input, got 2 for 1"},
      {"raw and typed contents", RawRequest(),
       input([](auto& in) { in.mutable_contents()->add_fp32_contents(1); }),
       "inputs[0].contents: expected none beside raw_input_contents"},
      {"raw and empty typed contents", RawRequest(), input([](auto& in) { in.mutable_contents(); }),
       "inputs[0].contents: expected none beside raw_input_contents"},
      {"no elements", TypedRequest(), input([](auto& in) { in.clear_contents(); }),
       "inputs[0].contents.fp32_contents: expected 2 elements for [2], got 0"},
      {"too many elements", TypedRequest(),
       input([](auto& in) { in.mutable_contents()->add_fp32_contents(1); }),
       "inputs[0].contents.fp32_contents: expected 2 elements for [2], got 3"},
      {"elements of another type", TypedRequest(),
       input([](auto& in) { in.mutable_contents()->add_fp64_contents(1); }),
       "inputs[0].contents: expected nothing but fp32_contents"},
      {"typed halves", TypedRequest(), input([](auto& in) { in.set_datatype("FP16"); }),
       "raw_input_contents: expected the elements there: FP16 has no other form"},
      {"a version that is no number", RawRequest(),
       [](auto& request) { request.set_model_version("latest"); },
       "model_version: expected a number, 1 or more, got \"latest\""},
      {"version 0", RawRequest(), [](auto& request) { request.set_model_version("0"); },
       "model_version: "},
      {"another output", RawRequest(), [](auto& request) { request.add_outputs()->set_name("y"); },
       "outputs[0].name: expected \"output\", got \"y\""},
      {"an output twice", RawRequest(),
       [](auto& request) {
         for (int i = 0; i < 2; ++i) request.add_outputs()->set_name("output");
       },
       "outputs: expected \"output\" alone, got 2 outputs"},
      {"a classification", RawRequest(),
       [](auto& request) {
         request.add_outputs()->set_name("output");
         (*request.mutable_outputs(0)->mutable_parameters())["classification"].set_int64_param(3);
       },
       "outputs[0].parameters: expected none, got \"classification\""},
      {"a sequence", RawRequest(),
       [](auto& request) { (*request.mutable_parameters())["sequence_id"].set_int64_param(1); },
       "parameters: expected none but"},
      {"a negative timeout", RawRequest(),
       [](auto& request) { (*request.mutable_parameters())["timeout"].set_int64_param(-1); },
       "parameters[timeout]: expected a number of microseconds, 0 or more"},
      {"a timeout that is no number", RawRequest(),
       [](auto& request) { (*request.mutable_parameters())["timeout"].set_string_param("1"); },
       "parameters[timeout]: "},
  };
  for (const auto& test : kCases) {
    ModelInferRequest request = test.request;
    test.change(request);
    EXPECT_THAT(Arrived(request).Verdict(),
                StatusIs(StatusCode::kInvalidArgument, StartsWith(test.error)))
        << test.what;
  }
}

TEST(InferenceCodecTest, ReadsTheTerms) {
  ModelInferRequest request = RawRequest();
  EXPECT_FALSE(InferTermsFromProto(request)->version.has_value());
  request.set_model_version("12");
  request.add_outputs()->set_name("output");
  (*request.mutable_parameters())["timeout"].set_int64_param(250);
  (*request.mutable_parameters())["triton_enable_empty_final_response"].set_bool_param(true);
  const auto terms = InferTermsFromProto(request);
  ASSERT_THAT(terms, IsOk());
  EXPECT_EQ(terms->version, 12);
  EXPECT_EQ(terms->timeout, std::chrono::microseconds(250));
  EXPECT_TRUE(terms->wants_final_mark);
}

TEST(InferenceCodecTest, ATimeoutMayBeAnyNumber) {
  ModelInferRequest request = RawRequest();
  (*request.mutable_parameters())["timeout"].set_uint64_param(UINT64_MAX);
  EXPECT_EQ(InferTermsFromProto(request)->timeout, std::chrono::hours(24 * 365));
  (*request.mutable_parameters())["timeout"].set_int64_param(INT64_MAX);
  EXPECT_EQ(InferTermsFromProto(request)->timeout, std::chrono::hours(24 * 365));
}

inference::ModelInferResponse AnswerTo(const ModelInferRequest& request, ConstTensorView output) {
  inference::ModelInferResponse response;
  ToProto(request, *InferTermsFromProto(request), output, 3, &response);
  return response;
}

TEST(InferenceCodecTest, AnswersTypedElementsToTypedOnes) {
  const std::array<float, 2> values = {4, 5};
  const ConstTensorView output{DType::kFloat32, Shape({1, 2}),
                               reinterpret_cast<const std::byte*>(values.data())};
  const auto response = AnswerTo(TypedRequest(), output);
  EXPECT_FALSE(HasRawOutput(TypedRequest(), DType::kFloat32));
  EXPECT_EQ(response.model_name(), "up");
  EXPECT_EQ(response.model_version(), "3");
  EXPECT_EQ(response.id(), "7");
  EXPECT_TRUE(response.parameters().empty());
  ASSERT_EQ(response.outputs_size(), 1);
  EXPECT_EQ(response.outputs(0).name(), "output");
  EXPECT_EQ(response.outputs(0).datatype(), "FP32");
  EXPECT_THAT(response.outputs(0).shape(), ElementsAre(1, 2));
  EXPECT_THAT(response.outputs(0).contents().fp32_contents(), ElementsAre(4, 5));
}

TEST(InferenceCodecTest, LeavesARawOutputOut) {
  const std::array<float, 2> values = {4, 5};
  const ConstTensorView output{DType::kFloat32, Shape({2}),
                               reinterpret_cast<const std::byte*>(values.data())};
  EXPECT_TRUE(HasRawOutput(RawRequest(), DType::kFloat32));
  EXPECT_FALSE(AnswerTo(RawRequest(), output).outputs(0).has_contents());
}

TEST(InferenceCodecTest, HalvesHaveNoTypedForm) {
  EXPECT_TRUE(HasRawOutput(TypedRequest(), DType::kFloat16));
  EXPECT_TRUE(HasRawOutput(TypedRequest(), DType::kBFloat16));
  EXPECT_FALSE(HasRawOutput(TypedRequest(), DType::kFloat64));
}

TEST(InferenceCodecTest, SaysThatNoOtherAnswerComesToThoseWhoAsk) {
  ModelInferRequest request = RawRequest();
  (*request.mutable_parameters())["triton_enable_empty_final_response"].set_bool_param(true);
  const auto response = AnswerTo(request, {DType::kFloat32, Shape({0}), nullptr});
  EXPECT_TRUE(response.parameters().at("triton_final_response").bool_param());
}

}  // namespace
}  // namespace tconv::server
