#include "server/rpc/transposed_conv_service.h"

#include <algorithm>
#include <optional>
#include <span>
#include <utility>

#include "server/rpc/layer_info_codec.h"
#include "server/wire/tensor_codec.h"

namespace tconv::server {
namespace {

constexpr int kDefaultPageSize = 100;
constexpr int kMaxPageSize = 1000;

std::span<const int64_t> DimsOf(const google::protobuf::RepeatedField<int64_t>& dims) {
  return {dims.data(), static_cast<size_t>(dims.size())};
}

// A call of the method of `service` that understands this request.
template <typename Request, typename Response>
grpc::ServerUnaryReactor* StartCall(
    const Method& method, TransposedConvServiceImpl& service,
    StatusOr<Response> (TransposedConvServiceImpl::*handler)(const Request&),
    grpc::CallbackServerContext* context, const grpc::ByteBuffer* request,
    grpc::ByteBuffer* response) {
  return UnaryCall<Request, Response>::Start(
      method, [&service, handler](const Request& message) { return (service.*handler)(message); },
      context, request, response);
}

}  // namespace

StatusOr<v1::CreateResponse> TransposedConvServiceImpl::Create(const v1::CreateRequest& request) {
  TCONV_ASSIGN_OR_RETURN(LayerDraft draft, LayerDraftFromProto(request));
  TCONV_ASSIGN_OR_RETURN(const LayerInfo layer, host_.Create(std::move(draft)));
  v1::CreateResponse response;
  *response.mutable_layer() = ToProto(layer);
  return response;
}

StatusOr<v1::BuildResponse> TransposedConvServiceImpl::Build(const v1::BuildRequest& request) {
  TCONV_ASSIGN_OR_RETURN(const LayerInfo layer,
                         host_.Build(request.name(), DimsOf(request.input_shape())));
  v1::BuildResponse response;
  *response.mutable_layer() = ToProto(layer);
  return response;
}

StatusOr<v1::SetWeightsResponse> TransposedConvServiceImpl::SetWeights(
    const v1::SetWeightsRequest& request) {
  TCONV_ASSIGN_OR_RETURN(const WeightsView weights, WeightsViewFromProto(request.weights()));
  const auto if_version =
      request.has_if_version() ? std::optional(request.if_version()) : std::nullopt;
  TCONV_ASSIGN_OR_RETURN(const int64_t version,
                         host_.SetWeights(request.name(), weights, if_version));
  v1::SetWeightsResponse response;
  response.set_weights_version(version);
  return response;
}

StatusOr<v1::GetWeightsResponse> TransposedConvServiceImpl::GetWeights(
    const v1::GetWeightsRequest& request) {
  TCONV_ASSIGN_OR_RETURN(const auto weights, host_.GetWeights(request.name()));
  v1::GetWeightsResponse response;
  ToProto(*weights, response.mutable_weights());
  response.set_weights_version(weights->version);
  return response;
}

StatusOr<v1::ForwardResponse> TransposedConvServiceImpl::Forward(
    const v1::ForwardRequest& request) {
  if (!request.has_input()) return InvalidField("input", "expected a tensor, got none");
  const auto input = ViewOf(request.input());
  if (!input.ok()) return InField("input", input.status());
  ViewSource source(*input);
  ForwardJob job(request.name(), source, request.compute_losses());
  host_.Forward(job);
  TCONV_ASSIGN_OR_RETURN(const ForwardResult result, std::move(job.result));
  v1::ForwardResponse response;
  ToProto(result.output, response.mutable_output());
  response.set_weights_version(result.weights_version);
  for (const Loss& loss : result.losses) *response.add_losses() = ToProto(loss);
  return response;
}

StatusOr<v1::ComputeOutputShapeResponse> TransposedConvServiceImpl::ComputeOutputShape(
    const v1::ComputeOutputShapeRequest& request) {
  TCONV_ASSIGN_OR_RETURN(const PartialShape shape,
                         host_.ComputeOutputShape(request.name(), DimsOf(request.input_shape())));
  v1::ComputeOutputShapeResponse response;
  response.mutable_output_shape()->Add(shape.begin(), shape.end());
  return response;
}

StatusOr<v1::GetResponse> TransposedConvServiceImpl::Get(const v1::GetRequest& request) {
  TCONV_ASSIGN_OR_RETURN(const LayerInfo layer, host_.Get(request.name()));
  v1::GetResponse response;
  *response.mutable_layer() = ToProto(layer);
  return response;
}

StatusOr<v1::ListResponse> TransposedConvServiceImpl::List(const v1::ListRequest& request) {
  if (request.page_size() < 0) {
    return InvalidField("page_size", "expected 0 or more, got {}", request.page_size());
  }
  const int limit = request.page_size() == 0 ? kDefaultPageSize
                                             : std::min<int>(request.page_size(), kMaxPageSize);
  // The token is the name that the page before ended with.
  const LayerPage page = host_.List(request.page_token(), limit);
  v1::ListResponse response;
  for (const LayerInfo& layer : page.layers) *response.add_layers() = ToProto(layer);
  response.set_next_page_token(page.next);
  return response;
}

StatusOr<v1::DeleteResponse> TransposedConvServiceImpl::Delete(const v1::DeleteRequest& request) {
  TCONV_RETURN_IF_ERROR(host_.Delete(request.name()));
  return v1::DeleteResponse();
}

grpc::ServerUnaryReactor* TransposedConvServiceImpl::Create(Context* context, const Buffer* request,
                                                            Buffer* response) {
  return StartCall<v1::CreateRequest>({"Create", CallKind::kChange, &work_}, *this,
                                      &TransposedConvServiceImpl::Create, context, request,
                                      response);
}

grpc::ServerUnaryReactor* TransposedConvServiceImpl::Build(Context* context, const Buffer* request,
                                                           Buffer* response) {
  return StartCall<v1::BuildRequest>({"Build", CallKind::kChange, &work_}, *this,
                                     &TransposedConvServiceImpl::Build, context, request, response);
}

grpc::ServerUnaryReactor* TransposedConvServiceImpl::SetWeights(Context* context,
                                                                const Buffer* request,
                                                                Buffer* response) {
  return StartCall<v1::SetWeightsRequest>({"SetWeights", CallKind::kChange, &work_}, *this,
                                          &TransposedConvServiceImpl::SetWeights, context, request,
                                          response);
}

grpc::ServerUnaryReactor* TransposedConvServiceImpl::GetWeights(Context* context,
                                                                const Buffer* request,
                                                                Buffer* response) {
  return StartCall<v1::GetWeightsRequest>({"GetWeights", CallKind::kRead, &work_}, *this,
                                          &TransposedConvServiceImpl::GetWeights, context, request,
                                          response);
}

grpc::ServerUnaryReactor* TransposedConvServiceImpl::Forward(Context* context,
                                                             const Buffer* request,
                                                             Buffer* response) {
  return StartCall<v1::ForwardRequest>({"Forward", CallKind::kRead, &work_}, *this,
                                       &TransposedConvServiceImpl::Forward, context, request,
                                       response);
}

grpc::ServerUnaryReactor* TransposedConvServiceImpl::ComputeOutputShape(Context* context,
                                                                        const Buffer* request,
                                                                        Buffer* response) {
  return StartCall<v1::ComputeOutputShapeRequest>(
      {"ComputeOutputShape", CallKind::kRead, &reads_}, *this,
      &TransposedConvServiceImpl::ComputeOutputShape, context, request, response);
}

grpc::ServerUnaryReactor* TransposedConvServiceImpl::Get(Context* context, const Buffer* request,
                                                         Buffer* response) {
  return StartCall<v1::GetRequest>({"Get", CallKind::kRead, &reads_}, *this,
                                   &TransposedConvServiceImpl::Get, context, request, response);
}

grpc::ServerUnaryReactor* TransposedConvServiceImpl::List(Context* context, const Buffer* request,
                                                          Buffer* response) {
  return StartCall<v1::ListRequest>({"List", CallKind::kRead, &reads_}, *this,
                                    &TransposedConvServiceImpl::List, context, request, response);
}

grpc::ServerUnaryReactor* TransposedConvServiceImpl::Delete(Context* context, const Buffer* request,
                                                            Buffer* response) {
  return StartCall<v1::DeleteRequest>({"Delete", CallKind::kChange, &work_}, *this,
                                      &TransposedConvServiceImpl::Delete, context, request,
                                      response);
}

}  // namespace tconv::server
