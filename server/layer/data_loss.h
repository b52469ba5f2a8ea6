// The losses of Keras 3 between an output and a target.
#pragma once

#include <utility>
#include <vector>

#include "server/base/status.h"
#include "server/layer/object_spec.h"
#include "server/tensor/tensor.h"

namespace tconv::server {

// The mean over all elements of a function of output and target. A value.
class DataLoss {
 public:
  // INVALID_ARGUMENT, with the path of the argument. BinaryCrossentropy takes logits
  // alone: "from_logits" has to be true.
  static StatusOr<DataLoss> Make(const ObjectSpec& spec);

  // Class name, with every argument present.
  const ObjectSpec& spec() const { return spec_; }

  // The loss; writes its derivative by each element of the output to `gradient`. All
  // three float32 or all float64, of one shape with at least one element. Sums in
  // float64.
  double Evaluate(ConstTensorView output, ConstTensorView target, TensorView gradient) const;

  friend bool operator==(const DataLoss& a, const DataLoss& b) { return a.spec_ == b.spec_; }

 private:
  struct Row;

  DataLoss(const Row* row, ObjectSpec spec) : row_(row), spec_(std::move(spec)) {}
  static const std::vector<Row>& Rows();

  const Row* row_;
  ObjectSpec spec_;
};

}  // namespace tconv::server
