// What LayerHost and the statistics tell of models, to the messages of the inference protocol.
#pragma once

#include <inference/grpc_inference_service.pb.h>

#include <string>
#include <vector>

#include "server/host/model_info.h"
#include "server/telemetry/layer_statistics.h"

namespace tconv::server {

// As the protocol says it; empty for a model without weights.
std::string VersionText(const ModelInfo& model);

void ToProto(const ModelInfo& model, inference::ModelMetadataResponse* out);
void ToProto(const ModelInfo& model, inference::ModelConfig* out);
void ToProto(const ModelInfo& model, inference::RepositoryIndexResponse::ModelIndex* out);
// One version of the model `name`.
void ToProto(const std::string& name, const VersionStatistics& statistics,
             inference::ModelStatistics* out);

}  // namespace tconv::server
