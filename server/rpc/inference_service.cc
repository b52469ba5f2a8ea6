#include "server/rpc/inference_service.h"

#include <algorithm>
#include <vector>

#include "server/rpc/infer_call.h"
#include "server/rpc/infer_stream.h"
#include "server/rpc/model_info_codec.h"
#include "server/wire/inference_codec.h"

namespace tconv::server {
namespace {

constexpr const char* kService = inference::GRPCInferenceService::service_full_name();

// By the names that Triton gave them.
constexpr const char* kExtensions[] = {"model_configuration", "model_repository",
                                       "model_repository(unload_dependents)", "statistics"};

// There is one repository, which has no name.
Status CheckRepository(const std::string& name) {
  if (name.empty()) return OkStatus();
  return MakeError(StatusCode::kNotFound, "there is no repository \"{}\", and none with a name",
                   name);
}

template <typename Request>
Status CheckModelName(const Request& request) {
  TCONV_RETURN_IF_ERROR(CheckRepository(request.repository_name()));
  if (request.model_name().empty()) return InvalidField("model_name", "expected a name, got none");
  return OkStatus();
}

Status CheckParameters(const inference::RepositoryModelLoadRequest& request) {
  if (request.parameters().empty()) return OkStatus();
  return InvalidField("parameters", "expected none, got \"{}\"",
                      request.parameters().begin()->first);
}

// Whether the layers of a chain are meant, too.
StatusOr<bool> UnloadsDependents(const inference::RepositoryModelUnloadRequest& request) {
  bool unloads_dependents = false;
  for (const auto& [name, parameter] : request.parameters()) {
    if (name != "unload_dependents") {
      return InvalidField("parameters", "expected \"unload_dependents\", got \"{}\"", name);
    }
    if (!parameter.has_bool_param()) {
      return InvalidField("parameters[unload_dependents]", "expected true or false");
    }
    unloads_dependents = parameter.bool_param();
  }
  return unloads_dependents;
}

grpc::ServerUnaryReactor* FinishWithSuccess(grpc::CallbackServerContext& context) {
  grpc::ServerUnaryReactor* reactor = context.DefaultReactor();
  reactor->Finish(grpc::Status::OK);
  return reactor;
}

}  // namespace

InferenceServiceImpl::InferenceServiceImpl(LayerHost& host, const ServerHealth& health,
                                           const ServiceContext& context, GenericMethods& generic)
    : host_(host),
      health_(health),
      statistics_(context.telemetry.layers),
      infer_stream_(context.MakeMethod(kService, "ModelStreamInfer", CallKind::kRead, context.work,
                                       "bidi_stream")) {
  const auto add = [&](const char* name, CallKind kind, AdmissionQueue& queue, auto handler) {
    generic.Add(kService, context.MakeMethod(kService, name, kind, queue), this, handler);
  };
  using Self = InferenceServiceImpl;
  add("ModelReady", CallKind::kRead, context.reads, &Self::DoModelReady);
  add("ServerMetadata", CallKind::kRead, context.reads, &Self::DoServerMetadata);
  add("ModelMetadata", CallKind::kRead, context.reads, &Self::DoModelMetadata);
  add("ModelConfig", CallKind::kRead, context.reads, &Self::DoModelConfig);
  add("ModelStatistics", CallKind::kRead, context.reads, &Self::DoModelStatistics);
  add("RepositoryIndex", CallKind::kRead, context.reads, &Self::DoRepositoryIndex);
  // To whoever may delete a model it may also be left to unload it.
  add("RepositoryModelLoad", CallKind::kChange, context.work, &Self::DoLoad);
  add("RepositoryModelUnload", CallKind::kChange, context.work, &Self::DoUnload);
  const Method infer = context.MakeMethod(kService, "ModelInfer", CallKind::kRead, context.work);
  generic.Add(kService, infer.name, [this, infer](GenericMethods::Context* call) {
    return GenericMethods::Begun(new InferCall(infer, host_, call));
  });
}

StatusOr<ModelInfo> InferenceServiceImpl::Find(const std::string& name,
                                               const std::string& version) {
  TCONV_ASSIGN_OR_RETURN(const auto asked_for, VersionFromText("version", version));
  TCONV_ASSIGN_OR_RETURN(ModelInfo model, host_.DescribeModel(name));
  if (asked_for.has_value()) {
    TCONV_RETURN_IF_ERROR(CheckServedVersion(name, model.version, *asked_for));
  }
  return model;
}

StatusOr<inference::ModelReadyResponse> InferenceServiceImpl::DoModelReady(
    const inference::ModelReadyRequest& request, const Parts&) {
  const StatusOr<ModelInfo> model = Find(request.name(), request.version());
  const bool is_damaged = model.status().code() == StatusCode::kDataLoss;
  if (!model.ok() && !is_damaged) return model.status();
  inference::ModelReadyResponse response;
  response.set_ready(model.ok() && model->state.ok() && health_.takes_calls());
  return response;
}

StatusOr<inference::ServerMetadataResponse> InferenceServiceImpl::DoServerMetadata(
    const inference::ServerMetadataRequest&, const Parts&) {
  inference::ServerMetadataResponse response;
  response.set_name("tconv");
  response.set_version(TCONV_VERSION);
  for (const char* extension : kExtensions) response.add_extensions(extension);
  return response;
}

StatusOr<inference::ModelMetadataResponse> InferenceServiceImpl::DoModelMetadata(
    const inference::ModelMetadataRequest& request, const Parts&) {
  TCONV_ASSIGN_OR_RETURN(const ModelInfo model, Find(request.name(), request.version()));
  inference::ModelMetadataResponse response;
  ToProto(model, &response);
  return response;
}

StatusOr<inference::ModelConfigResponse> InferenceServiceImpl::DoModelConfig(
    const inference::ModelConfigRequest& request, const Parts&) {
  TCONV_ASSIGN_OR_RETURN(const ModelInfo model, Find(request.name(), request.version()));
  inference::ModelConfigResponse response;
  ToProto(model, response.mutable_config());
  return response;
}

StatusOr<inference::ModelStatisticsResponse> InferenceServiceImpl::DoModelStatistics(
    const inference::ModelStatisticsRequest& request, const Parts& parts) {
  TCONV_ASSIGN_OR_RETURN(const auto version, VersionFromText("version", request.version()));
  std::vector<ModelInfo> models;
  if (request.name().empty()) {
    models = host_.ListModels([&](const std::string& name) { return parts.caller.MayUse(name); });
  } else {
    TCONV_ASSIGN_OR_RETURN(models.emplace_back(), host_.DescribeModel(request.name()));
  }
  inference::ModelStatisticsResponse response;
  for (const ModelInfo& model : models) {
    std::vector<VersionStatistics> versions = statistics_.Of(model.name, model.id);
    const bool has_served = std::ranges::any_of(versions, [&](const VersionStatistics& statistics) {
      return statistics.version == model.version;
    });
    // The one that is served is among them, be it with zeros; they come oldest first.
    if (!has_served && model.version > 0) versions.push_back({.version = model.version});
    for (const VersionStatistics& statistics : versions) {
      if (version.has_value() && statistics.version != *version) continue;
      ToProto(model.name, statistics, response.add_model_stats());
    }
  }
  if (version.has_value() && response.model_stats().empty()) {
    return MakeError(StatusCode::kNotFound, "no model that was called has version {}", *version);
  }
  return response;
}

StatusOr<inference::RepositoryIndexResponse> InferenceServiceImpl::DoRepositoryIndex(
    const inference::RepositoryIndexRequest& request, const Parts& parts) {
  TCONV_RETURN_IF_ERROR(CheckRepository(request.repository_name()));
  const auto models =
      host_.ListModels([&](const std::string& name) { return parts.caller.MayUse(name); });
  inference::RepositoryIndexResponse response;
  for (const ModelInfo& model : models) {
    if (model.state.ok() || !request.ready()) ToProto(model, response.add_models());
  }
  return response;
}

StatusOr<inference::RepositoryModelLoadResponse> InferenceServiceImpl::DoLoad(
    const inference::RepositoryModelLoadRequest& request, const Parts& parts) {
  TCONV_RETURN_IF_ERROR(CheckModelName(request));
  TCONV_RETURN_IF_ERROR(CheckParameters(request));
  TCONV_RETURN_IF_ERROR(host_.LoadModel(request.model_name(), &parts.caller));
  return inference::RepositoryModelLoadResponse();
}

StatusOr<inference::RepositoryModelUnloadResponse> InferenceServiceImpl::DoUnload(
    const inference::RepositoryModelUnloadRequest& request, const Parts& parts) {
  TCONV_RETURN_IF_ERROR(CheckModelName(request));
  TCONV_ASSIGN_OR_RETURN(const bool unloads_dependents, UnloadsDependents(request));
  TCONV_RETURN_IF_ERROR(host_.UnloadModel(request.model_name(), unloads_dependents, &parts.caller));
  return inference::RepositoryModelUnloadResponse();
}

grpc::ServerUnaryReactor* InferenceServiceImpl::ServerLive(
    grpc::CallbackServerContext* context, const inference::ServerLiveRequest*,
    inference::ServerLiveResponse* response) {
  response->set_live(true);
  return FinishWithSuccess(*context);
}

grpc::ServerUnaryReactor* InferenceServiceImpl::ServerReady(
    grpc::CallbackServerContext* context, const inference::ServerReadyRequest*,
    inference::ServerReadyResponse* response) {
  response->set_ready(health_.takes_calls());
  return FinishWithSuccess(*context);
}

grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* InferenceServiceImpl::ModelStreamInfer(
    grpc::CallbackServerContext* context) {
  return StartInferStream(host_, infer_stream_, *context);
}

}  // namespace tconv::server
