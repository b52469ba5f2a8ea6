#include "server/layer/initializer.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <cctype>
#include <cmath>
#include <functional>
#include <optional>
#include <random>
#include <string>
#include <string_view>

#include <Eigen/QR>

#include "server/layer/random.h"
#include "server/layer/signature.h"

namespace tconv::server {
namespace {

// Of a normal distribution cut off at two standard deviations.
constexpr double kTruncatedStddev = 0.87962566103423978;

// The values that VarianceScaling and its children draw.
struct Scaling {
  double scale = 1;
  std::string mode;          // fan_in, fan_out, fan_avg
  std::string distribution;  // uniform, truncated_normal, untruncated_normal
};

// `value` in lower case.
std::string Lower(std::string value) {
  std::transform(value.begin(), value.end(), value.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return value;
}

bool IsOneOf(const ArgumentValue& value, std::initializer_list<std::string_view> texts) {
  const auto* text = std::get_if<std::string>(&value);
  return text != nullptr && std::find(texts.begin(), texts.end(), *text) != texts.end();
}

const ArgumentCheck kMode = {"\"fan_in\", \"fan_out\" or \"fan_avg\"",
                             [](const ArgumentValue& value) {
                               return IsOneOf(value, {"fan_in", "fan_out", "fan_avg"});
                             }};

const ArgumentCheck kDistribution = {
    "\"uniform\", \"truncated_normal\" or \"untruncated_normal\"", [](const ArgumentValue& value) {
      const auto* text = std::get_if<std::string>(&value);
      return text != nullptr &&
             IsOneOf(Lower(*text), {"uniform", "normal", "truncated_normal", "untruncated_normal"});
    }};

Parameter Seed() { return {"seed", kNull, kIntegerOrNull}; }
Parameter InputAxes() { return {"input_axes", kNull, kAxes}; }
Parameter OutputAxes() { return {"output_axes", kNull, kAxes}; }
Parameter Gain() { return {"gain", 1.0, kNumber}; }
Parameter Mean() { return {"mean", 0.0, kNumber}; }
Parameter Stddev() { return {"stddev", 0.05, kNonNegative}; }

Random MakeRandom(const ObjectSpec& spec) {
  if (const double* seed = std::get_if<double>(&spec.arguments.at("seed"))) {
    return Random(static_cast<uint64_t>(static_cast<int64_t>(*seed)));
  }
  std::random_device device;
  return Random(uint64_t{device()} << 32 | device());
}

// Fills `weight` with the values of next(), in row-major order.
template <typename Next>
void FillWith(TensorView weight, Next next) {
  std::array<double, 1024> chunk;
  const int64_t count = weight.shape.num_elements();
  const int64_t element_bytes = static_cast<int64_t>(SizeOf(weight.dtype));
  for (int64_t begin = 0; begin < count; begin += std::ssize(chunk)) {
    const int64_t size = std::min<int64_t>(std::ssize(chunk), count - begin);
    std::generate_n(chunk.begin(), size, std::ref(next));
    Convert({DType::kFloat64, {size}, reinterpret_cast<const std::byte*>(chunk.data())},
            {weight.dtype, {size}, weight.data + begin * element_bytes});
  }
}

void FillConstant(double value, TensorView weight) {
  FillWith(weight, [value] { return value; });
}

// mean + stddev * draw().
void FillNormal(const ObjectSpec& spec, double (Random::*draw)(), TensorView weight) {
  Random random = MakeRandom(spec);
  const double mean = NumberArgument(spec, "mean");
  const double stddev = NumberArgument(spec, "stddev");
  FillWith(weight, [&] { return mean + stddev * (random.*draw)(); });
}

struct Fans {
  double in = 1;
  double out = 1;
};

// Products of the named axes. Keras takes the second last axis of a kernel for
// its input and the last for its output whatever the layer; the kernels here are
// [spatial..., filters, channels], so that fan_in counts filters.
StatusOr<Fans> FansOf(const ObjectSpec& spec, const Shape& shape) {
  const auto extent = [&](int axis) { return static_cast<double>(shape[axis]); };
  Fans fans;
  const int rank = shape.rank();
  const auto input_axes = AxesArgument(spec, "input_axes");
  const auto output_axes = AxesArgument(spec, "output_axes");
  if (input_axes.has_value() && output_axes.has_value()) {
    for (const int64_t axis : *input_axes) {
      TCONV_ASSIGN_OR_RETURN(const int i, NormalizeAxis("input_axes", axis, rank));
      fans.in *= extent(i);
    }
    for (const int64_t axis : *output_axes) {
      TCONV_ASSIGN_OR_RETURN(const int i, NormalizeAxis("output_axes", axis, rank));
      fans.out *= extent(i);
    }
    return fans;
  }
  if (rank == 0) return fans;
  if (rank == 1) return Fans{extent(0), extent(0)};
  double receptive_field = 1;
  for (int axis = 0; axis < rank - 2; ++axis) receptive_field *= extent(axis);
  return Fans{receptive_field * extent(rank - 2), receptive_field * extent(rank - 1)};
}

void FillScaled(const ObjectSpec& spec, const Scaling& scaling, TensorView weight) {
  const StatusOr<Fans> fans = FansOf(spec, weight.shape);
  assert(fans.ok());
  const double n = scaling.mode == "fan_in"    ? fans->in
                   : scaling.mode == "fan_out" ? fans->out
                                               : (fans->in + fans->out) / 2;
  const double variance = scaling.scale / std::max(1.0, n);
  Random random = MakeRandom(spec);
  if (scaling.distribution == "uniform") {
    const double limit = std::sqrt(3 * variance);
    FillWith(weight, [&] { return limit * (2 * random.Uniform() - 1); });
  } else if (scaling.distribution == "truncated_normal") {
    const double stddev = std::sqrt(variance) / kTruncatedStddev;
    FillWith(weight, [&] { return stddev * random.TruncatedNormal(); });
  } else {
    FillWith(weight, [&] { return std::sqrt(variance) * random.Normal(); });
  }
}

// A matrix of [all axes but the last, last axis] whose columns or rows,
// whichever are fewer, are orthonormal, times the gain. The signs of R's
// diagonal make the result uniform over all such matrices.
void FillOrthogonal(const ObjectSpec& spec, TensorView weight) {
  if (weight.shape.num_elements() == 0) return;
  const int64_t columns = weight.shape[weight.shape.rank() - 1];
  const int64_t rows = weight.shape.num_elements() / columns;
  Random random = MakeRandom(spec);
  const int64_t longer = std::max(rows, columns);
  const int64_t shorter = std::min(rows, columns);
  const Eigen::MatrixXd normal =
      Eigen::MatrixXd::NullaryExpr(longer, shorter, [&] { return random.Normal(); });
  const Eigen::HouseholderQR<Eigen::MatrixXd> qr(normal);
  Eigen::MatrixXd q = qr.householderQ() * Eigen::MatrixXd::Identity(longer, shorter);
  for (int64_t i = 0; i < shorter; ++i) {
    if (qr.matrixQR()(i, i) < 0) q.col(i) *= -1;
  }
  if (rows < columns) q.transposeInPlace();
  const double gain = NumberArgument(spec, "gain");
  FillWith(weight, [&, i = int64_t{0}]() mutable {
    const double value = gain * q(i / columns, i % columns);
    ++i;
    return value;
  });
}

void FillIdentity(const ObjectSpec& spec, TensorView weight) {
  const int64_t columns = weight.shape[1];
  FillWith(weight, [gain = NumberArgument(spec, "gain"), columns, i = int64_t{0}]() mutable {
    const double value = i / columns == i % columns ? gain : 0;
    ++i;
    return value;
  });
}

Status AcceptsAnything(const ObjectSpec&, const Shape&) { return OkStatus(); }

Status AcceptsFans(const ObjectSpec& spec, const Shape& shape) {
  return FansOf(spec, shape).status();
}

// The factorization works on a copy in float64 and takes time in proportion to
// the elements times the shorter side: minutes at this size.
constexpr int64_t kMaxOrthogonalElements = int64_t{1} << 26;

Status AcceptsOrthogonal(const ObjectSpec&, const Shape& shape) {
  if (shape.rank() < 2) {
    return InvalidField("name", "Orthogonal expected a weight with at least two axes, got {}",
                        ToString(shape));
  }
  if (shape.num_elements() > kMaxOrthogonalElements) {
    return InvalidField("name", "Orthogonal expected at most {} elements, got {}",
                        kMaxOrthogonalElements, ToString(shape));
  }
  return OkStatus();
}

Status AcceptsIdentity(const ObjectSpec&, const Shape& shape) {
  if (shape.rank() == 2) return OkStatus();
  return InvalidField("name", "Identity expected a matrix to fill, got {}", ToString(shape));
}

// Writes a resolved spec in its canonical spelling and checks what involves
// several arguments.
Status FinishScaling(ObjectSpec& spec) {
  const bool has_input_axes = AxesArgument(spec, "input_axes").has_value();
  if (has_input_axes != AxesArgument(spec, "output_axes").has_value()) {
    return InvalidField(has_input_axes ? "arguments.output_axes" : "arguments.input_axes",
                        "expected input_axes and output_axes together, got null");
  }
  const auto distribution = spec.arguments.find("distribution");
  if (distribution == spec.arguments.end()) return OkStatus();
  const std::string name = Lower(std::get<std::string>(distribution->second));
  distribution->second = name == "normal" ? "truncated_normal" : name;
  return OkStatus();
}

Status FinishUniform(ObjectSpec& spec) {
  const double low = NumberArgument(spec, "minval");
  const double high = NumberArgument(spec, "maxval");
  if (low <= high) return OkStatus();
  return InvalidField("arguments.maxval", "expected at least minval ({}), got {}", low, high);
}

}  // namespace

struct Initializer::Row {
  Signature signature;
  std::function<void(const ObjectSpec& spec, TensorView weight)> fill;
  Status (*accepts)(const ObjectSpec& spec, const Shape& shape) = &AcceptsAnything;
  Status (*finish)(ObjectSpec& spec) = nullptr;
};

const std::vector<Initializer::Row>& Initializer::Rows() {
  // VarianceScaling with fixed arguments.
  const auto child = [](std::string_view name, std::string_view alias, const Scaling& scaling) {
    return Row{
        {name, {alias}, {Seed(), InputAxes(), OutputAxes()}},
        [scaling](const ObjectSpec& spec, TensorView weight) { FillScaled(spec, scaling, weight); },
        &AcceptsFans,
        &FinishScaling};
  };
  static const auto& rows = *new std::vector<Row>{
      {{"Zeros", {"zeros", "zero"}, {}},
       [](const ObjectSpec&, TensorView weight) { FillConstant(0, weight); }},
      {{"Ones", {"ones", "one"}, {}},
       [](const ObjectSpec&, TensorView weight) { FillConstant(1, weight); }},
      {{"Constant", {"constant"}, {{"value", std::nullopt, kNumber}}},
       [](const ObjectSpec& spec, TensorView weight) {
         FillConstant(NumberArgument(spec, "value"), weight);
       }},
      {{"RandomNormal", {"random_normal", "normal"}, {Mean(), Stddev(), Seed()}},
       [](const ObjectSpec& spec, TensorView weight) {
         FillNormal(spec, &Random::Normal, weight);
       }},
      {{"TruncatedNormal", {"truncated_normal"}, {Mean(), Stddev(), Seed()}},
       [](const ObjectSpec& spec, TensorView weight) {
         FillNormal(spec, &Random::TruncatedNormal, weight);
       }},
      {{"RandomUniform",
        {"random_uniform", "uniform"},
        {{"minval", -0.05, kNumber}, {"maxval", 0.05, kNumber}, Seed()}},
       [](const ObjectSpec& spec, TensorView weight) {
         const double low = NumberArgument(spec, "minval");
         const double range = NumberArgument(spec, "maxval") - low;
         FillWith(weight, [=, random = MakeRandom(spec)]() mutable {
           return low + range * random.Uniform();
         });
       },
       &AcceptsAnything,
       &FinishUniform},
      {{"VarianceScaling",
        {"variance_scaling"},
        {{"scale", 1.0, kPositive},
         {"mode", "fan_in", kMode},
         {"distribution", "truncated_normal", kDistribution},
         Seed(),
         InputAxes(),
         OutputAxes()}},
       [](const ObjectSpec& spec, TensorView weight) {
         FillScaled(spec,
                    {NumberArgument(spec, "scale"), TextArgument(spec, "mode"),
                     TextArgument(spec, "distribution")},
                    weight);
       },
       &AcceptsFans,
       &FinishScaling},
      child("GlorotUniform", "glorot_uniform", {1, "fan_avg", "uniform"}),
      child("GlorotNormal", "glorot_normal", {1, "fan_avg", "truncated_normal"}),
      child("HeUniform", "he_uniform", {2, "fan_in", "uniform"}),
      child("HeNormal", "he_normal", {2, "fan_in", "truncated_normal"}),
      child("LecunUniform", "lecun_uniform", {1, "fan_in", "uniform"}),
      child("LecunNormal", "lecun_normal", {1, "fan_in", "truncated_normal"}),
      {{"Orthogonal", {"orthogonal", "OrthogonalInitializer"}, {Gain(), Seed()}},
       &FillOrthogonal,
       &AcceptsOrthogonal},
      {{"Identity", {"identity", "IdentityInitializer"}, {Gain()}},
       &FillIdentity,
       &AcceptsIdentity},
  };
  return rows;
}

Initializer::Initializer() : Initializer(*Make({"GlorotUniform", {}})) {}

Initializer Initializer::Zeros() { return *Make({"Zeros", {}}); }

StatusOr<Initializer> Initializer::Make(const ObjectSpec& spec) {
  std::string_view name = spec.name;
  if (name.ends_with("V2")) name.remove_suffix(2);
  TCONV_ASSIGN_OR_RETURN(const Row* row, FindRow(Rows(), "an initializer", name));
  TCONV_ASSIGN_OR_RETURN(ObjectSpec resolved, Resolve(row->signature, spec));
  if (row->finish != nullptr) TCONV_RETURN_IF_ERROR(row->finish(resolved));
  return Initializer(row, std::move(resolved));
}

Status Initializer::Accepts(const Shape& shape) const { return row_->accepts(spec_, shape); }

void Initializer::Fill(TensorView weight) const { row_->fill(spec_, weight); }

}  // namespace tconv::server
