// The door that tconv.v1.TransposedConvService opens.
#pragma once

#include <tconv/v1/transposed_conv.grpc.pb.h>

#include "server/base/status.h"
#include "server/host/admission_queue.h"
#include "server/host/layer_host.h"
#include "server/rpc/unary_call.h"

namespace tconv::server {

// Every method takes the bytes of its request as they come, so that they are
// decoded neither on gRPC's threads nor before the call is admitted.
template <typename Base>
using WithLayerMethods = v1::TransposedConvService::WithRawCallbackMethod_Create<
    v1::TransposedConvService::WithRawCallbackMethod_Build<
        v1::TransposedConvService::WithRawCallbackMethod_Get<
            v1::TransposedConvService::WithRawCallbackMethod_List<
                v1::TransposedConvService::WithRawCallbackMethod_Delete<Base>>>>>;
template <typename Base>
using WithTensorMethods = v1::TransposedConvService::WithRawCallbackMethod_SetWeights<
    v1::TransposedConvService::WithRawCallbackMethod_GetWeights<
        v1::TransposedConvService::WithRawCallbackMethod_Forward<
            v1::TransposedConvService::WithRawCallbackMethod_ComputeOutputShape<Base>>>>;
using RawTransposedConvService =
    WithLayerMethods<WithTensorMethods<v1::TransposedConvService::Service>>;

// The generated bases overload every method for the other ways to serve it.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Woverloaded-virtual"

// Decodes requests, asks the host, encodes its answers. Thread-safe.
class TransposedConvServiceImpl final : public RawTransposedConvService {
 public:
  // `reads` runs the calls that touch neither tensors nor the store: a queue of
  // their own keeps them from waiting behind long computations. All three must
  // outlive the server that this service is registered with.
  TransposedConvServiceImpl(LayerHost& host, AdmissionQueue& reads, AdmissionQueue& work)
      : host_(host), reads_(reads), work_(work) {}

  // What the RPCs mean; their errors are in the .proto.
  StatusOr<v1::CreateResponse> Create(const v1::CreateRequest& request);
  StatusOr<v1::BuildResponse> Build(const v1::BuildRequest& request);
  StatusOr<v1::SetWeightsResponse> SetWeights(const v1::SetWeightsRequest& request);
  StatusOr<v1::GetWeightsResponse> GetWeights(const v1::GetWeightsRequest& request);
  StatusOr<v1::ForwardResponse> Forward(const v1::ForwardRequest& request);
  StatusOr<v1::ComputeOutputShapeResponse> ComputeOutputShape(
      const v1::ComputeOutputShapeRequest& request);
  StatusOr<v1::GetResponse> Get(const v1::GetRequest& request);
  StatusOr<v1::ListResponse> List(const v1::ListRequest& request);
  StatusOr<v1::DeleteResponse> Delete(const v1::DeleteRequest& request);

 private:
  using Context = grpc::CallbackServerContext;
  using Buffer = grpc::ByteBuffer;
  using Reactor = grpc::ServerUnaryReactor;

  // How gRPC calls them.
  Reactor* Create(Context* context, const Buffer* request, Buffer* response) override;
  Reactor* Build(Context* context, const Buffer* request, Buffer* response) override;
  Reactor* SetWeights(Context* context, const Buffer* request, Buffer* response) override;
  Reactor* GetWeights(Context* context, const Buffer* request, Buffer* response) override;
  Reactor* Forward(Context* context, const Buffer* request, Buffer* response) override;
  Reactor* ComputeOutputShape(Context* context, const Buffer* request, Buffer* response) override;
  Reactor* Get(Context* context, const Buffer* request, Buffer* response) override;
  Reactor* List(Context* context, const Buffer* request, Buffer* response) override;
  Reactor* Delete(Context* context, const Buffer* request, Buffer* response) override;

  LayerHost& host_;
  AdmissionQueue& reads_;
  AdmissionQueue& work_;
};

#pragma GCC diagnostic pop

}  // namespace tconv::server
