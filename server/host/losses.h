// The terms of Keras' layer.losses.
#pragma once

#include <span>
#include <vector>

#include "server/host/forward_job.h"
#include "server/layer/geometry.h"
#include "server/layer/layer_config.h"
#include "server/layer/regularizer.h"
#include "server/layer/weights.h"

namespace tconv::server {

// In Keras' order, as far as the layer has them: only trainable weights are
// penalized, and the activity counts per sample. `output` sums up the output of
// `problem`; it is not looked at without an activity regularizer.
std::vector<Loss> LossesOf(const LayerConfig& config, const Weights& weights,
                           const PenaltySums& output, const DeconvProblem& problem);

// The same from their values, as far as there are any, for a layer that was trainable.
std::vector<Loss> LossesOfStep(const LayerConfig& config, std::span<const double> values);

}  // namespace tconv::server
