#include "server/layer/data_loss.h"

#include <cassert>
#include <cmath>
#include <span>
#include <tuple>

#include "server/layer/activation_functions.h"
#include "server/layer/signature.h"

namespace tconv::server {
namespace {

const ArgumentCheck kTrue = {
    "true: probabilities are not supported",
    [](const ArgumentValue& value) { return value == ArgumentValue(true); }};

// The loss of one element, and its derivative.
template <typename T>
struct Term {
  T loss;
  T derivative;
};

template <typename T>
Term<T> SquaredError(T output, T target) {
  const T error = output - target;
  return {error * error, 2 * error};
}

template <typename T>
Term<T> AbsoluteError(T output, T target) {
  const T error = output - target;
  const T sign = error > 0 ? T{1} : (error < 0 ? T{-1} : activation::Flat(error, 0));
  return {std::abs(error), sign};
}

// Of the logit of a probability.
template <typename T>
Term<T> Crossentropy(T logit, T target) {
  const T positive = logit < 0 ? T{0} : logit;
  return {positive - logit * target + std::log1p(std::exp(-std::abs(logit))),
          activation::Sigmoid(logit) - target};
}

// The mean of term(output, target), with its derivative in `gradient`.
template <typename T, typename TermOf>
double Mean(std::span<const T> output, std::span<const T> target, std::span<T> gradient,
            TermOf term_of) {
  const T weight = 1 / static_cast<T>(output.size());
  double sum = 0;
  for (size_t i = 0; i < output.size(); ++i) {
    const Term<T> term = term_of(output[i], target[i]);
    sum += static_cast<double>(term.loss);
    gradient[i] = term.derivative * weight;
  }
  return sum / static_cast<double>(output.size());
}

}  // namespace

struct DataLoss::Row {
  template <typename T>
  using Evaluate = double (*)(const ObjectSpec& spec, std::span<const T> output,
                              std::span<const T> target, std::span<T> gradient);

  Signature signature;
  std::tuple<Evaluate<float>, Evaluate<double>> evaluate;
};

const std::vector<DataLoss::Row>& DataLoss::Rows() {
  // `evaluate` works on float and on double.
  const auto row = [](Signature signature, auto evaluate) {
    return Row{std::move(signature), {evaluate, evaluate}};
  };
  static const auto& rows = *new std::vector<Row>{
      row({"MeanSquaredError", {"mean_squared_error"}, {}},
          [](const ObjectSpec&, auto output, auto target, auto gradient) {
            return Mean(output, target, gradient,
                        [](auto y, auto t) { return SquaredError(y, t); });
          }),
      row({"MeanAbsoluteError", {"mean_absolute_error"}, {}},
          [](const ObjectSpec&, auto output, auto target, auto gradient) {
            return Mean(output, target, gradient,
                        [](auto y, auto t) { return AbsoluteError(y, t); });
          }),
      row({"BinaryCrossentropy",
           {"binary_crossentropy"},
           {{"from_logits", std::nullopt, kTrue}, {"label_smoothing", 0.0, kFraction}}},
          [](const ObjectSpec& spec, auto output, auto target, auto gradient) {
            using T = typename decltype(gradient)::value_type;
            const T smoothing = static_cast<T>(NumberArgument(spec, "label_smoothing"));
            return Mean(output, target, gradient, [smoothing](T logit, T label) {
              return Crossentropy(logit, label * (1 - smoothing) + smoothing / 2);
            });
          }),
  };
  return rows;
}

StatusOr<DataLoss> DataLoss::Make(const ObjectSpec& spec) {
  TCONV_ASSIGN_OR_RETURN(const Row* row, FindRow(Rows(), "a loss", spec.name));
  TCONV_ASSIGN_OR_RETURN(ObjectSpec resolved, Resolve(row->signature, spec));
  return DataLoss(row, std::move(resolved));
}

double DataLoss::Evaluate(ConstTensorView output, ConstTensorView target,
                          TensorView gradient) const {
  assert(output.shape == target.shape && output.shape == gradient.shape);
  assert(output.shape.num_elements() > 0);
  const auto evaluate = [&]<typename T>(Row::Evaluate<T> function) {
    return function(spec_, output.values<T>(), target.values<T>(), gradient.values<T>());
  };
  return output.dtype == DType::kFloat32 ? evaluate(std::get<0>(row_->evaluate))
                                         : evaluate(std::get<1>(row_->evaluate));
}

}  // namespace tconv::server
