// The problems of tests/data/shapes.txt, and random numbers to run them on.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <iosfwd>
#include <memory>
#include <string>
#include <vector>

#include "server/layer/geometry.h"
#include "server/layer/layer_config.h"
#include "server/layer/weights.h"
#include "server/tensor/tensor.h"

namespace tconv::testing {

struct ShapeRow {
  std::string name;
  std::string line;  // as it was parsed
  server::LayerConfig config;
  server::DeconvProblem problem;
  std::vector<std::string> accepted_by;  // strategies that must take the problem
  bool is_bench = false;                 // too large for the reference
};

// How GoogleTest prints a row: as the line that gives it again.
void PrintTo(const ShapeRow& row, std::ostream* os);

// One line of the table, without its comment. Aborts with a message when the
// line is wrong: it is part of the tests.
ShapeRow ParseShapeRow(const std::string& line);

// What RandomShapeRow() chooses from; as it stands, small problems of any kind.
struct RandomShapeRange {
  std::array<int64_t, 3> largest_extent = {70, 20, 8};  // in one, two and three dimensions
  std::array<int64_t, 3> largest_kernel = {6, 6, 4};
  int64_t largest_stride = 4;
  int64_t largest_batch = 3;
  int64_t largest_channels = 40;
  // As models have them: 10 to 20 is as likely as 100 to 200, half of the
  // problems are alike along all axes, and half of the large channels fill
  // vectors of 16.
  bool is_like_models = false;
  std::vector<std::string> activations = {"linear", "relu",         "leaky_relu",
                                          "tanh",   "hard_sigmoid", "softmax"};
  std::vector<std::string> dtypes = {"float32", "float32", "float32", "mixed_bfloat16", "float16"};
};

// A problem of the range. `pick(low, high)` is a number of that range, both
// included: random numbers, or a fuzzer's.
ShapeRow RandomShapeRow(const std::function<int64_t(int64_t, int64_t)>& pick,
                        const RandomShapeRange& range = {});

// Every row of tests/data/shapes.txt.
std::vector<ShapeRow> ReadShapeTable();

// Uniform in [-1, 1), the same for the same seed.
server::Tensor RandomTensor(const server::Shape& shape, server::DType dtype, uint64_t seed);

// Random weights of the problem in `variable` dtype, scaled so that results of
// random inputs stay near 1 and activations near their bends.
std::shared_ptr<const server::Weights> RandomWeights(const server::DeconvProblem& problem,
                                                     server::DType variable, uint64_t seed);

}  // namespace tconv::testing
