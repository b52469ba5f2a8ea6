// Golden vectors: cases recorded from Keras, see tests/golden/cases/README.md.
#pragma once

#include <tconv/client.h>

#include <optional>
#include <ostream>
#include <set>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "server/tensor/tensor.h"

namespace tconv::testing {

struct GoldenCase {
  std::string directory;
  std::string id;
  std::string kind;
  nlohmann::json expect;  // expect.json
  nlohmann::json config;  // config.json: what get_config() or the constructor says

  // The serialized layer: layer.json where recorded, else class name and config.
  std::string SerializedLayer() const;
  // config_keras3.json: what Keras 3 prints for a Keras 2 configuration.
  nlohmann::json Keras3Config() const;

  bool HasArray(const std::string& name) const;
  // The recorded array `name`.npy. REQUIRES: HasArray(name).
  Tensor Array(const std::string& name) const;
  // kernel.npy and, if recorded, bias.npy.
  Weights RecordedWeights() const;
};

// Makes parameterized tests print the case.
inline void PrintTo(const GoldenCase& golden, std::ostream* out) { *out << golden.id; }

// The cases of these kinds below TCONV_GOLDEN_DIR, in the order of its index.
std::vector<GoldenCase> CasesOfKinds(const std::set<std::string>& kinds);

// The id as a part of a test's name.
std::string TestNameOf(const GoldenCase& golden);

// A shape as JSON has it; null becomes -1.
Shape ToShape(const nlohmann::json& json);

// The tensor as the server sees it. Valid while it lives.
server::ConstTensorView ViewOf(const Tensor& tensor);

// The elements of a tensor of any type, exactly.
std::vector<double> ToDoubles(const Tensor& tensor);

}  // namespace tconv::testing
