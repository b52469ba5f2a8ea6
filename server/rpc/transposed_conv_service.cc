#include "server/rpc/transposed_conv_service.h"

#include <optional>
#include <span>
#include <utility>

#include "server/rpc/forward_call.h"
#include "server/rpc/forward_stream.h"
#include "server/rpc/get_weights_stream.h"
#include "server/rpc/layer_info_codec.h"
#include "server/rpc/page_size.h"
#include "server/rpc/set_weights_stream.h"
#include "server/wire/tensor_codec.h"

namespace tconv::server {
namespace {

constexpr const char* kService = v1::TransposedConvService::service_full_name();

std::span<const int64_t> DimsOf(const google::protobuf::RepeatedField<int64_t>& dims) {
  return {dims.data(), static_cast<size_t>(dims.size())};
}

constexpr int kKernelDataPath[] = {v1::GetWeightsResponse::kWeightsFieldNumber,
                                   v1::Weights::kKernelFieldNumber, v1::Tensor::kDataFieldNumber};
constexpr int kBiasDataPath[] = {v1::GetWeightsResponse::kWeightsFieldNumber,
                                 v1::Weights::kBiasFieldNumber, v1::Tensor::kDataFieldNumber};

// The field `weights` of a request, which has this number.
StatusOr<ReceivedWeights> ReceiveWeights(const v1::Weights& weights, int number,
                                         codec::ReceivedPayloads& payloads) {
  const int path[] = {number};
  StatusOr<ReceivedWeights> received = ReceivedWeights::Make(weights, path, payloads);
  if (!received.ok()) return InField("weights", received.status());
  return received;
}

}  // namespace

TransposedConvServiceImpl::TransposedConvServiceImpl(LayerHost& host, const SharedMemory& memory,
                                                     const ServiceContext& context,
                                                     GenericMethods& generic)
    : host_(host),
      memory_(memory),
      forward_stream_(context.MakeMethod(kService, "ForwardStream", CallKind::kRead, context.work,
                                         "bidi_stream")),
      set_weights_stream_(context.MakeMethod(kService, "SetWeightsStream", CallKind::kChange,
                                             context.work, "client_stream")) {
  const auto add = [&](const char* name, CallKind kind, AdmissionQueue& queue, auto handler) {
    generic.Add(kService, context.MakeMethod(kService, name, kind, queue), this, handler);
  };
  using Self = TransposedConvServiceImpl;
  add("Create", CallKind::kChange, context.work, &Self::DoCreate);
  add("Build", CallKind::kChange, context.work, &Self::DoBuild);
  add("SetWeights", CallKind::kChange, context.work, &Self::DoSetWeights);
  add("GetWeights", CallKind::kRead, context.work, &Self::DoGetWeights);
  add("ComputeOutputShape", CallKind::kRead, context.reads, &Self::DoComputeOutputShape);
  add("Get", CallKind::kRead, context.reads, &Self::DoGet);
  add("List", CallKind::kRead, context.reads, &Self::DoList);
  add("Delete", CallKind::kChange, context.work, &Self::DoDelete);
  const Method forward = context.MakeMethod(kService, "Forward", CallKind::kRead, context.work);
  generic.Add(kService, forward.name, [this, forward](GenericMethods::Context* call) {
    return GenericMethods::Begun(new ForwardCall(forward, host_, memory_, call));
  });
  const Method get_weights = context.MakeMethod(kService, "GetWeightsStream", CallKind::kRead,
                                                context.work, "server_stream");
  generic.Add(kService, get_weights.name, [this, get_weights](GenericMethods::Context* call) {
    return StartGetWeightsStream(host_, get_weights, *call);
  });
}

StatusOr<v1::CreateResponse> TransposedConvServiceImpl::DoCreate(const v1::CreateRequest& request,
                                                                 const Parts& parts) {
  std::optional<ReceivedWeights> weights;
  if (request.has_weights()) {
    TCONV_ASSIGN_OR_RETURN(
        weights,
        ReceiveWeights(request.weights(), v1::CreateRequest::kWeightsFieldNumber, parts.payloads));
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
      ReceiveWeights(request.weights(), v1::SetWeightsRequest::kWeightsFieldNumber,
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
  TCONV_ASSIGN_OR_RETURN(const size_t limit, PageSizeOf(request));
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
