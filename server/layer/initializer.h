// The initializers of Keras 3.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "server/base/status.h"
#include "server/layer/object_spec.h"
#include "server/tensor/tensor.h"

namespace tconv::server {

// Fills a new weight. A value; Fill() may run on many threads at once.
class Initializer {
 public:
  // "GlorotUniform" without a seed, Keras' default for kernels.
  Initializer();
  // "Zeros", Keras' default for biases.
  static Initializer Zeros();

  // Class names, snake-case names and the names of Keras 2 with the suffix V2.
  // "Constant" needs its value. INVALID_ARGUMENT, with the path of the argument.
  static StatusOr<Initializer> Make(const ObjectSpec& spec);

  // Class name, with every argument present.
  const ObjectSpec& spec() const { return spec_; }

  // Whether a weight of `shape` can be filled: Orthogonal needs at least two
  // axes, Identity exactly two. INVALID_ARGUMENT about `name`, or about an axis
  // argument that names an axis which `shape` lacks.
  Status Accepts(const Shape& shape) const;

  // Fills `weight`, of any dtype; values are drawn in float64 and rounded. With
  // a seed, the same seed and shape always give the same values; they are not
  // the values that Keras' own generators would give. Without one, values differ
  // from call to call. REQUIRES: Accepts(shape).
  void Fill(TensorView weight) const;

  friend bool operator==(const Initializer& a, const Initializer& b) { return a.spec_ == b.spec_; }

 private:
  struct Row;

  Initializer(const Row* row, ObjectSpec spec) : row_(row), spec_(std::move(spec)) {}
  static const std::vector<Row>& Rows();

  const Row* row_;
  ObjectSpec spec_;
};

}  // namespace tconv::server
