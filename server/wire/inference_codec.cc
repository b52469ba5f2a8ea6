#include "server/wire/inference_codec.h"

#include <google/protobuf/repeated_field.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include "server/wire/tensor_codec.h"

namespace tconv::server {
namespace {

using inference::InferParameter;
using inference::InferTensorContents;
using inference::ModelInferRequest;

struct Datatype {
  DType dtype;
  std::string_view name;
  inference::DataType number;
};

constexpr std::array kDatatypes = {
    Datatype{DType::kFloat32, "FP32", inference::TYPE_FP32},
    Datatype{DType::kFloat64, "FP64", inference::TYPE_FP64},
    Datatype{DType::kFloat16, "FP16", inference::TYPE_FP16},
    Datatype{DType::kBFloat16, "BF16", inference::TYPE_BF16},
};

const Datatype& Find(DType dtype) {
  return *std::ranges::find(kDatatypes, dtype, &Datatype::dtype);
}

StatusOr<DType> DTypeFromName(const std::string& name) {
  const auto found = std::ranges::find(kDatatypes, name, &Datatype::name);
  if (found != kDatatypes.end()) return found->dtype;
  return InvalidField("inputs[0].datatype", "expected FP32, FP64, FP16 or BF16, got \"{}\"", name);
}

using Parameters = google::protobuf::Map<std::string, InferParameter>;

Status CheckHasNone(const char* field, const Parameters& parameters) {
  if (parameters.empty()) return OkStatus();
  return InvalidField(field, "expected none, got \"{}\"", parameters.begin()->first);
}

Status Mistyped(std::string_view parameter, std::string_view expected) {
  return InvalidField(fmt::format("parameters[{}]", parameter), "expected {}", expected);
}

StatusOr<std::chrono::microseconds> TimeoutOf(const InferParameter& parameter) {
  // Longer ones are as good as none, and do not overflow a point in time.
  constexpr std::chrono::microseconds kLongest = std::chrono::hours(24 * 365);
  if (parameter.has_uint64_param()) {
    const auto most = static_cast<uint64_t>(kLongest.count());
    return std::chrono::microseconds(std::min(parameter.uint64_param(), most));
  }
  if (parameter.has_int64_param() && parameter.int64_param() >= 0) {
    return std::min(std::chrono::microseconds(parameter.int64_param()), kLongest);
  }
  return Mistyped("timeout", "a number of microseconds, 0 or more");
}

Status TakeParameter(const std::string& name, const InferParameter& parameter, InferTerms& terms) {
  if (name == "timeout") {
    TCONV_ASSIGN_OR_RETURN(terms.timeout, TimeoutOf(parameter));
    return OkStatus();
  }
  if (name == "triton_enable_empty_final_response") {
    if (!parameter.has_bool_param()) return Mistyped(name, "true or false");
    terms.wants_final_mark = parameter.bool_param();
    return OkStatus();
  }
  return InvalidField(
      "parameters",
      "expected none but \"timeout\" and \"triton_enable_empty_final_response\", got "
      "\"{}\"",
      name);
}

Status CheckOutputs(const ModelInferRequest& request) {
  if (request.outputs_size() == 0) return OkStatus();
  if (request.outputs_size() > 1) {
    return InvalidField("outputs", "expected \"{}\" alone, got {} outputs", kModelOutput,
                        request.outputs_size());
  }
  const auto& output = request.outputs(0);
  if (output.name() != kModelOutput) {
    return InvalidField("outputs[0].name", "expected \"{}\", got \"{}\"", kModelOutput,
                        output.name());
  }
  return CheckHasNone("outputs[0].parameters", output.parameters());
}

StatusOr<TensorType> InputTypeOf(const ModelInferRequest& request) {
  if (request.inputs_size() != 1) {
    return InvalidField("inputs", "expected \"{}\" alone, got {} inputs", kModelInput,
                        request.inputs_size());
  }
  const auto& input = request.inputs(0);
  if (input.name() != kModelInput) {
    return InvalidField("inputs[0].name", "expected \"{}\", got \"{}\"", kModelInput, input.name());
  }
  TCONV_RETURN_IF_ERROR(CheckHasNone("inputs[0].parameters", input.parameters()));
  TCONV_ASSIGN_OR_RETURN(const DType dtype, DTypeFromName(input.datatype()));
  const StatusOr<Shape> shape =
      Shape::Make({input.shape().data(), static_cast<size_t>(input.shape_size())});
  if (!shape.ok()) return InvalidField("inputs[0].shape", MessageOf(shape.status()));
  return TensorType{dtype, *shape};
}

StatusOr<std::unique_ptr<TensorSource>> RawSource(const ModelInferRequest& request, TensorType type,
                                                  codec::ReceivedPayloads& payloads) {
  if (request.raw_input_contents_size() != 1) {
    return InvalidField("raw_input_contents", "expected one for each input, got {} for 1",
                        request.raw_input_contents_size());
  }
  if (request.inputs(0).has_contents()) {
    return InvalidField("inputs[0].contents", "expected none beside raw_input_contents");
  }
  constexpr int kPath[] = {ModelInferRequest::kRawInputContentsFieldNumber, 0};
  TCONV_ASSIGN_OR_RETURN(
      ReceivedTensor tensor,
      ReceivedTensor::Make(std::move(type), kPath, "raw_input_contents[0]", payloads));
  return std::make_unique<ReceivedTensor>(std::move(tensor));
}

// How many elements the contents have in all their fields together.
int CountOf(const InferTensorContents& contents) {
  return contents.bool_contents_size() + contents.int_contents_size() +
         contents.int64_contents_size() + contents.uint_contents_size() +
         contents.uint64_contents_size() + contents.fp32_contents_size() +
         contents.fp64_contents_size() + contents.bytes_contents_size();
}

template <typename T>
StatusOr<std::unique_ptr<TensorSource>> TypedSource(
    const char* field, const google::protobuf::RepeatedField<T>& values,
    const InferTensorContents& contents, const TensorType& type) {
  if (CountOf(contents) != values.size()) {
    return InvalidField("inputs[0].contents", "expected nothing but {}", field);
  }
  if (values.size() != type.shape.num_elements()) {
    return InvalidField(fmt::format("inputs[0].contents.{}", field),
                        "expected {} elements for {}, got {}", type.shape.num_elements(),
                        ToString(type.shape), values.size());
  }
  const auto* data = reinterpret_cast<const std::byte*>(values.data());
  return std::make_unique<ViewSource>(ConstTensorView{type.dtype, type.shape, data});
}

}  // namespace

std::string_view DatatypeOf(DType dtype) { return Find(dtype).name; }
inference::DataType DataTypeOf(DType dtype) { return Find(dtype).number; }

StatusOr<std::optional<int64_t>> VersionFromText(std::string_view field, const std::string& text) {
  if (text.empty()) return std::nullopt;
  int64_t version = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), version);
  if (error != std::errc() || end != text.data() + text.size() || version <= 0) {
    return InvalidField(field, "expected a number, 1 or more, got \"{}\"", text);
  }
  return version;
}

StatusOr<InferTerms> InferTermsFromProto(const ModelInferRequest& request) {
  InferTerms terms;
  TCONV_ASSIGN_OR_RETURN(terms.version, VersionFromText("model_version", request.model_version()));
  for (const auto& [name, parameter] : request.parameters()) {
    TCONV_RETURN_IF_ERROR(TakeParameter(name, parameter, terms));
  }
  TCONV_RETURN_IF_ERROR(CheckOutputs(request));
  return terms;
}

StatusOr<std::unique_ptr<TensorSource>> InferInputFromProto(const ModelInferRequest& request,
                                                            codec::ReceivedPayloads& payloads) {
  TCONV_ASSIGN_OR_RETURN(TensorType type, InputTypeOf(request));
  if (request.raw_input_contents_size() > 0) {
    return RawSource(request, std::move(type), payloads);
  }
  const InferTensorContents& contents = request.inputs(0).contents();
  switch (type.dtype) {
    case DType::kFloat32:
      return TypedSource("fp32_contents", contents.fp32_contents(), contents, type);
    case DType::kFloat64:
      return TypedSource("fp64_contents", contents.fp64_contents(), contents, type);
    case DType::kFloat16:
    case DType::kBFloat16:
      break;
  }
  return InvalidField("raw_input_contents", "expected the elements there: {} has no other form",
                      DatatypeOf(type.dtype));
}

bool HasRawOutput(const ModelInferRequest& request, DType output) {
  return request.raw_input_contents_size() > 0 ||
         (output != DType::kFloat32 && output != DType::kFloat64);
}

void ToProto(const ModelInferRequest& request, const InferTerms& terms, ConstTensorView output,
             int64_t weights_version, inference::ModelInferResponse* out) {
  out->set_model_name(request.model_name());
  out->set_model_version(std::to_string(weights_version));
  out->set_id(request.id());
  if (terms.wants_final_mark) {
    (*out->mutable_parameters())["triton_final_response"].set_bool_param(true);
  }
  auto& tensor = *out->add_outputs();
  tensor.set_name(kModelOutput);
  tensor.set_datatype(std::string(DatatypeOf(output.dtype)));
  const auto dims = output.shape.dims();
  tensor.mutable_shape()->Assign(dims.begin(), dims.end());
  if (HasRawOutput(request, output.dtype)) return;
  InferTensorContents& contents = *tensor.mutable_contents();
  if (output.dtype == DType::kFloat32) {
    const auto values = output.values<float>();
    contents.mutable_fp32_contents()->Assign(values.begin(), values.end());
  } else {
    const auto values = output.values<double>();
    contents.mutable_fp64_contents()->Assign(values.begin(), values.end());
  }
}

}  // namespace tconv::server
