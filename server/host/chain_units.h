// A chain as it is computed.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "server/base/status.h"
#include "server/host/layer_catalog.h"
#include "server/layer/activation.h"
#include "server/layer/geometry.h"
#include "server/layer/layer_config.h"
#include "server/layer/weights.h"
#include "server/store/chain_record.h"
#include "server/tensor/shape.h"

namespace tconv::server {

// A layer of a chain with the functions behind it, up to the next layer.
struct ChainUnit {
  size_t step = 0;  // of the layer
  std::string layer;
  // With the activation of the step behind it, where that gives the same bits: the layer
  // is linear, nothing else looks at its output, and the output is not rounded between.
  LayerConfig config;
  int64_t in_channels = 0;
  std::vector<Activation> passes;  // the other functions

  // Of what comes out of the passes when `shape` comes out of the layer.
  StatusOr<Shape> ShapeBehindPasses(Shape shape) const;
};

// What a unit makes of an input.
struct UnitShapes {
  DeconvProblem problem;
  Shape output;  // behind the passes
};

// The units of a chain with what its layers are now. REQUIRES: `layers` has all of them.
std::vector<ChainUnit> UnitsOf(const ChainRecord& chain,
                               std::span<const std::shared_ptr<Layer>> layers);

// What every unit makes of an input of this shape. INVALID_ARGUMENT (about
// `input.shape`): as for a layer.
StatusOr<std::vector<UnitShapes>> ShapesOf(std::span<const ChainUnit> units,
                                           const Shape& input_shape);

// The channels that come out of a unit, and INVALID_ARGUMENT when a pass cannot run.
StatusOr<int64_t> OutputChannelsOf(const ChainUnit& unit);

// The shape of the output, with what the input leaves open left open. Unlike Keras'
// compute_output_shape it knows that glu halves an axis, on which the next layer
// depends. INVALID_ARGUMENT (about `input_shape`).
StatusOr<PartialShape> OutputShapeOf(std::span<const ChainUnit> units,
                                     std::span<const int64_t> input_shape);

// An error of step `step`, unless that is the first: the input of any other is none of
// the caller's.
Status InStep(size_t step, const Status& status);

}  // namespace tconv::server
