// The activations of Keras 3, with their parameters.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "server/base/status.h"
#include "server/layer/object_spec.h"
#include "server/tensor/tensor.h"

namespace tconv::server {

// y = f(z). A value: copies are cheap, equal activations compute the same.
//
// Element-wise functions work on any run of elements; the others (softmax,
// log_softmax, sparsemax, glu) need the whole tensor, for they run along an
// axis. NaN gives NaN everywhere, in derivatives too, except that linear has the
// derivative 1 for any z. Infinities in derivatives are limits, where there are such.
class Activation {
 public:
  // "linear".
  Activation();

  // Accepts the functions' names and the layers "LeakyReLU", "ReLU", "ELU",
  // "Softmax" and "Activation" with their own defaults (Keras' LeakyReLU layer
  // has slope 0.3, the function leaky_relu 0.2); the layers' "name",
  // "trainable" and "dtype" are dropped. INVALID_ARGUMENT, with the path of the
  // argument, for unknown names and arguments.
  //
  // hard_sigmoid has an argument that Keras lacks: "slope", 1/6 by default, 0.2
  // for the function of Keras 2.
  static StatusOr<Activation> Make(const ObjectSpec& spec);

  // Whether `name` is one of the layers that Make() accepts. Keras refuses
  // their names without a configuration.
  static bool IsLayerName(std::string_view name);

  // The function with every argument present; aliases resolved: "swish" says
  // "silu".
  const ObjectSpec& spec() const;
  bool is_linear() const;
  bool is_elementwise() const;

  // Whether the bare name of the function says everything.
  bool HasDefaultArguments() const;
  // The Keras layer that takes the arguments of this function ("ReLU" for relu,
  // ...), with every argument present; nothing when Keras has none.
  std::optional<ObjectSpec> AsKerasLayer() const;

  // The axis, counted from the front, that it runs along in tensors of `rank`
  // axes. INVALID_ARGUMENT (about `arguments.axis`) when there is no such.
  // REQUIRES: !is_elementwise().
  StatusOr<int> AxisOf(int rank) const;

  // The shape of f(z) for z of shape `z`: the same, except that glu halves its
  // axis. INVALID_ARGUMENT when the axis does not exist (about `arguments.axis`)
  // or cannot be halved (about `name`).
  StatusOr<Shape> OutputShape(const Shape& z) const;

  // values = f(values). T is float or double. REQUIRES: is_elementwise().
  template <typename T>
  void ApplyElementwise(std::span<T> values) const;

  // gradient *= f'(z), element by element. T is float or double.
  // REQUIRES: is_elementwise(); equal sizes.
  template <typename T>
  void DifferentiateElementwise(std::span<const T> z, std::span<T> gradient) const;

  // y = f(z) along the axis. Both float32 or both float64. For all but glu, y
  // may be z. REQUIRES: !is_elementwise(), y.shape == *OutputShape(z.shape).
  void ApplyAlongAxis(ConstTensorView z, TensorView y) const;

  // dL/dz from dL/dy, along the axis; diff_z may be z and, for all but glu, diff_y.
  // All float32 or all float64.
  // REQUIRES: !is_elementwise(); z and diff_z have one shape, diff_y that of f(z).
  void DifferentiateAlongAxis(ConstTensorView z, ConstTensorView diff_y, TensorView diff_z) const;

  friend bool operator==(const Activation& a, const Activation& b) {
    return a.state_ == b.state_ || a.spec() == b.spec();
  }

 private:
  struct State;

  explicit Activation(std::shared_ptr<const State> state);
  static StatusOr<std::shared_ptr<const State>> MakeFunction(const ObjectSpec& spec);

  std::shared_ptr<const State> state_;
};

}  // namespace tconv::server
