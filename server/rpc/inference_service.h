// The door that inference.GRPCInferenceService opens.
#pragma once

#include <inference/grpc_inference_service.grpc.pb.h>

#include <string>

#include "server/base/status.h"
#include "server/host/layer_host.h"
#include "server/rpc/generic_methods.h"
#include "server/rpc/method.h"
#include "server/rpc/server_health.h"

namespace tconv::server {

// Methods with one request are left to GenericMethods, but for those that ask for the health of
// the server: anybody may, and gets an answer also when there is no room for calls.
template <typename Base>
using WithModelMethods = inference::GRPCInferenceService::WithGenericMethod_ModelReady<
    inference::GRPCInferenceService::WithGenericMethod_ServerMetadata<
        inference::GRPCInferenceService::WithGenericMethod_ModelMetadata<
            inference::GRPCInferenceService::WithGenericMethod_ModelConfig<
                inference::GRPCInferenceService::WithGenericMethod_ModelStatistics<
                    inference::GRPCInferenceService::WithGenericMethod_ModelInfer<Base>>>>>>;
template <typename Base>
using WithRepositoryMethods = inference::GRPCInferenceService::WithGenericMethod_RepositoryIndex<
    inference::GRPCInferenceService::WithGenericMethod_RepositoryModelLoad<
        inference::GRPCInferenceService::WithGenericMethod_RepositoryModelUnload<Base>>>;
template <typename Base>
using WithHealthMethods = inference::GRPCInferenceService::WithCallbackMethod_ServerLive<
    inference::GRPCInferenceService::WithCallbackMethod_ServerReady<Base>>;
using StreamingInferenceService = WithModelMethods<WithRepositoryMethods<
    WithHealthMethods<inference::GRPCInferenceService::WithRawCallbackMethod_ModelStreamInfer<
        inference::GRPCInferenceService::Service>>>>;

// Decodes requests, asks the host, encodes its answers. Thread-safe.
class InferenceServiceImpl final : public StreamingInferenceService {
 public:
  // Adds its methods with one request to `generic`, which is to be registered with
  // the same server as this. All that is given must outlive that server.
  InferenceServiceImpl(LayerHost& host, const ServerHealth& health, const ServiceContext& context,
                       GenericMethods& generic);

 private:
  using Parts = RequestParts;

  // What the RPCs mean; their errors are in the .proto.
  StatusOr<inference::ModelReadyResponse> DoModelReady(const inference::ModelReadyRequest& request,
                                                       const Parts&);
  StatusOr<inference::ServerMetadataResponse> DoServerMetadata(
      const inference::ServerMetadataRequest&, const Parts&);
  StatusOr<inference::ModelMetadataResponse> DoModelMetadata(
      const inference::ModelMetadataRequest& request, const Parts&);
  StatusOr<inference::ModelConfigResponse> DoModelConfig(
      const inference::ModelConfigRequest& request, const Parts&);
  StatusOr<inference::ModelStatisticsResponse> DoModelStatistics(
      const inference::ModelStatisticsRequest& request, const Parts& parts);
  StatusOr<inference::RepositoryIndexResponse> DoRepositoryIndex(
      const inference::RepositoryIndexRequest& request, const Parts& parts);
  StatusOr<inference::RepositoryModelLoadResponse> DoLoad(
      const inference::RepositoryModelLoadRequest& request, const Parts&);
  StatusOr<inference::RepositoryModelUnloadResponse> DoUnload(
      const inference::RepositoryModelUnloadRequest& request, const Parts&);

  // The model of this name, which is served at this version. NOT_FOUND.
  StatusOr<ModelInfo> Find(const std::string& name, const std::string& version);

  grpc::ServerUnaryReactor* ServerLive(grpc::CallbackServerContext* context,
                                       const inference::ServerLiveRequest*,
                                       inference::ServerLiveResponse* response) override;
  grpc::ServerUnaryReactor* ServerReady(grpc::CallbackServerContext* context,
                                        const inference::ServerReadyRequest*,
                                        inference::ServerReadyResponse* response) override;
  grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* ModelStreamInfer(
      grpc::CallbackServerContext* context) override;

  LayerHost& host_;
  const ServerHealth& health_;
  const LayerStatistics& statistics_;
  const Method infer_stream_;
};

}  // namespace tconv::server
