// Model files of Keras on their way to a real server, by the tool and at its start, and back.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include <nlohmann/json.hpp>

#include "client/cli/npy.h"
#include "client/cli/tool.h"
#include "formats/model_file.h"
#include "tests/golden/expect_close.h"
#include "tests/support/model_arrays.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_folder.h"
#include "tests/support/test_server.h"

namespace tconv {
namespace {

using tconv::testing::IsOk;
using tconv::testing::ReadFile;
using tconv::testing::SameArray;
using tconv::testing::StatusIs;
using tconv::testing::TempFolder;
using tconv::testing::TestServer;
using tconv::testing::WriteFile;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Json = nlohmann::json;

std::string Golden(const std::string& name) { return std::string(TCONV_GOLDEN_FILES "/") + name; }
std::string Made(const std::string& name) { return std::string(TCONV_MODELS "/") + name; }

Tensor ReadTensor(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return cli::ReadNpy(file).value();
}

// What Keras recorded.
void ExpectOutput(const absl::StatusOr<ForwardResult>& result, const std::string& folder,
                  const std::string& recorded) {
  ASSERT_THAT(result, IsOk());
  testing::GoldenCase golden;
  golden.directory = Golden(folder);
  testing::ExpectClose(result->output, golden, recorded, {{"rtol", 1e-5}, {"atol", 1e-5}});
}

class ModelFilesTest : public ::testing::Test {
 protected:
  void Serve(const std::string& preload = "") {
    server::ServerOptions options = tconv::testing::DefaultOptions();
    options.preload = preload;
    options.store = "sqlite:" + (folder_ / "layers.db");
    server_ = nullptr;
    server_ = TestServer::Start(options);
  }

  // The exit code of the tool; what it prints is in out_ and err_.
  int Run(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"--server", server_->target()});
    std::istringstream in;
    std::ostringstream out;
    std::ostringstream err;
    const int code = cli::RunTool(arguments, {.in = in, .out = out, .err = err},
                                  [](const std::string& target, const ClientOptions& options) {
                                    return Connect(target, options);
                                  });
    out_ = out.str();
    err_ = err.str();
    return code;
  }

  Client client() { return Client(server_->target()); }

  std::vector<std::string> Names() {
    std::vector<std::string> names;
    const std::vector<v1::Layer> layers = client().ListAll().value();
    for (const v1::Layer& layer : layers) names.push_back(layer.name());
    return names;
  }

  // The two layers of the Sequential, one after the other.
  absl::StatusOr<ForwardResult> ForwardDecoder(const std::string& prefix = "") {
    const auto between = client().Forward(prefix + "conv2d_transpose",
                                          ReadTensor(Golden("sequential-compiled/input_0.npy")));
    if (!between.ok()) return between;
    return client().Forward(prefix + "conv2d_transpose_1", between->output);
  }

  void ExpectTwoHeads() {
    for (const auto& [layer, i] : {std::pair("up2d", "0"), std::pair("up3d", "1")}) {
      const Tensor input = ReadTensor(Golden("two-heads/input_" + std::string(i) + ".npy"));
      ExpectOutput(client().Forward(layer, input), "two-heads", "output_" + std::string(i));
    }
  }

  const TempFolder folder_;
  std::unique_ptr<TestServer> server_;
  std::string out_, err_;
};

struct WrittenFile {
  std::string path;
  std::string config;  // for weights alone
};

const WrittenFile kSequentials[] = {
    {"sequential-compiled/model.keras", ""},
    {"sequential-compiled/legacy_model.h5", ""},
    {"sequential-compiled/model.weights.h5", "sequential-compiled/config_in_archive.json"},
    {"sequential-compiled/weights.npz", "sequential-compiled/config_in_archive.json"},
    {"sequential-compiled/weights.safetensors", "sequential-compiled/config_in_archive.json"}};

std::vector<std::string> ImportOf(const WrittenFile& file) {
  std::vector<std::string> words = {"import", Golden(file.path)};
  if (!file.config.empty()) words.insert(words.end(), {"--config", Golden(file.config)});
  return words;
}

TEST_F(ModelFilesTest, EveryFormatReproducesWhatKerasComputed) {
  Serve();
  int count = 0;
  for (const WrittenFile& file : kSequentials) {
    const std::string prefix = std::to_string(count++) + ".";
    auto words = ImportOf(file);
    words.insert(words.end(), {"--prefix", prefix});
    ASSERT_EQ(Run(words), 0) << err_;
    ExpectOutput(ForwardDecoder(prefix), "sequential-compiled", "output_0");
  }
  for (const char* name : {"model.keras", "legacy_model.h5"}) {
    ASSERT_EQ(Run({"import", Golden(std::string("two-heads/") + name)}), 0) << err_;
    ExpectTwoHeads();
    ASSERT_TRUE(client().Delete("up2d").ok() && client().Delete("up3d").ok());
  }
}

TEST_F(ModelFilesTest, MakesASequentialOneChain) {
  Serve();
  ASSERT_EQ(Run({"import", Golden("sequential-compiled/model.keras"), "--chain", "decoder"}), 0)
      << err_;
  EXPECT_THAT(out_, HasSubstr("decoder"));
  const Tensor input = ReadTensor(Golden("sequential-compiled/input_0.npy"));
  ExpectOutput(client().Forward("decoder", input), "sequential-compiled", "output_0");
}

TEST_F(ModelFilesTest, ListsAFileWithoutAServer) {
  Serve();
  server_ = TestServer::Start();
  ASSERT_EQ(Run({"import", Made("nested.weights.h5"), "--list"}), 0) << err_;
  EXPECT_THAT(out_, AllOf(HasSubstr("decoder.up"), HasSubstr("float32 (2, 2, 2, 3)"),
                          HasSubstr("dense (Dense)"), HasSubstr("not a chain")));
  ASSERT_EQ(Run({"import", Golden("two-heads/model.keras"), "--list", "--json"}), 0);
  const Json list = Json::parse(out_);
  EXPECT_EQ(list["layers"][1]["name"], "up3d");
  EXPECT_TRUE(list["layers"][1]["bias"].is_null());
  EXPECT_THAT(Names(), IsEmpty());
}

TEST_F(ModelFilesTest, ImportsChosenLayers) {
  Serve();
  ASSERT_EQ(Run({"import", Golden("two-heads/model.keras"), "--layer", "up3d"}), 0) << err_;
  EXPECT_THAT(Names(), ElementsAre("up3d"));
  EXPECT_EQ(Run({"import", Golden("two-heads/model.keras"), "--layer", "up9"}), 3);
  EXPECT_THAT(err_, HasSubstr("up9"));
}

TEST_F(ModelFilesTest, CreatesNothingWhenSomethingIsWrong) {
  Serve();
  WriteFile(folder_ / "cut.keras", ReadFile(Golden("two-heads/model.keras")).substr(0, 9000));
  EXPECT_EQ(Run({"import", folder_ / "cut.keras"}), 3);
  EXPECT_THAT(err_, HasSubstr("cut.keras: "));
  EXPECT_EQ(Run({"import", Golden("two-heads/model.keras"), "--chain", "heads"}), 3);
  EXPECT_THAT(err_, HasSubstr("expected a Sequential"));
  EXPECT_THAT(Names(), IsEmpty());

  ASSERT_EQ(Run({"import", Golden("two-heads/model.keras"), "--layer", "up3d"}), 0);
  EXPECT_EQ(Run({"import", Golden("two-heads/model.keras")}), 6);
  EXPECT_THAT(err_, HasSubstr("there is a layer \"up3d\""));
  EXPECT_THAT(Names(), ElementsAre("up3d"));
}

TEST_F(ModelFilesTest, TakesBackWhatItCreatedWhenTheServerRefusesTheRest) {
  Serve();
  Json model = Json::parse(ReadFile(Made("nested.json")));
  model["config"]["layers"][3]["config"]["activation"] = "unheard_of";
  WriteFile(folder_ / "model.json", model.dump());
  EXPECT_EQ(Run({"import", Made("nested.weights.h5"), "--config", folder_ / "model.json"}), 3);
  EXPECT_THAT(err_, AllOf(HasSubstr("out: "), HasSubstr("unheard_of")));
  EXPECT_THAT(Names(), IsEmpty());
}

TEST_F(ModelFilesTest, ReplacesWeightsOfLayersWithTheSameConfiguration) {
  Serve();
  const std::string model = Golden("two-heads/model.keras");
  ASSERT_EQ(Run({"import", model, "--layer", "up2d"}), 0) << err_;
  Weights zeros = client().GetWeights("up2d")->weights;
  zeros.kernel = *Tensor::FromBytes(zeros.kernel.dtype(), zeros.kernel.shape(),
                                    std::string(zeros.kernel.bytes().size(), '\0'));
  ASSERT_THAT(client().SetWeights("up2d", zeros), IsOk());
  ASSERT_EQ(Run({"import", model, "--replace", "--json"}), 0) << err_;
  const Json imported = Json::parse(out_);
  EXPECT_EQ(imported["layers"][0],
            Json({{"name", "up2d"}, {"created", false}, {"weights_version", 3}}));
  EXPECT_EQ(imported["layers"][1]["created"], true);
  ExpectTwoHeads();
  EXPECT_THAT(Names(), ElementsAre("up2d", "up3d")) << "no layer of the comparison is left";

  ASSERT_TRUE(client().Delete("up3d").ok());
  ASSERT_EQ(Run({"create", "--filters", "1", "--kernel-size", "2,2", "--name", "up3d"}), 0);
  EXPECT_EQ(Run({"import", model, "--replace"}), 6);
  EXPECT_THAT(err_, HasSubstr("\"up3d\" of the server has another configuration"));
  EXPECT_EQ(client().Get("up2d")->weights_version(), 3);
}

TEST_F(ModelFilesTest, ReadsBackWhatItExports) {
  Serve();
  ASSERT_EQ(Run({"import", Golden("two-heads/model.keras")}), 0) << err_;
  ASSERT_EQ(Run({"export", "up3d", "up2d", "-o", folder_ / "heads.safetensors"}), 0) << err_;
  ASSERT_TRUE(client().Delete("up2d").ok() && client().Delete("up3d").ok());
  ASSERT_EQ(Run({"import", folder_ / "heads.safetensors"}), 0) << err_;
  ExpectTwoHeads();
  const auto before = formats::ReadModelFile(Golden("two-heads/model.keras"));
  const auto after = formats::ReadModelFile(folder_ / "heads.safetensors");
  ASSERT_THAT(after, IsOk());
  EXPECT_TRUE(SameArray(after->layers[0].kernel, before->layers[1].kernel));
  EXPECT_TRUE(SameArray(*after->layers[1].bias, *before->layers[0].bias));
  // The JSON has the configurations that Keras wrote.
  const Json recorded = Json::parse(ReadFile(Golden("two-heads/config_in_archive.json")));
  const Json exported = Json::parse(ReadFile(folder_ / "heads.json"));
  for (const char* key : {"filters", "kernel_size", "strides", "padding", "activation"}) {
    EXPECT_EQ(exported[1]["config"][key], recorded["config"]["layers"][2]["config"][key]) << key;
  }
}

TEST_F(ModelFilesTest, ExportsAChainAsTheSequentialThatItWas) {
  Serve();
  const std::string model = Golden("sequential-compiled/model.keras");
  ASSERT_EQ(Run({"import", model, "--chain", "decoder", "--prefix", "v1."}), 0) << err_;
  ASSERT_EQ(Run({"export", "decoder", "-o", folder_ / "decoder.safetensors"}), 0) << err_;
  ASSERT_EQ(Run({"import", folder_ / "decoder.safetensors", "--chain", "again", "--prefix", "2."}),
            0)
      << err_;
  const Tensor input = ReadTensor(Golden("sequential-compiled/input_0.npy"));
  const auto first = client().Forward("decoder", input);
  const auto again = client().Forward("again", input);
  ASSERT_THAT(again, IsOk());
  EXPECT_EQ(first->output.bytes(), again->output.bytes());
}

TEST_F(ModelFilesTest, ExportsWhatNumpyReads) {
  Serve();
  ASSERT_EQ(Run({"import", Golden("sequential-compiled/model.keras")}), 0) << err_;
  ASSERT_EQ(Run({"export", "conv2d_transpose", "-o", folder_ / "one.safetensors"}), 0) << err_;
  const std::string command = "/usr/bin/python3 " TCONV_CHECK_EXPORT " " +
                              (folder_ / "one.safetensors") + " " + (folder_ / "one.json") + " " +
                              Golden("sequential-compiled");
  EXPECT_EQ(std::system(command.c_str()), 0);
}

TEST_F(ModelFilesTest, RefusesToExportWhatCannotBe) {
  Serve();
  EXPECT_EQ(Run({"export", "none", "-o", folder_ / "x.safetensors"}), 4);
  EXPECT_EQ(Run({"export", "none", "-o", folder_ / "x.npz"}), 2);
  EXPECT_EQ(Run({"export", "a", "a", "-o", folder_ / "x.safetensors"}), 2);
  EXPECT_FALSE(std::filesystem::exists(folder_ / "x.safetensors"));
}

class PreloadTest : public ModelFilesTest {
 protected:
  void SetUp() override { std::filesystem::create_directory(models_); }
  void Put(const std::string& from, const std::string& name) {
    std::filesystem::copy(from, models_ + "/" + name,
                          std::filesystem::copy_options::overwrite_existing);
  }
  // What a start that fails says.
  std::string Refusal() {
    server::ServerOptions options = tconv::testing::DefaultOptions();
    options.preload = models_;
    options.grpc.addresses = {"127.0.0.1:0"};
    options.store = "sqlite:" + (folder_ / "layers.db");
    server_ = nullptr;
    const auto app = server::App::Start(options);
    return app.ok() ? "it starts" : std::string(app.status().message());
  }

  const std::string models_ = folder_ / "models";
};

TEST_F(PreloadTest, ServesTheFilesOfAFolder) {
  Put(Golden("two-heads/model.keras"), "heads.keras");
  Put(Golden("sequential-compiled/weights.safetensors"), "decoder.safetensors");
  Put(Golden("sequential-compiled/config_in_archive.json"), "decoder.json");
  WriteFile(models_ + "/.hidden", "of the mount");
  Serve(models_);
  ExpectTwoHeads();
  ExpectOutput(ForwardDecoder(), "sequential-compiled", "output_0");
  const Tensor input = ReadTensor(Golden("sequential-compiled/input_0.npy"));
  ExpectOutput(client().Forward("decoder", input), "sequential-compiled", "output_0");
}

TEST_F(PreloadTest, ServesTheExampleForKubernetes) {
  Serve(TCONV_PRELOAD_EXAMPLE);
  const Tensor input = ReadTensor(Golden("sequential-compiled/input_0.npy"));
  ExpectOutput(client().Forward("decoder", input), "sequential-compiled", "output_0");
}

TEST_F(PreloadTest, ChangesOnlyWhatTheFilesChange) {
  Put(Golden("two-heads/model.keras"), "heads.keras");
  Serve(models_);
  Serve(models_);
  EXPECT_EQ(client().Get("up2d")->weights_version(), 1);
  ASSERT_THAT(client().SetTrainable("up2d", false), IsOk());
  Weights other = client().GetWeights("up3d")->weights;
  other.kernel = *Tensor::FromBytes(other.kernel.dtype(), other.kernel.shape(),
                                    std::string(other.kernel.bytes().size(), '\0'));
  ASSERT_THAT(client().SetWeights("up3d", other), IsOk());
  Serve(models_);
  EXPECT_EQ(client().Get("up2d")->weights_version(), 1);
  EXPECT_EQ(client().Get("up3d")->weights_version(), 3);
  ExpectTwoHeads();
}

TEST_F(PreloadTest, BuildsWhatSomebodyCreatedWithoutAShape) {
  Serve();
  const auto model = formats::ReadModelFile(Golden("two-heads/model.keras"));
  Json unbuilt = Json::parse(model->layers[1].keras_json);
  unbuilt.erase("build_config");
  ASSERT_THAT(client().Create({.name = "up3d", .definition = KerasJson{unbuilt.dump()}}), IsOk());
  Put(Golden("two-heads/model.keras"), "heads.keras");
  Serve(models_);
  ExpectTwoHeads();
}

TEST_F(PreloadTest, StartsNotAtAllWhenAFileIsWrong) {
  struct Case {
    std::string name;
    std::string content;
    std::string message;
  };
  const std::string good = ReadFile(Golden("two-heads/model.keras"));
  const Case kCases[] = {
      {"cut.keras", good.substr(0, 9000), "preload: cut.keras: "},
      {"again.keras", good, "the name \"up2d\" is taken by again.keras"},
      {"model.keras.bak", good, "model.keras.bak: expected model files"},
      {"alone.npz", ReadFile(Made("single.npz")), "alone.json: No such file"},
      {"spare.json", "{}", "spare.json: expected model files"},
  };
  for (const Case& c : kCases) {
    Put(Golden("two-heads/model.keras"), "heads.keras");
    WriteFile(models_ + "/" + c.name, c.content);
    EXPECT_THAT(Refusal(), HasSubstr(c.message));
    std::filesystem::remove(models_ + "/" + c.name);
  }
  std::filesystem::remove(models_ + "/heads.keras");
  Serve(models_);
  EXPECT_THAT(Names(), IsEmpty()) << "nothing was created";
  std::filesystem::remove(models_);
  EXPECT_THAT(Refusal(), HasSubstr("No such file"));
}

TEST_F(PreloadTest, RefusesAChangedConfigurationAndChangesNothing) {
  Serve();
  ASSERT_EQ(Run({"create", "--filters", "5", "--kernel-size", "4,4", "--name", "up2d"}), 0);
  Put(Golden("two-heads/model.keras"), "heads.keras");
  EXPECT_THAT(Refusal(),
              AllOf(HasSubstr("heads.keras: up2d: "), HasSubstr("strides"), HasSubstr("padding")));
  Serve();
  EXPECT_THAT(Names(), ElementsAre("up2d"));
}

}  // namespace
}  // namespace tconv
