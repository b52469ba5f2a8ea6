// The real `tconv` tool against a real server.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include <nlohmann/json.hpp>

#include "client/cli/npy.h"
#include "tests/support/temp_folder.h"
#include "tests/support/test_server.h"

namespace tconv {
namespace {

using tconv::testing::TempFolder;
using tconv::testing::TestServer;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr char kKerasJson[] =
    R"({"name": "up1", "filters": 1, "kernel_size": [2, 2], "strides": [2, 2]})";

std::string ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

void WriteFile(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

std::string Npy(const Shape& shape, std::initializer_list<float> values) {
  std::ostringstream file;
  EXPECT_TRUE(cli::WriteNpy(file, *Tensor::FromValues<float>(shape, values)).ok());
  return file.str();
}

struct Outcome {
  int exit_code = 0;
  std::string out;
  std::string err;
};

class CliTest : public ::testing::Test {
 protected:
  // Runs the tool in the folder of the test. `arguments` are words of the shell.
  Outcome Run(const std::string& arguments, const std::string& input = "") {
    WriteFile(folder_ / "stdin", input);
    const std::string command =
        "cd " + (folder_ / "") + " && export TCONV_SERVER=" + server_->target() +
        " && (" TCONV_TOOL_BINARY " " + arguments + ") <stdin >stdout 2>stderr";
    const int status = std::system(command.c_str());
    return {.exit_code = WEXITSTATUS(status),
            .out = ReadFile(folder_ / "stdout"),
            .err = ReadFile(folder_ / "stderr")};
  }

  // "up1": every input pixel becomes 2 x 2 output pixels, times 1, 2, 3 and 4.
  void CreateLayer() {
    ASSERT_EQ(Run("create --keras - --input-shape None,None,None,1", kKerasJson).exit_code, 0);
    WriteFile(folder_ / "k.npy", Npy({2, 2, 1, 1}, {1, 2, 3, 4}));
    WriteFile(folder_ / "b.npy", Npy({1}, {0.5f}));
    ASSERT_EQ(Run("set-weights up1 --kernel k.npy --bias b.npy").exit_code, 0);
  }

  const TempFolder folder_;
  const std::unique_ptr<TestServer> server_ = TestServer::Start();
};

TEST_F(CliTest, ComputesFromFilesToFiles) {
  CreateLayer();
  WriteFile(folder_ / "x.npy", Npy({1, 1, 1, 1}, {10}));
  EXPECT_EQ(Run("forward up1 --input x.npy --output y.npy").exit_code, 0);
  EXPECT_EQ(ReadFile(folder_ / "y.npy"), Npy({1, 2, 2, 1}, {10.5f, 20.5f, 30.5f, 40.5f}));
}

TEST_F(CliTest, ComputesInAPipe) {
  CreateLayer();
  const Outcome outcome = Run("forward up1 --input - --output - | cat", Npy({1, 1, 1, 1}, {1}));
  EXPECT_EQ(outcome.out, Npy({1, 2, 2, 1}, {1.5f, 2.5f, 3.5f, 4.5f}));
}

TEST_F(CliTest, GivesBackTheWeightsBitForBit) {
  CreateLayer();
  EXPECT_EQ(Run("get-weights up1 --kernel k2.npy --bias -").out, ReadFile(folder_ / "b.npy"));
  EXPECT_EQ(ReadFile(folder_ / "k2.npy"), ReadFile(folder_ / "k.npy"));
}

TEST_F(CliTest, DescribesLayersForScripts) {
  CreateLayer();
  const auto layer = nlohmann::json::parse(Run("get up1 --json").out);
  EXPECT_EQ(layer["weights_version"], 2);
  EXPECT_EQ(layer["keras_json"]["class_name"], "Conv2DTranspose");
  const auto list = nlohmann::json::parse(Run("--json list").out);
  EXPECT_EQ(list["layers"][0]["name"], "up1");
  const auto shape =
      nlohmann::json::parse(Run("output-shape up1 --input-shape None,3,None,1 --json").out);
  EXPECT_EQ(shape["output_shape"], nlohmann::json({-1, 6, -1, 1}));
}

TEST_F(CliTest, BuildsWhatWasCreatedFromFlags) {
  EXPECT_EQ(Run("create --filters 2 --kernel-size 3,3 --name up2").exit_code, 0);
  EXPECT_THAT(Run("get up2").out, HasSubstr("not built"));
  EXPECT_THAT(Run("build up2 --input-shape None,None,None,4").out, HasSubstr("74"));
}

TEST_F(CliTest, ChangesTheLevelOfTheLog) {
  EXPECT_EQ(Run("log-level error").out, "error, until now off\n");
  EXPECT_EQ(Run("log-level").out, "error\n");
  const Outcome refused = Run("log-level loud");
  EXPECT_EQ(refused.exit_code, 3);
  EXPECT_THAT(refused.err, HasSubstr("\"loud\""));
  EXPECT_EQ(Run("log-level off --json").out, "{\"level\":\"off\",\"previous_level\":\"error\"}\n");
}

TEST_F(CliTest, TellsTheKindOfFailureByTheExitCode) {
  CreateLayer();
  struct Case {
    std::string arguments;
    int exit_code;
    std::string message;
  };
  const Case kCases[] = {
      {"forward up1", 2, "--input is required"},
      {"set-weights up1 --kernel b.npy", 3, "kernel"},
      {"forward up1 --input stdin --output y.npy", 3, "stdin: expected a .npy file"},
      {"get up9", 4, "up9"},
      {"get up1 --server unix:missing.socket", 5, "cannot reach unix:missing.socket"},
      {"create --keras - --input-shape None,None,None,1", 6, "up1"},
      {"set-weights up1 --kernel k.npy --bias b.npy --if-version 7", 6, "version"},
  };
  for (const Case& c : kCases) {
    const Outcome outcome = Run(c.arguments, kKerasJson);
    EXPECT_EQ(outcome.exit_code, c.exit_code) << c.arguments;
    EXPECT_THAT(outcome.err, HasSubstr(c.message));
    EXPECT_THAT(outcome.out, IsEmpty());
  }
}

TEST_F(CliTest, ComputesThroughAChainWhatItsLayersCompute) {
  CreateLayer();
  WriteFile(folder_ / "x.npy", Npy({1, 1, 1, 1}, {-2}));
  const Outcome created =
      Run("create-chain decoder up1 '@leaky_relu negative_slope=0.5' up1 --json");
  ASSERT_EQ(created.exit_code, 0) << created.err;
  const auto chain = nlohmann::json::parse(created.out);
  EXPECT_EQ(chain["weights_version"], 2);
  EXPECT_TRUE(chain["keras_json"].is_null()) << "Keras shares no weights between two layers";
  EXPECT_EQ(Run("output-shape decoder --input-shape None,1,3,1").out, "(None, 4, 12, 1)\n");

  ASSERT_EQ(Run("forward decoder --input x.npy --output y.npy").exit_code, 0);
  // up1 makes -1.5, -3.5, -5.5 and -7.5 of it, of which the function leaves half.
  WriteFile(folder_ / "between.npy", Npy({1, 2, 2, 1}, {-0.75f, -1.75f, -2.75f, -3.75f}));
  ASSERT_EQ(Run("forward up1 --input between.npy --output expected.npy").exit_code, 0);
  EXPECT_EQ(ReadFile(folder_ / "y.npy"), ReadFile(folder_ / "expected.npy"));

  const Outcome refused = Run("delete up1");
  EXPECT_EQ(refused.exit_code, 6);
  EXPECT_THAT(refused.err, HasSubstr("decoder"));
  EXPECT_THAT(Run("list-chains").out, HasSubstr("decoder  3"));
  EXPECT_EQ(Run("delete-chain decoder").exit_code, 0);
  EXPECT_EQ(Run("delete up1").exit_code, 0);
}

TEST_F(CliTest, DrawsALayer) {
  CreateLayer();
  const Outcome outcome = Run("inspect up1 --png kernel.png");
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("height: even, each output gets 1 tap"));
  EXPECT_THAT(outcome.out, HasSubstr("    2  5\n    7  9\n"));
  EXPECT_THAT(ReadFile(folder_ / "kernel.png"), HasSubstr("IHDR"));
  EXPECT_EQ(Run("inspect up9").exit_code, 4);
}

TEST_F(CliTest, DeletesLayers) {
  CreateLayer();
  EXPECT_EQ(Run("delete up1").exit_code, 0);
  EXPECT_EQ(Run("delete up1").exit_code, 4);
}

TEST_F(CliTest, TrainsInOneCallWhatItTrainsInTwo) {
  CreateLayer();
  WriteFile(folder_ / "x.npy", Npy({1, 1, 1, 1}, {10}));
  WriteFile(folder_ / "dy.npy", Npy({1, 2, 2, 1}, {1, 1, 1, 0}));
  ASSERT_EQ(Run("set-optimizer up1 --optimizer \"SGD learning_rate=0.5\"").exit_code, 0);
  EXPECT_THAT(Run("get up1").out, HasSubstr("SGD learning_rate=0.5"));

  ASSERT_EQ(Run("train-step up1 --input x.npy --upstream dy.npy --input-gradient dx.npy").exit_code,
            0);
  EXPECT_EQ(ReadFile(folder_ / "dx.npy"), Npy({1, 1, 1, 1}, {1 + 2 + 3}));
  ASSERT_EQ(Run("get-weights up1 --kernel k1.npy --bias b1.npy").exit_code, 0);
  EXPECT_EQ(ReadFile(folder_ / "k1.npy"), Npy({2, 2, 1, 1}, {-4, -3, -2, 4}));
  EXPECT_EQ(ReadFile(folder_ / "b1.npy"), Npy({1}, {-1}));

  ASSERT_EQ(Run("set-weights up1 --kernel k.npy --bias b.npy").exit_code, 0);
  ASSERT_EQ(Run("backward up1 --input x.npy --upstream dy.npy --kernel-gradient dk.npy "
                "--bias-gradient db.npy")
                .exit_code,
            0);
  EXPECT_EQ(Run("apply-gradients up1 --kernel dk.npy --bias db.npy --step-id a").exit_code, 0);
  const auto again = nlohmann::json::parse(
      Run("apply-gradients up1 --kernel dk.npy --bias db.npy --step-id a --json").out);
  EXPECT_EQ(again["already_applied"], true);
  EXPECT_EQ(again["iterations"], 2);
  EXPECT_EQ(Run("get-weights up1 --kernel - --bias b2.npy").out, ReadFile(folder_ / "k1.npy"));
  EXPECT_EQ(ReadFile(folder_ / "b2.npy"), ReadFile(folder_ / "b1.npy"));
}

TEST_F(CliTest, MovesTheStateOfAnOptimizerToAnotherLayer) {
  CreateLayer();
  WriteFile(folder_ / "x.npy", Npy({1, 1, 1, 1}, {10}));
  WriteFile(folder_ / "y.npy", Npy({1, 2, 2, 1}, {1, 2, 3, 4}));
  ASSERT_EQ(Run("set-optimizer up1 --optimizer \"Adam learning_rate=0.125\"").exit_code, 0);
  ASSERT_EQ(Run("train-step up1 --input x.npy --target y.npy").exit_code, 0);
  ASSERT_EQ(Run("get-weights up1 --kernel k1.npy --bias b1.npy").exit_code, 0);
  ASSERT_EQ(Run("get-optimizer up1 --keras adam.json --slots slots").exit_code, 0);

  ASSERT_EQ(Run("create --keras - --name up2 --kernel k1.npy --bias b1.npy", kKerasJson).exit_code,
            0);
  const Outcome moved = Run("set-optimizer up2 --keras adam.json --slots slots --iterations 1");
  ASSERT_EQ(moved.exit_code, 0) << moved.err;
  for (const char* layer : {"up1", "up2"}) {
    const std::string name = layer;
    const auto step = nlohmann::json::parse(
        Run("train-step " + name + " --input x.npy --target y.npy --json").out);
    EXPECT_EQ(step["iterations"], 2);
    ASSERT_EQ(Run("get-weights " + name + " --kernel " + name + ".npy").exit_code, 0);
  }
  EXPECT_EQ(ReadFile(folder_ / "up1.npy"), ReadFile(folder_ / "up2.npy"));
}

TEST_F(CliTest, TellsWhyAStepIsRefused) {
  CreateLayer();
  const std::string step = "apply-gradients up1 --kernel k.npy --bias b.npy";
  EXPECT_EQ(Run(step).exit_code, 6) << "there is no optimizer";
  EXPECT_EQ(Run("set-optimizer up1 --optimizer \"SGD momentum=2\"").exit_code, 3);
  ASSERT_EQ(Run("set-optimizer up1 --optimizer SGD").exit_code, 0);
  ASSERT_EQ(Run("set-trainable up1 false").exit_code, 0);
  const Outcome frozen = Run(step);
  EXPECT_EQ(frozen.exit_code, 6);
  EXPECT_THAT(frozen.err, HasSubstr("SetTrainable"));
  ASSERT_EQ(Run("set-trainable up1 true").exit_code, 0);
  EXPECT_EQ(Run(step).exit_code, 0);
}

TEST_F(CliTest, ReportsHealth) { EXPECT_EQ(Run("health").exit_code, 0); }

TEST_F(CliTest, EnlargesAPictureAndLeavesNoLayerBehind) {
  const Outcome outcome =
      Run("demo --scale 3 --output large.png --json --input " TCONV_PICTURES "/before.png");
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const auto report = nlohmann::json::parse(outcome.out);
  EXPECT_EQ(report["output"]["width"], 3 * report["input"]["width"].get<int>());
  EXPECT_THAT(ReadFile(folder_ / "large.png"), HasSubstr("IHDR"));
  EXPECT_EQ(nlohmann::json::parse(Run("list --json").out)["layers"], nlohmann::json::array());
}

TEST_F(CliTest, LearnsToEnlargeAPictureAndLeavesNoLayerBehind) {
  const Outcome outcome =
      Run("demo --train --steps 80 --output learned.png --bilinear bilinear.png --curve loss.svg "
          "--json --input " TCONV_PICTURES "/raccoon.png");
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const auto report = nlohmann::json::parse(outcome.out);
  EXPECT_GT(report["psnr_db"]["gain"], 1);
  EXPECT_EQ(report["losses"].size(), 80u);
  EXPECT_LT(report["losses"].back(), report["losses"].front());
  EXPECT_NE(ReadFile(folder_ / "learned.png"), ReadFile(folder_ / "bilinear.png"));
  EXPECT_EQ(nlohmann::json::parse(Run("list --json").out)["layers"], nlohmann::json::array());
}

}  // namespace
}  // namespace tconv
