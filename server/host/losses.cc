#include "server/host/losses.h"

#include <algorithm>

namespace tconv::server {
namespace {

// A loss has the type of what it is computed from, as in Keras.
Loss ActivityLoss(const Regularizer& regularizer, const PenaltySums& output,
                  const DeconvProblem& problem) {
  if (problem.batch == 0) return {LossSource::kActivity, 0};
  const double penalty = regularizer.Penalty(output) / static_cast<double>(problem.batch);
  return {LossSource::kActivity, RoundTo(problem.dtype, penalty)};
}

Loss WeightLoss(LossSource source, const Regularizer& regularizer, const Tensor& weight) {
  return {source, RoundTo(weight.dtype(), regularizer.Penalty(weight.view()))};
}

}  // namespace

std::vector<Loss> LossesOf(const LayerConfig& config, const Weights& weights,
                           const PenaltySums& output, const DeconvProblem& problem) {
  std::vector<Loss> losses;
  if (config.activity_regularizer.has_value()) {
    losses.push_back(ActivityLoss(*config.activity_regularizer, output, problem));
  }
  if (!config.trainable) return losses;
  if (config.kernel_regularizer.has_value()) {
    losses.push_back(WeightLoss(LossSource::kKernel, *config.kernel_regularizer, weights.kernel));
  }
  if (config.bias_regularizer.has_value() && weights.bias.has_value()) {
    losses.push_back(WeightLoss(LossSource::kBias, *config.bias_regularizer, *weights.bias));
  }
  return losses;
}

std::vector<Loss> LossesOfStep(const LayerConfig& config, std::span<const double> values) {
  std::vector<LossSource> sources;
  if (config.activity_regularizer.has_value()) sources.push_back(LossSource::kActivity);
  if (config.kernel_regularizer.has_value()) sources.push_back(LossSource::kKernel);
  if (config.bias_regularizer.has_value() && config.use_bias) sources.push_back(LossSource::kBias);
  std::vector<Loss> losses;
  for (size_t i = 0; i < std::min(sources.size(), values.size()); ++i) {
    losses.push_back({sources[i], values[i]});
  }
  return losses;
}

}  // namespace tconv::server
