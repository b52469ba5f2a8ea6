#include "server/rpc/transposed_conv_service.h"

#include <algorithm>
#include <optional>
#include <span>
#include <utility>

#include "server/rpc/forward_call.h"
#include "server/rpc/forward_stream.h"
#include "server/rpc/get_weights_stream.h"
#include "server/rpc/layer_info_codec.h"
#include "server/rpc/set_weights_stream.h"
#include "server/wire/tensor_codec.h"

namespace tconv::server {
namespace {

constexpr int kDefaultPageSize = 100;
constexpr int kMaxPageSize = 1000;

std::span<const int64_t> DimsOf(const google::protobuf::RepeatedField<int64_t>& dims) {
  return {dims.data(), static_cast<size_t>(dims.size())};
}

constexpr int kKernelDataPath[] = {v1::GetWeightsResponse::kWeightsFieldNumber,
                                   v1::Weights::kKernelFieldNumber, v1::Tensor::kDataFieldNumber};
constexpr int kBiasDataPath[] = {v1::GetWeightsResponse::kWeightsFieldNumber,
                                 v1::Weights::kBiasFieldNumber, v1::Tensor::kDataFieldNumber};

UnaryCall* Begun(UnaryCall* call) {
  call->Begin();
  return call;
}

}  // namespace

void TransposedConvServiceImpl::GenericMethods::Add(std::string_view method, Starter starter) {
  starters_.emplace(fmt::format("/{}/{}", v1::TransposedConvService::service_full_name(), method),
                    std::move(starter));
}

grpc::ServerGenericBidiReactor* TransposedConvServiceImpl::GenericMethods::CreateReactor(
    Context* context) {
  const auto found = starters_.find(context->method());
  if (found == starters_.end()) return CallbackGenericService::CreateReactor(context);
  return found->second(context);
}

template <typename Request, typename Response>
void TransposedConvServiceImpl::Add(
    std::string_view name, CallKind kind, AdmissionQueue& queue,
    StatusOr<Response> (TransposedConvServiceImpl::*handler)(const Request&, const Parts&)) {
  const Method method{name, kind, &door_, &queue, max_request_bytes_};
  generic_methods_.Add(name, [this, method, handler](Context* context) {
    return Begun(new HandlerCall<Request, Response>(
        method,
        [this, handler](const Request& request, const Parts& parts) {
          return (this->*handler)(request, parts);
        },
        context));
  });
}

TransposedConvServiceImpl::TransposedConvServiceImpl(LayerHost& host, const SharedMemory& memory,
                                                     const Door& door, AdmissionQueue& reads,
                                                     AdmissionQueue& work,
                                                     int64_t max_request_bytes)
    : host_(host),
      memory_(memory),
      door_(door),
      max_request_bytes_(max_request_bytes),
      forward_stream_{"ForwardStream", CallKind::kRead, &door, &work, max_request_bytes},
      set_weights_stream_{"SetWeightsStream", CallKind::kChange, &door, &work, max_request_bytes} {
  using Self = TransposedConvServiceImpl;
  Add("Create", CallKind::kChange, work, &Self::DoCreate);
  Add("Build", CallKind::kChange, work, &Self::DoBuild);
  Add("SetWeights", CallKind::kChange, work, &Self::DoSetWeights);
  Add("GetWeights", CallKind::kRead, work, &Self::DoGetWeights);
  Add("ComputeOutputShape", CallKind::kRead, reads, &Self::DoComputeOutputShape);
  Add("Get", CallKind::kRead, reads, &Self::DoGet);
  Add("List", CallKind::kRead, reads, &Self::DoList);
  Add("Delete", CallKind::kChange, work, &Self::DoDelete);
  const Method forward{"Forward", CallKind::kRead, &door, &work, max_request_bytes};
  generic_methods_.Add(forward.name, [this, forward](Context* context) {
    return Begun(new ForwardCall(forward, host_, memory_, context));
  });
  const Method get_weights_stream{"GetWeightsStream", CallKind::kRead, &door, &work,
                                  max_request_bytes};
  generic_methods_.Add(get_weights_stream.name, [this, get_weights_stream](Context* context) {
    return StartGetWeightsStream(host_, get_weights_stream, *context);
  });
}

StatusOr<v1::CreateResponse> TransposedConvServiceImpl::DoCreate(const v1::CreateRequest& request,
                                                                 const Parts& parts) {
  std::optional<ReceivedWeights> weights;
  if (request.has_weights()) {
    TCONV_ASSIGN_OR_RETURN(
        weights, ReceivedWeights::Make(request.weights(), v1::CreateRequest::kWeightsFieldNumber,
                                       parts.payloads));
  }
  TCONV_ASSIGN_OR_RETURN(LayerDraft draft, LayerDraftFromProto(request));
  if (draft.chosen_name().empty()) {
    draft.name_prefix = parts.caller.name_prefix();
  } else {
    TCONV_RETURN_IF_ERROR(parts.caller.CheckLayer(draft.chosen_name()));
  }
  if (weights.has_value()) draft.weights = weights->source();
  TCONV_ASSIGN_OR_RETURN(const LayerInfo layer, host_.Create(std::move(draft)));
  v1::CreateResponse response;
  *response.mutable_layer() = ToProto(layer);
  return response;
}

StatusOr<v1::BuildResponse> TransposedConvServiceImpl::DoBuild(const v1::BuildRequest& request,
                                                               const Parts&) {
  TCONV_ASSIGN_OR_RETURN(const LayerInfo layer,
                         host_.Build(request.name(), DimsOf(request.input_shape())));
  v1::BuildResponse response;
  *response.mutable_layer() = ToProto(layer);
  return response;
}

StatusOr<v1::SetWeightsResponse> TransposedConvServiceImpl::DoSetWeights(
    const v1::SetWeightsRequest& request, const Parts& parts) {
  TCONV_ASSIGN_OR_RETURN(
      ReceivedWeights weights,
      ReceivedWeights::Make(request.weights(), v1::SetWeightsRequest::kWeightsFieldNumber,
                            parts.payloads));
  const auto if_version =
      request.has_if_version() ? std::optional(request.if_version()) : std::nullopt;
  TCONV_ASSIGN_OR_RETURN(const int64_t version,
                         host_.SetWeights(request.name(), weights.source(), if_version));
  v1::SetWeightsResponse response;
  response.set_weights_version(version);
  return response;
}

StatusOr<WithPayloads<v1::GetWeightsResponse>> TransposedConvServiceImpl::DoGetWeights(
    const v1::GetWeightsRequest& request, const Parts&) {
  TCONV_ASSIGN_OR_RETURN(const auto weights, host_.GetWeights(request.name()));
  WithPayloads<v1::GetWeightsResponse> response;
  v1::Weights& message = *response.message.mutable_weights();
  ToProto(weights->kernel.view(), message.mutable_kernel());
  response.payloads.push_back({kKernelDataPath, PayloadOf(weights->kernel.view(), weights)});
  if (weights->bias.has_value()) {
    ToProto(weights->bias->view(), message.mutable_bias());
    response.payloads.push_back({kBiasDataPath, PayloadOf(weights->bias->view(), weights)});
  }
  response.message.set_weights_version(weights->version);
  return response;
}

StatusOr<v1::ComputeOutputShapeResponse> TransposedConvServiceImpl::DoComputeOutputShape(
    const v1::ComputeOutputShapeRequest& request, const Parts&) {
  TCONV_ASSIGN_OR_RETURN(const PartialShape shape,
                         host_.ComputeOutputShape(request.name(), DimsOf(request.input_shape())));
  v1::ComputeOutputShapeResponse response;
  response.mutable_output_shape()->Add(shape.begin(), shape.end());
  return response;
}

StatusOr<v1::GetResponse> TransposedConvServiceImpl::DoGet(const v1::GetRequest& request,
                                                           const Parts&) {
  TCONV_ASSIGN_OR_RETURN(const LayerInfo layer, host_.Get(request.name()));
  v1::GetResponse response;
  *response.mutable_layer() = ToProto(layer);
  return response;
}

StatusOr<v1::ListResponse> TransposedConvServiceImpl::DoList(const v1::ListRequest& request,
                                                             const Parts& parts) {
  if (request.page_size() < 0) {
    return InvalidField("page_size", "expected 0 or more, got {}", request.page_size());
  }
  const int limit = request.page_size() == 0 ? kDefaultPageSize
                                             : std::min<int>(request.page_size(), kMaxPageSize);
  // The token is the name that the page before ended with.
  const LayerPage page = host_.List(request.page_token(), limit, [&](const std::string& name) {
    return parts.caller.MayUse(name);
  });
  v1::ListResponse response;
  for (const LayerInfo& layer : page.layers) *response.add_layers() = ToProto(layer);
  response.set_next_page_token(page.next);
  return response;
}

StatusOr<v1::DeleteResponse> TransposedConvServiceImpl::DoDelete(const v1::DeleteRequest& request,
                                                                 const Parts&) {
  TCONV_RETURN_IF_ERROR(host_.Delete(request.name()));
  return v1::DeleteResponse();
}

grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>*
TransposedConvServiceImpl::ForwardStream(grpc::CallbackServerContext* context) {
  return StartForwardStream(host_, forward_stream_, *context);
}

grpc::ServerReadReactor<grpc::ByteBuffer>* TransposedConvServiceImpl::SetWeightsStream(
    grpc::CallbackServerContext* context, grpc::ByteBuffer* response) {
  return StartSetWeightsStream(host_, set_weights_stream_, *context, *response);
}

}  // namespace tconv::server
