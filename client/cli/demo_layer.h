// A layer on the server for the length of a demonstration.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <tconv/client.h>

#include <string>

#include "client/cli/session.h"

namespace tconv::cli {

class DemoLayer {
 public:
  // Creates the layer. One of that name that an earlier run has kept is used again,
  // with these weights, and stays.
  static absl::StatusOr<DemoLayer> Make(const std::string& name, const v1::LayerConfig& config,
                                        const Weights& weights, Session& session);

  const std::string& name() const { return name_; }

  // Deletes the layer if this has created it, unless it is to be kept.
  absl::Status End(bool keep, Session& session) const;
  // What End() does: "kept", "deleted again" or "was there, stays".
  std::string Fate(bool keep) const;

 private:
  DemoLayer(std::string name, bool created) : name_(std::move(name)), created_(created) {}

  std::string name_;
  bool created_;
};

}  // namespace tconv::cli
