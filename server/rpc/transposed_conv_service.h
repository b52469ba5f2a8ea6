// The door that tconv.v1.TransposedConvService opens.
#pragma once

#include <tconv/v1/transposed_conv.grpc.pb.h>

#include "server/base/status.h"
#include "server/host/layer_host.h"
#include "server/host/shared_memory.h"
#include "server/rpc/generic_methods.h"
#include "server/rpc/method.h"

namespace tconv::server {

// Methods with one request are left to GenericMethods.
template <typename Base>
using WithLayerMethods = v1::TransposedConvService::WithGenericMethod_Create<
    v1::TransposedConvService::WithGenericMethod_Build<
        v1::TransposedConvService::WithGenericMethod_Get<
            v1::TransposedConvService::WithGenericMethod_List<
                v1::TransposedConvService::WithGenericMethod_Delete<Base>>>>>;
template <typename Base>
using WithTensorMethods = v1::TransposedConvService::WithGenericMethod_SetWeights<
    v1::TransposedConvService::WithGenericMethod_GetWeights<
        v1::TransposedConvService::WithGenericMethod_Forward<
            v1::TransposedConvService::WithGenericMethod_ComputeOutputShape<Base>>>>;
template <typename Base>
using WithStreams = v1::TransposedConvService::WithRawCallbackMethod_ForwardStream<
    v1::TransposedConvService::WithRawCallbackMethod_SetWeightsStream<
        v1::TransposedConvService::WithGenericMethod_GetWeightsStream<Base>>>;
using StreamingTransposedConvService =
    WithLayerMethods<WithTensorMethods<WithStreams<v1::TransposedConvService::Service>>>;

// Decodes requests, asks the host, encodes its answers. Thread-safe.
class TransposedConvServiceImpl final : public StreamingTransposedConvService {
 public:
  // Adds its methods with one request to `generic`, which is to be registered with
  // the same server as this. All that is given must outlive that server.
  TransposedConvServiceImpl(LayerHost& host, const SharedMemory& memory,
                            const ServiceContext& context, GenericMethods& generic);

 private:
  using Parts = RequestParts;

  // What the RPCs mean; their errors are in the .proto.
  StatusOr<v1::CreateResponse> DoCreate(const v1::CreateRequest& request, const Parts& parts);
  StatusOr<v1::BuildResponse> DoBuild(const v1::BuildRequest& request, const Parts&);
  StatusOr<v1::SetWeightsResponse> DoSetWeights(const v1::SetWeightsRequest& request,
                                                const Parts& parts);
  StatusOr<WithPayloads<v1::GetWeightsResponse>> DoGetWeights(const v1::GetWeightsRequest& request,
                                                              const Parts&);
  StatusOr<v1::ComputeOutputShapeResponse> DoComputeOutputShape(
      const v1::ComputeOutputShapeRequest& request, const Parts&);
  StatusOr<v1::GetResponse> DoGet(const v1::GetRequest& request, const Parts&);
  StatusOr<v1::ListResponse> DoList(const v1::ListRequest& request, const Parts& parts);
  StatusOr<v1::DeleteResponse> DoDelete(const v1::DeleteRequest& request, const Parts&);

  grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* ForwardStream(
      grpc::CallbackServerContext* context) override;
  grpc::ServerReadReactor<grpc::ByteBuffer>* SetWeightsStream(grpc::CallbackServerContext* context,
                                                              grpc::ByteBuffer* response) override;

  LayerHost& host_;
  const SharedMemory& memory_;
  const Method forward_stream_;
  const Method set_weights_stream_;
};

}  // namespace tconv::server
