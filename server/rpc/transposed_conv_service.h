// The door that tconv.v1.TransposedConvService opens.
#pragma once

#include <grpcpp/generic/async_generic_service.h>
#include <tconv/v1/transposed_conv.grpc.pb.h>

#include <cstdint>
#include <functional>
#include <string>
#include <unordered_map>

#include "server/base/status.h"
#include "server/host/admission_queue.h"
#include "server/host/layer_host.h"
#include "server/host/shared_memory.h"
#include "server/rpc/door.h"
#include "server/rpc/method.h"
#include "server/rpc/unary_call.h"

namespace tconv::server {

// Methods with one request are left to a generic service, because gRPC would read
// the whole request of a method that it knows before anybody is asked.
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

// Decodes requests, asks the host, encodes its answers. Thread-safe. Both it and
// its generic_methods() are to be registered with a server.
class TransposedConvServiceImpl final : public StreamingTransposedConvService {
 public:
  // `reads` runs the calls that touch no tensors, and the store only to look for
  // layers that are not known: a queue of their own keeps them from waiting behind
  // long computations. All five must outlive the server that this service is
  // registered with.
  TransposedConvServiceImpl(LayerHost& host, const SharedMemory& memory, const Door& door,
                            AdmissionQueue& reads, AdmissionQueue& work, int64_t max_request_bytes);

  // Answers UNIMPLEMENTED to every method that is not ours.
  grpc::CallbackGenericService* generic_methods() { return &generic_methods_; }

 private:
  using Parts = RequestParts;
  using Context = grpc::GenericCallbackServerContext;
  using Starter = std::function<grpc::ServerGenericBidiReactor*(Context*)>;

  class GenericMethods final : public grpc::CallbackGenericService {
   public:
    void Add(std::string_view method, Starter starter);
    grpc::ServerGenericBidiReactor* CreateReactor(Context* context) override;

   private:
    std::unordered_map<std::string, Starter> starters_;  // by path
  };

  template <typename Request, typename Response>
  void Add(std::string_view name, CallKind kind, AdmissionQueue& queue,
           StatusOr<Response> (TransposedConvServiceImpl::*handler)(const Request&, const Parts&));

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
  const Door& door_;
  const int64_t max_request_bytes_;
  const Method forward_stream_;
  const Method set_weights_stream_;
  GenericMethods generic_methods_;
};

}  // namespace tconv::server
