// The names and numbers of the inference protocol: those that clients of other servers were made
// with, which this repository has written down anew.

#include <google/protobuf/descriptor.h>
#include <gtest/gtest.h>
#include <inference/grpc_inference_service.grpc.pb.h>

#include <map>
#include <string>
#include <tuple>
#include <vector>

namespace tconv::testing {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::DescriptorPool;
using google::protobuf::FieldDescriptor;

// message.field, number, type; "*" for a repeated one.
struct Field {
  const char* message;
  const char* field;
  int number;
  const char* type;
};

constexpr Field kFields[] = {
    {"ServerLiveResponse", "live", 1, "bool"},
    {"ServerReadyResponse", "ready", 1, "bool"},
    {"ModelReadyRequest", "name", 1, "string"},
    {"ModelReadyRequest", "version", 2, "string"},
    {"ModelReadyResponse", "ready", 1, "bool"},
    {"ServerMetadataResponse", "name", 1, "string"},
    {"ServerMetadataResponse", "version", 2, "string"},
    {"ServerMetadataResponse", "extensions", 3, "string*"},
    {"ModelMetadataRequest", "name", 1, "string"},
    {"ModelMetadataRequest", "version", 2, "string"},
    {"ModelMetadataResponse", "name", 1, "string"},
    {"ModelMetadataResponse", "versions", 2, "string*"},
    {"ModelMetadataResponse", "platform", 3, "string"},
    {"ModelMetadataResponse", "inputs", 4, "ModelMetadataResponse.TensorMetadata*"},
    {"ModelMetadataResponse", "outputs", 5, "ModelMetadataResponse.TensorMetadata*"},
    {"ModelMetadataResponse.TensorMetadata", "name", 1, "string"},
    {"ModelMetadataResponse.TensorMetadata", "datatype", 2, "string"},
    {"ModelMetadataResponse.TensorMetadata", "shape", 3, "int64*"},
    {"InferParameter", "bool_param", 1, "bool"},
    {"InferParameter", "int64_param", 2, "int64"},
    {"InferParameter", "string_param", 3, "string"},
    {"InferParameter", "double_param", 4, "double"},
    {"InferParameter", "uint64_param", 5, "uint64"},
    {"InferTensorContents", "bool_contents", 1, "bool*"},
    {"InferTensorContents", "int_contents", 2, "int32*"},
    {"InferTensorContents", "int64_contents", 3, "int64*"},
    {"InferTensorContents", "uint_contents", 4, "uint32*"},
    {"InferTensorContents", "uint64_contents", 5, "uint64*"},
    {"InferTensorContents", "fp32_contents", 6, "float*"},
    {"InferTensorContents", "fp64_contents", 7, "double*"},
    {"InferTensorContents", "bytes_contents", 8, "bytes*"},
    {"ModelInferRequest", "model_name", 1, "string"},
    {"ModelInferRequest", "model_version", 2, "string"},
    {"ModelInferRequest", "id", 3, "string"},
    {"ModelInferRequest", "parameters", 4, "map<string, InferParameter>"},
    {"ModelInferRequest", "inputs", 5, "ModelInferRequest.InferInputTensor*"},
    {"ModelInferRequest", "outputs", 6, "ModelInferRequest.InferRequestedOutputTensor*"},
    {"ModelInferRequest", "raw_input_contents", 7, "bytes*"},
    {"ModelInferRequest.InferInputTensor", "name", 1, "string"},
    {"ModelInferRequest.InferInputTensor", "datatype", 2, "string"},
    {"ModelInferRequest.InferInputTensor", "shape", 3, "int64*"},
    {"ModelInferRequest.InferInputTensor", "parameters", 4, "map<string, InferParameter>"},
    {"ModelInferRequest.InferInputTensor", "contents", 5, "InferTensorContents"},
    {"ModelInferRequest.InferRequestedOutputTensor", "name", 1, "string"},
    {"ModelInferRequest.InferRequestedOutputTensor", "parameters", 2,
     "map<string, InferParameter>"},
    {"ModelInferResponse", "model_name", 1, "string"},
    {"ModelInferResponse", "model_version", 2, "string"},
    {"ModelInferResponse", "id", 3, "string"},
    {"ModelInferResponse", "parameters", 4, "map<string, InferParameter>"},
    {"ModelInferResponse", "outputs", 5, "ModelInferResponse.InferOutputTensor*"},
    {"ModelInferResponse", "raw_output_contents", 6, "bytes*"},
    {"ModelInferResponse.InferOutputTensor", "name", 1, "string"},
    {"ModelInferResponse.InferOutputTensor", "datatype", 2, "string"},
    {"ModelInferResponse.InferOutputTensor", "shape", 3, "int64*"},
    {"ModelInferResponse.InferOutputTensor", "parameters", 4, "map<string, InferParameter>"},
    {"ModelInferResponse.InferOutputTensor", "contents", 5, "InferTensorContents"},
    {"ModelStreamInferResponse", "error_message", 1, "string"},
    {"ModelStreamInferResponse", "infer_response", 2, "ModelInferResponse"},
    {"ModelConfigRequest", "name", 1, "string"},
    {"ModelConfigRequest", "version", 2, "string"},
    {"ModelConfigResponse", "config", 1, "ModelConfig"},
    {"ModelInput", "name", 1, "string"},
    {"ModelInput", "data_type", 2, "DataType"},
    {"ModelInput", "dims", 4, "int64*"},
    {"ModelOutput", "name", 1, "string"},
    {"ModelOutput", "data_type", 2, "DataType"},
    {"ModelOutput", "dims", 3, "int64*"},
    {"ModelVersionPolicy", "latest", 1, "ModelVersionPolicy.Latest"},
    {"ModelVersionPolicy.Latest", "num_versions", 1, "uint32"},
    {"ModelConfig", "name", 1, "string"},
    {"ModelConfig", "platform", 2, "string"},
    {"ModelConfig", "version_policy", 3, "ModelVersionPolicy"},
    {"ModelConfig", "max_batch_size", 4, "int32"},
    {"ModelConfig", "input", 5, "ModelInput*"},
    {"ModelConfig", "output", 6, "ModelOutput*"},
    {"ModelConfig", "backend", 17, "string"},
    {"ModelStatisticsRequest", "name", 1, "string"},
    {"ModelStatisticsRequest", "version", 2, "string"},
    {"StatisticDuration", "count", 1, "uint64"},
    {"StatisticDuration", "ns", 2, "uint64"},
    {"InferStatistics", "success", 1, "StatisticDuration"},
    {"InferStatistics", "fail", 2, "StatisticDuration"},
    {"InferStatistics", "queue", 3, "StatisticDuration"},
    {"InferStatistics", "compute_input", 4, "StatisticDuration"},
    {"InferStatistics", "compute_infer", 5, "StatisticDuration"},
    {"InferStatistics", "compute_output", 6, "StatisticDuration"},
    {"ModelStatistics", "name", 1, "string"},
    {"ModelStatistics", "version", 2, "string"},
    {"ModelStatistics", "last_inference", 3, "uint64"},
    {"ModelStatistics", "inference_count", 4, "uint64"},
    {"ModelStatistics", "execution_count", 5, "uint64"},
    {"ModelStatistics", "inference_stats", 6, "InferStatistics"},
    {"ModelStatisticsResponse", "model_stats", 1, "ModelStatistics*"},
    {"ModelRepositoryParameter", "bool_param", 1, "bool"},
    {"ModelRepositoryParameter", "int64_param", 2, "int64"},
    {"ModelRepositoryParameter", "string_param", 3, "string"},
    {"ModelRepositoryParameter", "bytes_param", 4, "bytes"},
    {"RepositoryIndexRequest", "repository_name", 1, "string"},
    {"RepositoryIndexRequest", "ready", 2, "bool"},
    {"RepositoryIndexResponse", "models", 1, "RepositoryIndexResponse.ModelIndex*"},
    {"RepositoryIndexResponse.ModelIndex", "name", 1, "string"},
    {"RepositoryIndexResponse.ModelIndex", "version", 2, "string"},
    {"RepositoryIndexResponse.ModelIndex", "state", 3, "string"},
    {"RepositoryIndexResponse.ModelIndex", "reason", 4, "string"},
    {"RepositoryModelLoadRequest", "repository_name", 1, "string"},
    {"RepositoryModelLoadRequest", "model_name", 2, "string"},
    {"RepositoryModelLoadRequest", "parameters", 3, "map<string, ModelRepositoryParameter>"},
    {"RepositoryModelUnloadRequest", "repository_name", 1, "string"},
    {"RepositoryModelUnloadRequest", "model_name", 2, "string"},
    {"RepositoryModelUnloadRequest", "parameters", 3, "map<string, ModelRepositoryParameter>"},
};

const google::protobuf::FileDescriptor& File() {
  return *inference::ModelInferRequest::descriptor()->file();
}

std::string ShortName(const std::string& full_name) {
  return full_name.substr(std::string("inference.").size());
}

std::string TypeOf(const FieldDescriptor& field) {
  if (field.is_map()) {
    const Descriptor& entry = *field.message_type();
    return "map<" + TypeOf(*entry.map_key()) + ", " + TypeOf(*entry.map_value()) + ">";
  }
  std::string type = field.type_name();
  if (field.message_type() != nullptr) type = ShortName(field.message_type()->full_name());
  if (field.enum_type() != nullptr) type = ShortName(field.enum_type()->full_name());
  return field.is_repeated() ? type + "*" : type;
}

int CountFields(const Descriptor& message) {
  int count = message.field_count();
  for (int i = 0; i < message.nested_type_count(); ++i) {
    if (!message.nested_type(i)->options().map_entry())
      count += CountFields(*message.nested_type(i));
  }
  return count;
}

TEST(InferenceWireTest, EveryFieldHasItsPublicNumber) {
  for (const Field& expected : kFields) {
    const std::string name = std::string("inference.") + expected.message + "." + expected.field;
    const FieldDescriptor* field = DescriptorPool::generated_pool()->FindFieldByName(name);
    ASSERT_NE(field, nullptr) << name;
    EXPECT_EQ(field->number(), expected.number) << name;
    EXPECT_EQ(TypeOf(*field), expected.type) << name;
  }
}

TEST(InferenceWireTest, NoFieldIsMissingAbove) {
  int count = 0;
  for (int i = 0; i < File().message_type_count(); ++i)
    count += CountFields(*File().message_type(i));
  EXPECT_EQ(count, static_cast<int>(std::size(kFields)));
}

TEST(InferenceWireTest, TypesHaveTheirPublicNumbers) {
  const std::map<std::string, int> kNumbers = {
      {"TYPE_INVALID", 0}, {"TYPE_BOOL", 1},    {"TYPE_UINT8", 2}, {"TYPE_UINT16", 3},
      {"TYPE_UINT32", 4},  {"TYPE_UINT64", 5},  {"TYPE_INT8", 6},  {"TYPE_INT16", 7},
      {"TYPE_INT32", 8},   {"TYPE_INT64", 9},   {"TYPE_FP16", 10}, {"TYPE_FP32", 11},
      {"TYPE_FP64", 12},   {"TYPE_STRING", 13}, {"TYPE_BF16", 14}};
  const auto& types = *inference::DataType_descriptor();
  ASSERT_EQ(types.value_count(), static_cast<int>(kNumbers.size()));
  for (int i = 0; i < types.value_count(); ++i) {
    EXPECT_EQ(types.value(i)->number(), kNumbers.at(types.value(i)->name()));
  }
}

TEST(InferenceWireTest, TheServiceHasItsPublicMethods) {
  const auto* service = File().FindServiceByName("GRPCInferenceService");
  ASSERT_NE(service, nullptr);
  EXPECT_EQ(service->full_name(), "inference.GRPCInferenceService");
  std::vector<std::string> methods;
  for (int i = 0; i < service->method_count(); ++i) {
    const auto& method = *service->method(i);
    methods.push_back(method.name());
    const bool is_stream = method.name() == "ModelStreamInfer";
    EXPECT_EQ(method.client_streaming(), is_stream) << method.name();
    EXPECT_EQ(method.server_streaming(), is_stream) << method.name();
  }
  EXPECT_EQ(methods,
            (std::vector<std::string>{"ServerLive", "ServerReady", "ModelReady", "ServerMetadata",
                                      "ModelMetadata", "ModelInfer", "ModelStreamInfer",
                                      "ModelConfig", "ModelStatistics", "RepositoryIndex",
                                      "RepositoryModelLoad", "RepositoryModelUnload"}));
}

}  // namespace
}  // namespace tconv::testing
