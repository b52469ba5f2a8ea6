#include "server/store/layer_store.h"

#include "server/store/store_errors.h"

namespace tconv::server {

Status LayerChange::CheckBase(const LayerRecord& stored) const {
  if (weights_version.has_value() && stored.weights_version != *weights_version) {
    return VersionMoved(stored.name, *weights_version, stored.weights_version);
  }
  if (settings_version.has_value() && stored.settings_version != *settings_version) {
    return SettingsMoved(stored.name, *settings_version, stored.settings_version);
  }
  return OkStatus();
}

void LayerChange::ApplyTo(LayerRecord& record) const {
  if (weights != nullptr) {
    record.in_channels = weights->in_channels();
    record.weights_version = weights->version;
  }
  if (settings != nullptr) {
    record.config.trainable = settings->config.trainable;
    record.optimizer = settings->optimizer;
    record.settings_version = settings->settings_version;
  }
}

Status LayerStore::PutWeights(const LayerKey& layer, const Weights& weights,
                              int64_t expected_version) {
  return Update(layer, {.weights_version = expected_version, .weights = &weights});
}

Status LayerStore::PutSettings(const LayerRecord& settings, const TrainingState* state,
                               int64_t expected_version, std::optional<int64_t> weights_version) {
  return Update(settings.key(), {.weights_version = weights_version,
                                 .settings_version = expected_version,
                                 .settings = &settings,
                                 .training = state});
}

Status LayerStore::PutStep(const LayerKey& layer, const Weights& weights,
                           const TrainingState& state, const StepBase& expected) {
  return Update(layer, {.weights_version = expected.weights_version,
                        .settings_version = expected.settings_version,
                        .weights = &weights,
                        .training = &state});
}

}  // namespace tconv::server
