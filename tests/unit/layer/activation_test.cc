#include "server/layer/activation.h"

#include <gmock/gmock.h>

#include <cmath>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include "tests/support/activations.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/layer/tensor_views.h"

namespace tconv::server {
namespace {

using ::tconv::testing::IsOkAndHolds;
using ::tconv::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

using Arguments = std::map<std::string, ArgumentValue>;

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

template <typename T>
T Apply(const ObjectSpec& spec, T z) {
  MakeActivation(spec).ApplyElementwise(std::span<T>(&z, 1));
  return z;
}

TEST(ActivationTest, ComputesTheFormulasOfKeras) {
  const std::vector<double> inputs = {-4, -0.75, 0.25, 2, 8};
  struct Case {
    const char* name;
    Arguments arguments;
    std::vector<double> expected;
  } const kCases[] = {
      {"linear", {}, {-4, -0.75, 0.25, 2, 8}},
      {"relu", {}, {0, 0, 0.25, 2, 8}},
      {"relu",
       {{"negative_slope", 0.1}, {"max_value", 1.5}, {"threshold", 0.3}},
       {-0.43, -0.105, -0.005, 1.5, 1.5}},
      {"relu", {{"negative_slope", 0.1}, {"threshold", -1.0}}, {-0.3, -0.75, 0.25, 2, 8}},
      {"leaky_relu", {}, {-0.8, -0.15, 0.25, 2, 8}},
      {"relu6", {}, {0, 0, 0.25, 2, 6}},
      {"elu", {}, {-0.981684361111266, -0.527633447258985, 0.25, 2, 8}},
      {"elu", {{"alpha", 0.5}}, {-0.490842180555633, -0.263816723629493, 0.25, 2, 8}},
      {"selu",
       {},
       {-1.72589862818989, -0.927632015835051, 0.26267524683887, 2.10140197471096,
        8.40560789884384}},
      {"celu", {{"alpha", 2.0}}, {-1.72932943352677, -0.625421442418056, 0.25, 2, 8}},
      {"gelu",
       {},
       {-0.00012668496733248, -0.169970514282651, 0.149676581420731, 1.95449973610364,
        7.99999999999999}},
      {"gelu",
       {{"approximate", true}},
       {-7.02459481922713e-05, -0.17003944483438, 0.149675350701685, 1.95459769408777, 8}},
      {"sigmoid",
       {},
       {0.0179862099620916, 0.320821300824607, 0.562176500885798, 0.880797077977882,
        0.999664649869534}},
      {"hard_sigmoid", {}, {0, 0.375, 0.541666666666667, 0.833333333333333, 1}},
      {"hard_sigmoid", {{"slope", 0.2}}, {0, 0.35, 0.55, 0.9, 1}},
      {"log_sigmoid",
       {},
       {-4.01814992791781, -1.1368710061149, -0.575939419878844, -0.126928011042973,
        -0.000335406372895662}},
      {"sparse_sigmoid", {}, {0, 0.125, 0.625, 1, 1}},
      {"silu",
       {},
       {-0.0719448398483662, -0.240615975618455, 0.14054412522145, 1.76159415595576,
        7.99731719895627}},
      {"hard_silu", {}, {0, -0.28125, 0.135416666666667, 1.66666666666667, 8}},
      {"tanh",
       {},
       {-0.999329299739067, -0.635148952387287, 0.244918662403709, 0.964027580075817,
        0.999999774929676}},
      {"hard_tanh", {}, {-1, -0.75, 0.25, 1, 1}},
      {"tanh_shrink",
       {},
       {-3.00067070026093, -0.114851047612713, 0.00508133759629087, 1.03597241992418,
        7.00000022507032}},
      {"soft_shrink", {}, {-3.5, -0.25, 0, 1.5, 7.5}},
      {"hard_shrink", {}, {-4, -0.75, 0, 2, 8}},
      {"threshold", {{"threshold", 0.5}, {"default_value", 7.0}}, {7, 7, 7, 2, 8}},
      {"softplus",
       {},
       {0.0181499279178098, 0.3868710061149, 0.825939419878844, 2.12692801104297, 8.0003354063729}},
      {"softsign", {}, {-0.8, -0.428571428571429, 0.2, 0.666666666666667, 0.888888888888889}},
      {"squareplus",
       {},
       {0.23606797749979, 0.693000468164691, 1.13278221853732, 2.41421356237309, 8.12310562561766}},
      {"squareplus",
       {{"b", 1.0}},
       {0.0615528128088303, 0.25, 0.640388203202208, 2.11803398874989, 8.03112887414927}},
      {"sparse_plus", {}, {0, 0.015625, 0.390625, 2, 8}},
      {"mish",
       {},
       {-0.0725917407920255, -0.276494714505465, 0.169572409663818, 1.94395895953399,
        7.99999820064484}},
      {"exponential",
       {},
       {0.0183156388887342, 0.472366552741015, 1.28402541668774, 7.38905609893065,
        2980.95798704173}},
  };
  for (const Case& c : kCases) {
    ASSERT_EQ(c.expected.size(), inputs.size());
    for (size_t i = 0; i < inputs.size(); ++i) {
      const ObjectSpec spec{c.name, c.arguments};
      const double want = c.expected[i];
      EXPECT_NEAR(Apply(spec, inputs[i]), want, 1e-14 + 1e-13 * std::abs(want))
          << c.name << "(" << inputs[i] << ")";
      EXPECT_NEAR(Apply(spec, static_cast<float>(inputs[i])), want, 3e-7 + 3e-7 * std::abs(want))
          << c.name << "(" << inputs[i] << "f)";
    }
  }
}

TEST(ActivationTest, KeepsToKerasAtInfinity) {
  struct Case {
    const char* name;
    double at_infinity;
    double at_minus_infinity;
  } const kCases[] = {
      {"linear", kInf, -kInf},
      {"relu", kInf, 0},
      {"leaky_relu", kInf, -kInf},
      {"relu6", 6, 0},
      {"elu", kInf, -1},
      {"selu", kInf, -1.7580993408473766},
      {"celu", kInf, -1},
      {"gelu", kInf, kNaN},
      {"sigmoid", 1, 0},
      {"hard_sigmoid", 1, 0},
      {"silu", kInf, kNaN},
      {"hard_silu", kInf, kNaN},
      {"log_sigmoid", 0, -kInf},
      {"tanh", 1, -1},
      {"softplus", kInf, 0},
      {"softsign", kNaN, kNaN},
      {"mish", kInf, kNaN},
      {"exponential", kInf, 0},
      {"hard_shrink", kInf, -kInf},
      {"sparse_plus", kInf, 0},
      {"sparse_sigmoid", 1, 0},
      {"soft_shrink", kInf, -kInf},
      {"squareplus", kInf, kNaN},
      {"hard_tanh", 1, -1},
  };
  for (const Case& c : kCases) {
    const auto expect = [&](double z, double want) {
      const double got = Apply({c.name, {}}, z);
      EXPECT_TRUE(got == want || (std::isnan(got) && std::isnan(want)) ||
                  std::abs(got - want) < 1e-12)
          << c.name << "(" << z << ") is " << got << ", not " << want;
    };
    expect(kInf, c.at_infinity);
    expect(-kInf, c.at_minus_infinity);
  }
}

TEST(ActivationTest, DoesNotOverflowForLargeInputs) {
  EXPECT_EQ(Apply({"sigmoid", {}}, -1000.0f), 0.0f);
  EXPECT_EQ(Apply({"softplus", {}}, 1000.0f), 1000.0f);
  EXPECT_EQ(Apply({"log_sigmoid", {}}, -1000.0f), -1000.0f);
  EXPECT_EQ(Apply({"mish", {}}, 1000.0f), 1000.0f);
  EXPECT_NEAR(Apply({"softplus", {}}, -50.0), std::exp(-50.0), 1e-35);
}

// Every function that a message about an unknown name lists.
std::vector<std::string> AllNames() {
  const std::string message(Activation::Make({"?", {}}).status().message());
  std::vector<std::string> names(1);
  for (const char c : message.substr(message.find('(') + 1)) {
    if (c == ')') break;
    if (c == ' ') continue;
    if (c == ',') {
      names.emplace_back();
    } else {
      names.back() += c;
    }
  }
  return names;
}

TEST(ActivationTest, PropagatesNaNEverywhere) {
  const std::vector<std::string> names = AllNames();
  ASSERT_EQ(names.size(), 30u);
  for (const std::string& name : names) {
    const ObjectSpec spec{name, name == "threshold"
                                    ? Arguments{{"threshold", 1.0}, {"default_value", 2.0}}
                                    : Arguments{}};
    const Activation activation = MakeActivation(spec);
    if (activation.is_elementwise()) {
      EXPECT_TRUE(std::isnan(Apply(spec, static_cast<float>(kNaN)))) << name;
      EXPECT_TRUE(std::isnan(Apply(spec, kNaN))) << name;
      continue;
    }
    std::vector<double> z = {kNaN, 1};
    std::vector<double> y(static_cast<size_t>(activation.OutputShape({2})->num_elements()));
    activation.ApplyAlongAxis(AsTensor({2}, z), AsTensor({std::ssize(y)}, y));
    EXPECT_TRUE(std::isnan(y[0])) << name;
  }
}

std::vector<double> ApplyToRow(const ObjectSpec& spec, std::vector<double> z) {
  const Activation activation = MakeActivation(spec);
  const Shape shape = {std::ssize(z)};
  std::vector<double> y(static_cast<size_t>(activation.OutputShape(shape)->num_elements()));
  activation.ApplyAlongAxis(AsTensor(shape, z), AsTensor({std::ssize(y)}, y));
  return y;
}

TEST(ActivationTest, ComputesTheFunctionsAlongAnAxis) {
  struct Case {
    const char* name;
    std::vector<double> z;
    std::vector<double> expected;
  } const kCases[] = {
      {"softmax", {0.6, 0.5, -1}, {0.4746683873541913, 0.4294977180368592, 0.0958338946089495}},
      {"softmax", {1e4, -kInf, 1e4}, {0.5, 0, 0.5}},
      {"softmax", {-kInf, -kInf}, {kNaN, kNaN}},
      {"softmax", {kInf, 1}, {kNaN, kNaN}},
      {"log_softmax",
       {0.6, 0.5, -1},
       {-0.7451388506409538, -0.8451388506409537, -2.3451388506409536}},
      {"log_softmax", {1e4, 0}, {0, -1e4}},
      // The support has two elements, and Keras adds both of its partial sums.
      {"sparsemax", {0.6, 0.5, -1}, {0.25, 0.15, 0}},
      {"sparsemax", {3, 0.5, -1}, {1, 0, 0}},
      {"glu", {1, -2, 3, 0.5}, {0.9525741268224334, -1.2449186624037092}},
  };
  for (const Case& c : kCases) {
    const std::vector<double> y = ApplyToRow({c.name, {}}, c.z);
    ASSERT_EQ(y.size(), c.expected.size()) << c.name;
    for (size_t i = 0; i < y.size(); ++i) {
      EXPECT_TRUE(std::isnan(c.expected[i]) ? std::isnan(y[i])
                                            : std::abs(y[i] - c.expected[i]) < 1e-12)
          << c.name << "[" << i << "] is " << y[i];
    }
  }
}

TEST(ActivationTest, RunsAlongTheAxisThatIsNamed) {
  // [2, 4, 2], halved to [2, 2, 2]; the gates are 0, whose sigmoid is 1/2.
  std::vector<float> z = {1, 2, 3, 4, 0, 0, 0, 0, 5, 6, 7, 8, 0, 0, 0, 0};
  std::vector<float> y(8);
  const Activation glu = MakeActivation({"glu", {{"axis", 1.0}}});
  ASSERT_THAT(glu.OutputShape({2, 4, 2}), IsOkAndHolds(Shape({2, 2, 2})));
  glu.ApplyAlongAxis(AsTensor({2, 4, 2}, z), AsTensor({2, 2, 2}, y));
  EXPECT_THAT(y, ElementsAre(0.5, 1, 1.5, 2, 2.5, 3, 3.5, 4));

  // In place, along the outermost axis.
  std::vector<float> columns = {0, 5, 0, 5};
  const TensorView view = AsTensor({2, 2}, columns);
  MakeActivation({"softmax", {{"axis", -2.0}}}).ApplyAlongAxis(view, view);
  EXPECT_THAT(columns, ElementsAre(0.5, 0.5, 0.5, 0.5));
}

TEST(ActivationTest, TakesAnEmptyTensorAlongItsAxis) {
  std::vector<float> nothing;
  const TensorView view = AsTensor({2, 0, 3}, nothing);
  MakeActivation({"softmax", {}}).ApplyAlongAxis(view, view);
  EXPECT_THAT(MakeActivation({"softmax", {}}).OutputShape(view.shape), IsOkAndHolds(view.shape));
}

TEST(ActivationTest, RefusesOutputsThatItsAxisDoesNotFit) {
  EXPECT_THAT(MakeActivation({"glu", {}}).OutputShape({2, 3}),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("even extent to halve on axis 1")));
  EXPECT_THAT(MakeActivation({"softmax", {{"axis", 3.0}}}).OutputShape({2, 3}),
              StatusIs(StatusCode::kInvalidArgument,
                       "arguments.axis: expected an axis from -2 to 1, got 3"));
}

TEST(ActivationTest, ResolvesAliasesAndLayersToFunctions) {
  struct Case {
    ObjectSpec given;
    ObjectSpec resolved;
  } const kCases[] = {
      {{"swish", {}}, {"silu", {}}},
      {{"hard_swish", {}}, {"hard_silu", {}}},
      {{"softmax_v2", {}}, {"softmax", {{"axis", -1.0}}}},
      {{"leaky_relu", {}}, {"leaky_relu", {{"negative_slope", 0.2}}}},
      {{"LeakyReLU", {}}, {"leaky_relu", {{"negative_slope", 0.3}}}},
      {{"LeakyReLU", {{"alpha", 0.1}}}, {"leaky_relu", {{"negative_slope", 0.1}}}},
      {{"ELU", {{"alpha", 0.7}}}, {"elu", {{"alpha", 0.7}}}},
      {{"Softmax", {{"axis", 1.0}, {"name", std::string("s")}, {"trainable", true}}},
       {"softmax", {{"axis", 1.0}}}},
      {{"Activation", {{"activation", std::string("swish")}, {"dtype", std::string("float32")}}},
       {"silu", {}}},
      {{"ReLU", {{"max_value", 6.0}}},
       {"relu", {{"max_value", 6.0}, {"negative_slope", 0.0}, {"threshold", 0.0}}}},
  };
  for (const Case& c : kCases)
    EXPECT_EQ(MakeActivation(c.given).spec(), c.resolved) << c.given.name;
}

TEST(ActivationTest, TellsWhichFormKerasHasForIt) {
  struct Case {
    ObjectSpec given;
    bool has_default_arguments;
    const char* layer;  // null: none
  } const kCases[] = {
      {{"tanh", {}}, true, nullptr},
      {{"relu", {}}, true, "ReLU"},
      {{"relu", {{"max_value", 1.0}}}, false, "ReLU"},
      {{"relu", {{"threshold", -1.0}}}, false, nullptr},
      {{"LeakyReLU", {}}, false, "LeakyReLU"},
      {{"LeakyReLU", {{"negative_slope", 0.2}}}, true, "LeakyReLU"},
      {{"elu", {{"alpha", 0.5}}}, false, "ELU"},
      {{"softmax", {{"axis", 1.0}}}, false, "Softmax"},
      {{"gelu", {{"approximate", true}}}, false, nullptr},
      {{"threshold", {{"threshold", 1.0}, {"default_value", 0.0}}}, false, nullptr},
  };
  for (const Case& c : kCases) {
    const Activation activation = MakeActivation(c.given);
    EXPECT_EQ(activation.HasDefaultArguments(), c.has_default_arguments) << c.given.name;
    const std::optional<ObjectSpec> layer = activation.AsKerasLayer();
    ASSERT_EQ(layer.has_value(), c.layer != nullptr) << c.given.name;
    if (!layer.has_value()) continue;
    EXPECT_EQ(layer->name, c.layer);
    EXPECT_EQ(MakeActivation(*layer), activation);
  }
}

TEST(ActivationTest, RefusesWhatKerasRefuses) {
  struct Case {
    ObjectSpec given;
    const char* message;
  } const kCases[] = {
      {{"Relu", {}}, "name: expected an activation (linear, relu, "},
      {{"PReLU", {}}, "name: expected an activation without weights"},
      {{"tanh", {{"alpha", 1.0}}}, "arguments.alpha: tanh has no such argument; expected none"},
      {{"threshold", {}}, "arguments.threshold: expected a number, got nothing"},
      {{"threshold", {{"threshold", 1.0}}}, "arguments.default_value: expected a number"},
      {{"elu", {{"alpha", std::string("x")}}}, "arguments.alpha: expected a number, got \"x\""},
      {{"elu", {{"alpha", kNaN}}}, "arguments.alpha: expected a number, got nan"},
      {{"softmax", {{"axis", 0.5}}}, "arguments.axis: expected an integer, got 0.5"},
      {{"ReLU", {{"negative_slope", -0.1}}}, "arguments.negative_slope: expected a number >= 0"},
      {{"relu", {{"alpha", 1.0}, {"negative_slope", 1.0}}}, "arguments.alpha: relu has no such"},
      {{"relu", {{"name", std::string("x")}}}, "arguments.name: relu has no such argument"},
      {{"Activation", {}}, "arguments.activation: expected the name of a function, got nothing"},
      {{"Activation", {{"activation", std::string("ReLU")}}},
       "arguments.activation: expected the name of a function, got \"ReLU\""},
  };
  for (const Case& c : kCases) {
    EXPECT_THAT(Activation::Make(c.given),
                StatusIs(StatusCode::kInvalidArgument, HasSubstr(c.message)));
  }
}

TEST(ActivationTest, ComparesByFunctionAndArguments) {
  EXPECT_EQ(MakeActivation({"swish", {}}), MakeActivation({"silu", {}}));
  EXPECT_EQ(Activation(), MakeActivation({"linear", {}}));
  EXPECT_FALSE(MakeActivation({"elu", {}}) == MakeActivation({"elu", {{"alpha", 2.0}}}));
}

}  // namespace
}  // namespace tconv::server
