// A client of the inference protocol, with nothing but its stubs.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <inference/grpc_inference_service.grpc.pb.h>
#include <tconv/client.h>

#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace tconv::testing {

// "FP32", ...
inline std::string DatatypeName(v1::DataType dtype) {
  switch (dtype) {
    case v1::DATA_TYPE_FLOAT64:
      return "FP64";
    case v1::DATA_TYPE_FLOAT16:
      return "FP16";
    case v1::DATA_TYPE_BFLOAT16:
      return "BF16";
    default:
      return "FP32";
  }
}

// A request with raw elements.
inline inference::ModelInferRequest InferRequestOf(const std::string& model, const Tensor& input) {
  inference::ModelInferRequest request;
  request.set_model_name(model);
  auto& tensor = *request.add_inputs();
  tensor.set_name("input");
  tensor.set_datatype(DatatypeName(input.dtype()));
  tensor.mutable_shape()->Add(input.shape().begin(), input.shape().end());
  request.add_raw_input_contents(std::string(input.bytes()));
  return request;
}

class InferenceClient {
 public:
  using Stub = inference::GRPCInferenceService::Stub;

  // `token`, if any, is sent with every call.
  explicit InferenceClient(const std::string& target, std::string token = "")
      : stub_(inference::GRPCInferenceService::NewStub(MakeChannel(target))),
        token_(std::move(token)) {}

  Stub& stub() { return *stub_; }

  // client.Call(&InferenceClient::Stub::ModelInfer, request).
  template <typename Request, typename Response>
  absl::StatusOr<Response> Call(grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&,
                                                             Response*),
                                const Request& request) {
    grpc::ClientContext context;
    Authorize(context);
    Response response;
    const grpc::Status status = (stub_.get()->*method)(&context, request, &response);
    if (status.ok()) return response;
    return absl::Status(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
  }

  absl::StatusOr<inference::ModelInferResponse> Infer(const inference::ModelInferRequest& request) {
    return Call(&Stub::ModelInfer, request);
  }

  void Authorize(grpc::ClientContext& context) const {
    if (!token_.empty()) context.AddMetadata("authorization", "Bearer " + token_);
  }

 private:
  static std::shared_ptr<grpc::Channel> MakeChannel(const std::string& target) {
    grpc::ChannelArguments arguments;
    arguments.SetMaxReceiveMessageSize(-1);
    return grpc::CreateCustomChannel(target, grpc::InsecureChannelCredentials(), arguments);
  }

  const std::unique_ptr<Stub> stub_;
  const std::string token_;
};

}  // namespace tconv::testing
