// The commands of the tool that train a layer.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <optional>
#include <variant>

#include "client/cli/json.h"
#include "tests/support/temp_folder.h"
#include "tests/unit/client/tool_fixture.h"

namespace tconv::cli {
namespace {

using tconv::testing::ReadFile;
using tconv::testing::TempFolder;
using tconv::testing::WriteFile;
using ::testing::_;
using ::testing::DoAll;
using ::testing::HasSubstr;
using ::testing::Property;
using ::testing::Return;
using ::testing::SaveArg;

Tensor One(float value) { return *Tensor::FromValues<float>({1}, {value}); }

class TrainingToolTest : public ToolTest {
 protected:
  // A file of the test with a tensor of one element.
  std::string File(const std::string& name, float value) {
    WriteFile(folder_ / name, NpyOf(One(value)));
    return folder_ / name;
  }

  const TempFolder folder_;
};

TEST_F(TrainingToolTest, BackwardComputesAndWritesWhatIsAskedForAlone) {
  BackwardOptions options;
  Tensor input, upstream;
  EXPECT_CALL(*connection_, Backward("up1", _, _, _))
      .WillOnce(DoAll(SaveArg<1>(&input), SaveArg<2>(&upstream), SaveArg<3>(&options),
                      Return(BackwardResult{.input_gradient = One(3), .weights_version = 4})));
  EXPECT_EQ(Run({"backward", "up1", "--input", File("x", 1), "--upstream", File("dy", 2),
                 "--input-gradient", folder_ / "dx", "--min-version", "4", "--json"}),
            0);
  EXPECT_EQ(NpyOf(input), NpyOf(One(1)));
  EXPECT_EQ(NpyOf(upstream), NpyOf(One(2)));
  EXPECT_FALSE(options.skip_input_gradient);
  EXPECT_TRUE(options.skip_weight_gradients);
  EXPECT_FALSE(options.include_losses);
  EXPECT_EQ(options.min_version, 4);
  EXPECT_EQ(ReadFile(folder_ / "dx"), NpyOf(One(3)));
  const Json report = Json::parse(out());
  EXPECT_EQ(report["weights_version"], 4);
  EXPECT_EQ(report["weight_gradients"], nullptr);
}

TEST_F(TrainingToolTest, BackwardWritesTheGradientsOfTheWeights) {
  BackwardOptions options;
  v1::Loss loss;
  loss.set_source(v1::LOSS_SOURCE_BIAS);
  loss.set_value(0.25);
  EXPECT_CALL(*connection_, Backward)
      .WillOnce(DoAll(
          SaveArg<3>(&options),
          Return(BackwardResult{.weight_gradients = Weights{One(5), One(6)}, .losses = {loss}})));
  EXPECT_EQ(Run({"backward", "up1", "--input", File("x", 1), "--upstream", File("dy", 2),
                 "--kernel-gradient", folder_ / "dk", "--bias-gradient", "-", "--losses"}),
            0);
  EXPECT_TRUE(options.skip_input_gradient);
  EXPECT_FALSE(options.skip_weight_gradients);
  EXPECT_TRUE(options.include_losses);
  EXPECT_EQ(ReadFile(folder_ / "dk"), NpyOf(One(5)));
  EXPECT_EQ(out(), NpyOf(One(6)));
  EXPECT_THAT(err(), HasSubstr("bias loss           0.25"));
}

TEST_F(TrainingToolTest, ApplyGradientsReportsTheStep) {
  Weights gradients;
  StepOptions options;
  EXPECT_CALL(*connection_, ApplyGradients("up1", _, _))
      .WillOnce(DoAll(SaveArg<1>(&gradients), SaveArg<2>(&options),
                      Return(StepResult{.weights_version = 3, .iterations = 2})));
  EXPECT_EQ(Run({"apply-gradients", "up1", "--kernel", File("dk", 1), "--bias", File("db", 2),
                 "--if-version", "2", "--learning-rate", "0.5", "--step-id", "mine", "--json"}),
            0);
  EXPECT_EQ(NpyOf(gradients.kernel), NpyOf(One(1)));
  EXPECT_EQ(NpyOf(*gradients.bias), NpyOf(One(2)));
  EXPECT_EQ(options.if_version, 2);
  EXPECT_EQ(options.learning_rate, 0.5);
  EXPECT_EQ(options.step_id, "mine");
  EXPECT_EQ(Json::parse(out()), Json({{"name", "up1"},
                                      {"weights_version", 3},
                                      {"iterations", 2},
                                      {"already_applied", false}}));
}

TEST_F(TrainingToolTest, TrainStepTakesATargetAndTheArgumentsOfItsLoss) {
  TrainSignal signal;
  TrainStepOptions options;
  EXPECT_CALL(*connection_, TrainStep("up1", _, _, _))
      .WillOnce(DoAll(SaveArg<2>(&signal), SaveArg<3>(&options),
                      Return(TrainStepResult{.loss = 0.5, .output = One(7)})));
  EXPECT_EQ(Run({"train-step", "up1", "--input", File("x", 1), "--target", File("y", 2), "--loss",
                 "BinaryCrossentropy from_logits=true label_smoothing=0.25", "--output",
                 folder_ / "out", "--json"}),
            0);
  const auto& target = std::get<TrainTarget>(signal);
  EXPECT_EQ(NpyOf(target.target), NpyOf(One(2)));
  EXPECT_EQ(target.loss.name(), "BinaryCrossentropy");
  const auto& arguments = target.loss.arguments().fields();
  EXPECT_EQ(arguments.at("from_logits").bool_value(), true);
  EXPECT_EQ(arguments.at("label_smoothing").number_value(), 0.25);
  EXPECT_TRUE(options.return_output);
  EXPECT_FALSE(options.return_input_gradient);
  EXPECT_EQ(ReadFile(folder_ / "out"), NpyOf(One(7)));
  EXPECT_EQ(Json::parse(out())["loss"], 0.5);
}

TEST_F(TrainingToolTest, TrainStepMeasuresTheSquareUnlessToldOtherwise) {
  TrainSignal signal;
  EXPECT_CALL(*connection_, TrainStep)
      .WillOnce(DoAll(SaveArg<2>(&signal), Return(TrainStepResult())));
  EXPECT_EQ(Run({"train-step", "up1", "--input", File("x", 1), "--target", "-"}, NpyOf(One(2))), 0);
  EXPECT_EQ(std::get<TrainTarget>(signal).loss.name(), "MeanSquaredError");
}

TEST_F(TrainingToolTest, TrainStepTakesAnUpstreamGradient) {
  TrainSignal signal;
  EXPECT_CALL(*connection_, TrainStep)
      .WillOnce(
          DoAll(SaveArg<2>(&signal), Return(TrainStepResult{.step = {.already_applied = true}})));
  EXPECT_EQ(Run({"train-step", "up1", "--input", File("x", 1), "--upstream", File("dy", 2)}), 0);
  EXPECT_EQ(NpyOf(std::get<Upstream>(signal).gradient), NpyOf(One(2)));
  EXPECT_THAT(out(), HasSubstr("had been made before"));
}

TEST_F(TrainingToolTest, TellsThatARepeatedStepHasNoOutput) {
  EXPECT_CALL(*connection_, TrainStep)
      .WillOnce(Return(TrainStepResult{.step = {.already_applied = true}}));
  EXPECT_EQ(Run({"train-step", "up1", "--input", File("x", 1), "--upstream", File("dy", 2),
                 "--output", folder_ / "y"}),
            6);
  EXPECT_THAT(err(), HasSubstr("/y: the step had been made before"));
  EXPECT_FALSE(std::filesystem::exists(folder_ / "y"));
}

TEST_F(TrainingToolTest, SetTrainableFreezesAndThaws) {
  v1::SetTrainableResponse answer;
  answer.mutable_layer()->set_name("up1");
  EXPECT_CALL(*connection_, SetTrainable(Property(&v1::SetTrainableRequest::trainable, false), _))
      .WillOnce(Return(answer));
  EXPECT_CALL(*connection_, SetTrainable(Property(&v1::SetTrainableRequest::trainable, true), _))
      .WillOnce(Return(answer));
  EXPECT_EQ(Run({"set-trainable", "up1", "false"}), 0);
  EXPECT_EQ(Run({"set-trainable", "up1", "true", "--json"}), 0);
  EXPECT_EQ(Json::parse(out())["name"], "up1");
}

TEST_F(TrainingToolTest, SetOptimizerTakesArgumentsAsGetPrintsThem) {
  NewOptimizer optimizer;
  v1::Layer layer;
  EXPECT_CALL(*connection_, SetOptimizer("up1", _, _))
      .WillOnce([&](const std::string&, const NewOptimizer& given, const CallOptions&) {
        optimizer = given;
        *layer.mutable_optimizer() = std::get<v1::KerasObject>(given.definition);
        return layer;
      });
  EXPECT_EQ(Run({"set-optimizer", "up1", "--optimizer", "Adam amsgrad=true beta_1=0.5"}), 0);
  EXPECT_THAT(out(), HasSubstr("optimizer             Adam amsgrad=true beta_1=0.5\n"));
  EXPECT_EQ(optimizer.iterations, 0);
  EXPECT_EQ(optimizer.slots, std::nullopt);
}

TEST_F(TrainingToolTest, SetOptimizerTakesTheJsonOfKeras) {
  NewOptimizer optimizer;
  EXPECT_CALL(*connection_, SetOptimizer)
      .WillOnce(DoAll(SaveArg<1>(&optimizer), Return(v1::Layer())));
  EXPECT_EQ(Run({"set-optimizer", "up1", "--keras", "-"}, "{}"), 0);
  EXPECT_EQ(std::get<KerasJson>(optimizer.definition).text, "{}");
}

TEST_F(TrainingToolTest, TheStateOfAnOptimizerGoesToFilesAndComesBack) {
  OptimizerStatus status{.keras_json = R"({"class_name": "Adam"})", .iterations = 9};
  status.optimizer.set_name("Adam");
  status.slots.momentum = {.kernel = One(1), .bias = One(2)};
  status.slots.velocity = {.kernel = One(3)};
  EXPECT_CALL(*connection_, GetOptimizer("up1", _)).WillOnce(Return(status));
  const std::string slots = folder_ / "slots", keras = folder_ / "adam.json";
  EXPECT_EQ(Run({"get-optimizer", "up1", "--slots", slots, "--keras", keras, "--json"}), 0);
  const Json report = Json::parse(out());
  EXPECT_EQ(report["iterations"], 9);
  EXPECT_EQ(report["keras_json"]["class_name"], "Adam");
  EXPECT_EQ(report["slots"]["velocity"]["bias"], nullptr);
  EXPECT_EQ(report["slots"]["velocity_hat"], nullptr);

  NewOptimizer optimizer;
  EXPECT_CALL(*connection_, SetOptimizer)
      .WillOnce(DoAll(SaveArg<1>(&optimizer), Return(v1::Layer())));
  EXPECT_EQ(Run({"set-optimizer", "up2", "--keras", keras, "--slots", slots, "--iterations", "9"}),
            0);
  EXPECT_EQ(Json::parse(std::get<KerasJson>(optimizer.definition).text)["class_name"], "Adam");
  EXPECT_EQ(optimizer.iterations, 9);
  EXPECT_EQ(NpyOf(*optimizer.slots->momentum->bias), NpyOf(One(2)));
  EXPECT_EQ(NpyOf(optimizer.slots->velocity->kernel), NpyOf(One(3)));
  EXPECT_EQ(optimizer.slots->velocity->bias, std::nullopt);
  EXPECT_EQ(optimizer.slots->velocity_hat, std::nullopt);
}

TEST_F(TrainingToolTest, RefusesAFolderWithoutSlots) {
  EXPECT_EQ(Run({"set-optimizer", "up1", "--optimizer", "SGD", "--slots", folder_ / ""}), 3);
  EXPECT_THAT(err(), HasSubstr("expected files like momentum.kernel.npy"));
}

// Plays a server whose layer answers with gray pictures.
class TrainDemoTest : public TrainingToolTest {
 protected:
  TrainDemoTest() {
    EXPECT_CALL(*connection_, Create).WillOnce(DoAll(SaveArg<0>(&layer_), Return(v1::Layer())));
    v1::Layer prepared;
    prepared.set_weights_version(1);
    EXPECT_CALL(*connection_, SetOptimizer).WillOnce(Return(prepared));
    EXPECT_CALL(*connection_, Forward)
        .WillRepeatedly([](const std::string&, const Tensor& input, const ForwardOptions&) {
          Shape shape = input.shape();
          shape[1] *= 2;
          shape[2] *= 2;
          const std::vector<float> gray(static_cast<size_t>(*ElementCount(shape)));
          return ForwardResult{.output = *Tensor::FromValues<float>(shape, gray)};
        });
    EXPECT_CALL(*connection_, Delete)
        .WillOnce([this](const v1::DeleteRequest& request, const CallOptions&) {
          EXPECT_EQ(request.name(), layer_.name);
          return v1::DeleteResponse();
        });
  }

  std::vector<std::string> Arguments() const {
    return {"demo",       "--train",
            "--input",    TCONV_RACCOON,
            "--output",   folder_ / "after.png",
            "--curve",    folder_ / "loss.svg",
            "--bilinear", folder_ / "before.png",
            "--steps",    "3",
            "--json"};
  }

  NewLayer layer_;
};

TEST_F(TrainDemoTest, MakesStepsFromVersionToVersionAndLeavesNoLayerBehind) {
  int64_t version = 1;
  double rate = 1;
  EXPECT_CALL(*connection_, TrainStep)
      .Times(3)
      .WillRepeatedly([&](const std::string& name, const Tensor&, const TrainSignal& signal,
                          const TrainStepOptions& options) {
        EXPECT_EQ(name, layer_.name);
        EXPECT_EQ(std::get<TrainTarget>(signal).loss.name(), "MeanSquaredError");
        EXPECT_EQ(options.if_version, version);
        EXPECT_LT(options.learning_rate, rate);
        rate = *options.learning_rate;
        ++version;
        return TrainStepResult{.step = {.weights_version = version},
                               .loss = 1.0 / static_cast<double>(version)};
      });
  EXPECT_EQ(Run(Arguments()), 0) << err();
  const Json report = Json::parse(out());
  EXPECT_EQ(report["losses"], Json({0.5, 1.0 / 3, 0.25}));
  EXPECT_EQ(report["psnr_db"]["gain"], 0.0);
  EXPECT_THAT(ReadFile(folder_ / "loss.svg"), HasSubstr("3 steps of Adam"));
  EXPECT_THAT(ReadFile(folder_ / "before.png"), HasSubstr("IHDR"));
  EXPECT_THAT(ReadFile(folder_ / "after.png"), HasSubstr("IHDR"));
}

TEST_F(TrainDemoTest, LeavesNoLayerBehindWhenAStepFails) {
  EXPECT_CALL(*connection_, TrainStep).WillOnce(Return(absl::AbortedError("somebody was faster")));
  EXPECT_EQ(Run(Arguments()), 6);
  EXPECT_FALSE(std::filesystem::exists(folder_ / "after.png"));
}

TEST_F(TrainingToolTest, RefusesWrongUsageWithoutCallingTheServer) {
  const std::vector<std::string> kCases[] = {
      {"backward", "up1", "--input", "x", "--upstream", "dy"},
      {"backward", "up1", "--upstream", "dy", "--input-gradient", "dx"},
      {"backward", "up1", "--input", "-", "--upstream", "-", "--input-gradient", "dx"},
      {"backward", "up1", "--input", "x", "--upstream", "dy", "--input-gradient", "-",
       "--bias-gradient", "-"},
      {"apply-gradients", "up1"},
      {"apply-gradients", "up1", "--kernel", "-", "--bias", "-"},
      {"train-step", "up1", "--input", "x"},
      {"train-step", "up1", "--input", "x", "--target", "y", "--upstream", "dy"},
      {"train-step", "up1", "--input", "x", "--upstream", "dy", "--loss", "MeanSquaredError"},
      {"train-step", "up1", "--input", "x", "--target", "y", "--loss", ""},
      {"train-step", "up1", "--input", "x", "--target", "y", "--output", "-", "--input-gradient",
       "-"},
      {"set-trainable", "up1"},
      {"set-trainable", "up1", "maybe"},
      {"set-optimizer", "up1"},
      {"set-optimizer", "up1", "--optimizer", "Adam", "--keras", "adam.json"},
      {"set-optimizer", "up1", "--optimizer", "Adam beta_1"},
      {"set-optimizer", "up1", "--optimizer", "Adam =1"},
      {"set-optimizer", "up1", "--optimizer", "Adam beta_1=0,5"},
      {"set-optimizer", "up1", "--optimizer", "Adam", "--iterations", "-1"},
      {"demo", "--train", "--input", "a.png", "--output", "b.png", "--scale", "2"},
      {"demo", "--train", "--input", "a.png", "--output", "b.png", "--steps", "0"},
      {"demo", "--input", "a.png", "--output", "b.png", "--curve", "c.svg"},
  };
  for (const auto& arguments : kCases) {
    EXPECT_EQ(Run(arguments), 2) << ::testing::PrintToString(arguments);
    EXPECT_NE(err(), "");
  }
}

}  // namespace
}  // namespace tconv::cli
