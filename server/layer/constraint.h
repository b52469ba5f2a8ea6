// The constraints of Keras 3.
#pragma once

#include <utility>
#include <vector>

#include "server/base/status.h"
#include "server/layer/object_spec.h"
#include "server/tensor/tensor.h"

namespace tconv::server {

// A projection of a weight, applied after an optimizer update. A value.
class Constraint {
 public:
  // INVALID_ARGUMENT, with the path of the argument. Keras 2's RadialConstraint
  // is refused: Keras 3 has none.
  static StatusOr<Constraint> Make(const ObjectSpec& spec);

  // Class name, with every argument present.
  const ObjectSpec& spec() const { return spec_; }

  // Whether every axis exists, once, in a weight with `rank` axes.
  // INVALID_ARGUMENT about `arguments.axis`.
  Status Accepts(int rank) const;

  // weight = projection of weight. float32 or float64, computed in that type.
  // REQUIRES: Accepts(weight.shape.rank()).
  void Project(TensorView weight) const;

  friend bool operator==(const Constraint& a, const Constraint& b) { return a.spec_ == b.spec_; }

 private:
  struct Row;

  Constraint(const Row* row, ObjectSpec spec) : row_(row), spec_(std::move(spec)) {}
  static const std::vector<Row>& Rows();

  const Row* row_;
  ObjectSpec spec_;
};

}  // namespace tconv::server
