// The regularizers of Keras 3.
#pragma once

#include <utility>

#include "server/base/status.h"
#include "server/layer/object_spec.h"
#include "server/tensor/tensor.h"

namespace tconv::server {

// Over the elements w of a tensor, which may come in parts; in the order in which
// they come.
class PenaltySums {
 public:
  void Add(ConstTensorView part);

  double absolute() const { return absolute_; }
  double squares() const { return squares_; }

 private:
  double absolute_ = 0;  // sum |w|
  double squares_ = 0;   // sum w^2
};

// A penalty on a weight or on an output. A value.
class Regularizer {
 public:
  // INVALID_ARGUMENT, with the path of the argument. A null argument stands for
  // its default, as in Keras. The name "l1_l2" is the function of Keras 2, with
  // defaults of 0.01. OrthogonalRegularizer is refused: it takes matrices, which
  // the weights of these layers never are.
  static StatusOr<Regularizer> Make(const ObjectSpec& spec);

  // Class name, with every argument present.
  const ObjectSpec& spec() const { return spec_; }

  // l1 * sum |w| + l2 * sum w^2, accumulated in float64. 0 for an empty tensor.
  double Penalty(ConstTensorView weight) const;
  double Penalty(const PenaltySums& sums) const;

  // gradient += scale * dPenalty/dw, that is l1 * sign(w) + 2 * l2 * w, where sign(0)
  // is 0. Any types; computed in float64 for a float64 gradient, else in float32, and
  // rounded once. REQUIRES: one shape; no overlap.
  void AddGradient(ConstTensorView weight, double scale, TensorView gradient) const;

  friend bool operator==(const Regularizer& a, const Regularizer& b) { return a.spec_ == b.spec_; }

 private:
  struct Row;

  Regularizer(const Row* row, ObjectSpec spec) : row_(row), spec_(std::move(spec)) {}
  static const std::vector<Row>& Rows();

  const Row* row_;
  ObjectSpec spec_;
};

}  // namespace tconv::server
