// The loops of the optimizers, for float and double: one pass over the memory of a
// weight, its gradient and its slots. Rules are those of Keras, term by term.
#pragma once

#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <span>

#include "server/layer/activation_functions.h"

namespace tconv::server::optimizer {

// What comes before the rule of every optimizer: the gradient is clipped, the weight
// decays. By default neither.
template <typename T>
struct Preparation {
  T factor = 1;  // of the gradient, and its divisor
  T divisor = 1;
  T bound = std::numeric_limits<T>::infinity();  // of its absolute value
  bool decays = false;
  T weight_decay = 0;
  T learning_rate = 0;

  T Gradient(T gradient) const {
    return activation::Clip(gradient * factor / divisor, -bound, bound);
  }
  T Weight(T weight) const {
    return decays ? weight - weight * weight_decay * learning_rate : weight;
  }
};

// A weight in a step. Slots that the rule does not use are empty.
template <typename T>
struct Variable {
  std::span<T> weight;
  std::span<const T> gradient;
  std::span<T> momentum;
  std::span<T> velocity;
  std::span<T> velocity_hat;
  std::span<T> average_gradient;
};

// The sum of squares in float64, in an order that vectors can take.
template <typename T>
double SumOfSquares(std::span<const T> values) {
  std::array<double, 8> sums{};
  const size_t whole = values.size() - values.size() % sums.size();
  for (size_t begin = 0; begin < whole; begin += sums.size()) {
    for (size_t i = 0; i < sums.size(); ++i) {
      const auto value = static_cast<double>(values[begin + i]);
      sums[i] += value * value;
    }
  }
  double sum = 0;
  for (const T value : values.subspan(whole)) {
    sum += static_cast<double>(value) * static_cast<double>(value);
  }
  for (const double part : sums) sum += part;
  return sum;
}

// Calls rule(weight, gradient, slot...) for every element, with what Preparation makes
// of weight and gradient; all but the gradient may be changed.
template <typename T, typename Rule, typename... Slots>
void ForEachElement(const Variable<T>& variable, const Preparation<T>& preparation, Rule rule,
                    Slots* __restrict... slots) {
  T* __restrict const weights = variable.weight.data();
  const T* __restrict const gradients = variable.gradient.data();
  const Preparation<T> prepared = preparation;
  const size_t size = variable.weight.size();
  for (size_t i = 0; i < size; ++i) {
    T weight = prepared.Weight(weights[i]);
    rule(weight, prepared.Gradient(gradients[i]), slots[i]...);
    weights[i] = weight;
  }
}

template <typename T>
void Sgd(const Variable<T>& variable, const Preparation<T>& preparation, T momentum,
         bool nesterov) {
  const T learning_rate = preparation.learning_rate;
  if (momentum == 0) {
    ForEachElement(variable, preparation, [=](T& w, T g) { w -= learning_rate * g; });
    return;
  }
  const auto rule = [=](T& w, T g, T& m) {
    const T step = learning_rate * g;
    m = momentum * m - step;
    w += nesterov ? momentum * m - step : m;
  };
  ForEachElement(variable, preparation, rule, variable.momentum.data());
}

template <typename T>
struct AdamNumbers {
  T one_minus_beta_1;
  T one_minus_beta_2;
  T alpha;  // the learning rate with the corrections of the bias
  T epsilon;
};

// The greater one; NaN when one of them is.
template <typename T>
T Greater(T a, T b) {
  return a < b ? b : (b == b ? a : b);
}

template <typename T>
void Adam(const Variable<T>& variable, const Preparation<T>& preparation,
          const AdamNumbers<T>& numbers, bool amsgrad) {
  const auto learn = [numbers](T g, T& m, T& v) {
    m += numbers.one_minus_beta_1 * (g - m);
    v += numbers.one_minus_beta_2 * (g * g - v);
  };
  const auto change = [numbers](T m, T v) {
    return numbers.alpha * m / (std::sqrt(v) + numbers.epsilon);
  };
  if (amsgrad) {
    const auto rule = [=](T& w, T g, T& m, T& v, T& v_hat) {
      learn(g, m, v);
      v_hat = Greater(v_hat, v);
      w -= change(m, v_hat);
    };
    ForEachElement(variable, preparation, rule, variable.momentum.data(), variable.velocity.data(),
                   variable.velocity_hat.data());
    return;
  }
  const auto rule = [=](T& w, T g, T& m, T& v) {
    learn(g, m, v);
    w -= change(m, v);
  };
  ForEachElement(variable, preparation, rule, variable.momentum.data(), variable.velocity.data());
}

template <typename T>
struct RmspropNumbers {
  T rho;
  T one_minus_rho;
  T momentum;
  T epsilon;
};

template <typename T>
void Rmsprop(const Variable<T>& variable, const Preparation<T>& preparation,
             const RmspropNumbers<T>& numbers, bool centered) {
  const T learning_rate = preparation.learning_rate;
  // Each returns the step that the momentum, if there is one, smooths.
  const auto plain = [=](T g, T& v) {
    v = numbers.rho * v + numbers.one_minus_rho * (g * g);
    return learning_rate * g / std::sqrt(v + numbers.epsilon);
  };
  const auto around_average = [=](T g, T& v, T& average) {
    v = numbers.rho * v + numbers.one_minus_rho * (g * g);
    average = numbers.rho * average + numbers.one_minus_rho * g;
    return learning_rate * g / std::sqrt(v - average * average + numbers.epsilon);
  };
  const auto smooth = [=](T step, T& m) { return m = numbers.momentum * m + step; };

  T* const v = variable.velocity.data();
  T* const average = variable.average_gradient.data();
  T* const m = variable.momentum.data();
  const auto run = [&](auto rule, auto*... slots) {
    ForEachElement(variable, preparation, rule, slots...);
  };
  if (numbers.momentum > 0 && centered) {
    run([=](T& w, T g, T& v_i, T& a_i, T& m_i) { w -= smooth(around_average(g, v_i, a_i), m_i); },
        v, average, m);
  } else if (numbers.momentum > 0) {
    run([=](T& w, T g, T& v_i, T& m_i) { w -= smooth(plain(g, v_i), m_i); }, v, m);
  } else if (centered) {
    run([=](T& w, T g, T& v_i, T& a_i) { w -= around_average(g, v_i, a_i); }, v, average);
  } else {
    run([=](T& w, T g, T& v_i) { w -= plain(g, v_i); }, v);
  }
}

}  // namespace tconv::server::optimizer
