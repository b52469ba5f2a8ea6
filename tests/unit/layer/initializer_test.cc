#include "server/layer/initializer.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>
#include <string>
#include <vector>

#include "tests/support/status_matchers.h"
#include "tests/unit/layer/tensor_views.h"

namespace tconv::server {
namespace {

using ::tconv::testing::IsOk;
using ::tconv::testing::StatusIs;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Arguments = std::map<std::string, ArgumentValue>;

std::vector<double> Fill(const ObjectSpec& spec, const Shape& shape) {
  std::vector<double> values(static_cast<size_t>(shape.num_elements()));
  const StatusOr<Initializer> initializer = Initializer::Make(spec);
  EXPECT_THAT(initializer, IsOk());
  initializer->Fill(AsTensor(shape, values));
  return values;
}

TEST(InitializerTest, FillsConstants) {
  EXPECT_THAT(Fill({"zeros", {}}, {3}), Each(0));
  EXPECT_THAT(Fill({"ones", {}}, {3}), Each(1));
  EXPECT_THAT(Fill({"constant", {{"value", -0.25}}}, {2, 2}), Each(-0.25));
  EXPECT_THAT(Fill({"identity", {{"gain", 2.0}}}, {2, 3}), ElementsAre(2, 0, 0, 0, 2, 0));
}

TEST(InitializerTest, DrawsFromTheDistributionsOfKeras) {
  // Receptive field 25, so that the fans are 25 * 40 and 25 * 20: the second
  // last axis counts as input.
  const Shape shape = {5, 5, 40, 20};
  struct Case {
    const char* name;
    Arguments arguments;
    double mean;
    double stddev;
    std::optional<double> bound;  // of |value - mean|
  } const kCases[] = {
      {"RandomNormal", {{"mean", 1.0}, {"stddev", 0.5}}, 1, 0.5, {}},
      {"TruncatedNormal", {{"mean", 1.0}, {"stddev", 0.5}}, 1, 0.4398128, 1},
      {"RandomUniform", {{"minval", -1.0}, {"maxval", 3.0}}, 1, 1.1547005, 2},
      {"GlorotUniform", {}, 0, 0.0365148, 0.0632456},
      {"GlorotNormal", {}, 0, 0.0365148, 0.0830236},
      {"HeUniform", {}, 0, 0.0447214, 0.0774597},
      {"HeNormal", {}, 0, 0.0447214, 0.1016828},
      {"LecunUniform", {}, 0, 0.0316228, 0.0547723},
      {"LecunNormal", {}, 0, 0.0316228, 0.0719006},
      {"VarianceScaling", {{"scale", 2.0}, {"mode", std::string("fan_out")}}, 0, 0.0632456, 0.1438},
      {"VarianceScaling", {{"distribution", std::string("Untruncated_Normal")}}, 0, 0.0316228, {}},
      {"VarianceScaling",
       {{"input_axes", -1.0}, {"output_axes", std::vector<double>{0, 2}}},
       0,
       0.2236068,
       0.5084152},
  };
  for (Case c : kCases) {
    c.arguments["seed"] = 7.0;
    const std::vector<double> values = Fill({c.name, c.arguments}, shape);
    const double n = static_cast<double>(values.size());
    const double mean = std::accumulate(values.begin(), values.end(), 0.0) / n;
    double squares = 0;
    double largest = 0;
    for (const double value : values) {
      squares += (value - mean) * (value - mean);
      largest = std::max(largest, std::abs(value - c.mean));
    }
    // Five standard errors of 20 000 draws.
    EXPECT_NEAR(mean, c.mean, 5 * c.stddev / std::sqrt(n)) << c.name;
    EXPECT_NEAR(std::sqrt(squares / n), c.stddev, 0.025 * c.stddev) << c.name;
    if (c.bound.has_value()) {
      EXPECT_LE(largest, *c.bound * 1.00001) << c.name;
      EXPECT_GT(largest, *c.bound * 0.99) << c.name;
    } else {
      EXPECT_GT(largest, 3 * c.stddev) << c.name;
    }
  }
}

TEST(InitializerTest, TakesTheLengthOfAVectorForBothFans) {
  const std::vector<double> bias = Fill({"glorot_uniform", {{"seed", 1.0}}}, {3000});
  EXPECT_NEAR(*std::max_element(bias.begin(), bias.end()), std::sqrt(3.0 / 3000), 1e-4);
}

TEST(InitializerTest, MakesRowsOrColumnsOrthonormal) {
  for (const Shape& shape : {Shape{3, 3, 4, 5}, Shape{1, 2, 7}, Shape{4, 4}}) {
    const int64_t columns = shape[shape.rank() - 1];
    const int64_t rows = shape.num_elements() / columns;
    const std::vector<double> q = Fill({"Orthogonal", {{"gain", 1.5}, {"seed", 3.0}}}, shape);
    const int64_t count = std::min(rows, columns);
    const int64_t length = std::max(rows, columns);
    const auto element = [&](int64_t vector, int64_t i) {
      const int64_t index = rows >= columns ? i * columns + vector : vector * columns + i;
      return q[static_cast<size_t>(index)];
    };
    for (int64_t a = 0; a < count; ++a) {
      for (int64_t b = 0; b < count; ++b) {
        double dot = 0;
        for (int64_t i = 0; i < length; ++i) dot += element(a, i) * element(b, i);
        EXPECT_NEAR(dot, a == b ? 2.25 : 0, 1e-12) << ToString(shape);
      }
    }
  }
}

TEST(InitializerTest, RepeatsItselfWithASeedOnly) {
  const Shape shape = {8, 8};
  for (const char* name : {"glorot_uniform", "he_normal", "orthogonal", "random_normal"}) {
    const ObjectSpec seeded{name, {{"seed", 42.0}}};
    EXPECT_EQ(Fill(seeded, shape), Fill(seeded, shape)) << name;
    EXPECT_NE(Fill(seeded, shape), Fill({name, {{"seed", 43.0}}}, shape)) << name;
    EXPECT_NE(Fill({name, {}}, shape), Fill({name, {}}, shape)) << name;
  }
}

// Values on disk and in users' scripts depend on them.
TEST(InitializerTest, KeepsTheValuesOfASeedForever) {
  EXPECT_THAT(
      Fill({"random_uniform", {{"seed", 42.0}, {"minval", 0.0}, {"maxval", 1.0}}}, {2}),
      ElementsAre(::testing::DoubleEq(0.755155532954539), ::testing::DoubleEq(0.6390313938546974)));
}

TEST(InitializerTest, RoundsToTheTypeOfTheWeight) {
  const Initializer initializer = *Initializer::Make({"he_normal", {{"seed", 5.0}}});
  Tensor wide = *Tensor::Allocate(DType::kFloat64, {3, 4, 5});
  initializer.Fill(wide.mutable_view());
  for (const DType dtype : {DType::kFloat32, DType::kFloat16, DType::kBFloat16}) {
    Tensor weight = *Tensor::Allocate(dtype, {3, 4, 5});
    initializer.Fill(weight.mutable_view());
    const Tensor expected = *Tensor::Converted(wide.view(), dtype);
    EXPECT_TRUE(std::equal(weight.view().data, weight.view().data + weight.size_bytes(),
                           expected.view().data))
        << NameOf(dtype);
  }
}

TEST(InitializerTest, ResolvesTheSpellingsOfKeras2And3) {
  struct Case {
    const char* given;
    const char* name;
  } const kCases[] = {
      {"zero", "Zeros"},
      {"ones", "Ones"},
      {"normal", "RandomNormal"},
      {"uniform", "RandomUniform"},
      {"truncated_normal", "TruncatedNormal"},
      {"GlorotUniformV2", "GlorotUniform"},
      {"lecun_normal", "LecunNormal"},
      {"OrthogonalInitializer", "Orthogonal"},
      {"identity", "Identity"},
  };
  for (const Case& c : kCases) EXPECT_EQ(Initializer::Make({c.given, {}})->spec().name, c.name);
  EXPECT_EQ(Initializer().spec().name, "GlorotUniform");
  EXPECT_EQ(Initializer::Zeros().spec(), (ObjectSpec{"Zeros", {}}));
}

TEST(InitializerTest, PrintsCanonicalArguments) {
  const Initializer initializer =
      *Initializer::Make({"variance_scaling", {{"distribution", std::string("Normal")}}});
  EXPECT_EQ(initializer.spec(), (ObjectSpec{"VarianceScaling",
                                            {{"scale", 1.0},
                                             {"mode", std::string("fan_in")},
                                             {"distribution", std::string("truncated_normal")},
                                             {"seed", std::monostate()},
                                             {"input_axes", std::monostate()},
                                             {"output_axes", std::monostate()}}}));
}

TEST(InitializerTest, RefusesShapesThatItCannotFill) {
  const auto accepts = [](const ObjectSpec& spec, const Shape& shape) {
    return Initializer::Make(spec)->Accepts(shape);
  };
  EXPECT_THAT(accepts({"orthogonal", {}}, {3, 4}), IsOk());
  EXPECT_THAT(accepts({"orthogonal", {}}, {3}),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("at least two axes, got [3]")));
  EXPECT_THAT(accepts({"identity", {}}, {3, 3, 2, 2}), StatusIs(StatusCode::kInvalidArgument));
  EXPECT_THAT(accepts({"he_normal", {{"input_axes", 0.0}, {"output_axes", 5.0}}}, {3, 4}),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("arguments.output_axes")));
}

TEST(InitializerTest, RefusesWhatKerasRefuses) {
  struct Case {
    ObjectSpec spec;
    const char* message;
  } const kCases[] = {
      {{"xavier", {}}, "name: expected an initializer (Zeros, "},
      {{"stft", {}}, "name: expected an initializer (Zeros, "},
      {{"Glorot_Uniform", {}}, "name: expected an initializer ("},
      {{"constant", {}}, "arguments.value: expected a number, got nothing"},
      {{"he_normal", {{"seed", 1.5}}}, "arguments.seed: expected an integer or null, got 1.5"},
      {{"RandomNormal", {{"stddev", -1.0}}}, "arguments.stddev: expected a number >= 0"},
      {{"RandomUniform", {{"minval", 1.0}}}, "arguments.maxval: expected at least minval (1)"},
      {{"VarianceScaling", {{"scale", 0.0}}}, "arguments.scale: expected a number > 0, got 0"},
      {{"VarianceScaling", {{"mode", std::string("FAN_IN")}}},
       "arguments.mode: expected \"fan_in\""},
      {{"VarianceScaling", {{"input_axes", 0.0}}}, "arguments.output_axes: expected input_axes"},
  };
  for (const Case& c : kCases) {
    EXPECT_THAT(Initializer::Make(c.spec),
                StatusIs(StatusCode::kInvalidArgument, HasSubstr(c.message)));
  }
}

}  // namespace
}  // namespace tconv::server
