// Layers as the models of the inference protocol.
#pragma once

#include <cstdint>
#include <string>

#include "server/base/status.h"
#include "server/host/layer.h"
#include "server/layer/geometry.h"
#include "server/tensor/dtype.h"

namespace tconv::server {

// What a client that knows nothing of layers has to know to call one. A model has one input and
// one output.
struct ModelInfo {
  std::string name;
  int64_t id = 0;            // of the layer
  int64_t version = 0;       // of the weights that are served; 0: none
  PartialShape input_shape;  // kUnknownDim where any extent will do
  PartialShape output_shape;
  DType dtype = DType::kFloat32;  // of the computation and its output
  Status state;                   // as HealthSource::LayerStatus()
};

ModelInfo ModelOf(const Layer& layer, const Status& state);

// NOT_FOUND unless the version that is asked for is the one that is served.
Status CheckServedVersion(const std::string& name, int64_t served, int64_t asked_for);

}  // namespace tconv::server
