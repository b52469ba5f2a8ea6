#include "client/cli/demo_layer.h"

#include "client/cli/status_macros.h"

namespace tconv::cli {

absl::StatusOr<DemoLayer> DemoLayer::Make(const std::string& name, const v1::LayerConfig& config,
                                          const Weights& weights, Session& session) {
  const absl::Status status =
      session.client().Create({.name = name, .definition = config, .weights = weights}).status();
  if (status.ok()) return DemoLayer(name, /*created=*/true);
  if (!absl::IsAlreadyExists(status)) return status;
  TCONV_CLI_RETURN_IF_ERROR(session.client().SetWeights(name, weights).status());
  return DemoLayer(name, /*created=*/false);
}

absl::Status DemoLayer::End(bool keep, Session& session) const {
  return created_ && !keep ? session.client().Delete(name_) : absl::OkStatus();
}

std::string DemoLayer::Fate(bool keep) const {
  if (keep) return "kept";
  return created_ ? "deleted again" : "was there, stays";
}

}  // namespace tconv::cli
