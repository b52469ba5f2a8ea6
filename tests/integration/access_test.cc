// Who may do what, on a server that several share.

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <tconv/client.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "tests/integration/raw_call.h"
#include "tests/support/access_rules.h"
#include "tests/support/process_memory.h"
#include "tests/support/server_process.h"
#include "tests/support/small_training.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_folder.h"
#include "tests/support/test_server.h"

namespace tconv::testing {
namespace {

using absl::StatusCode;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kTenants[] = R"("vision": {"layers": ["vision-"]}, "nlp": {"layers": ["nlp-"]})";

std::string Tokens() {
  return TokenEntry("operator", R"("role": "admin")") + "," +
         TokenEntry("trainer", R"("role": "write", "tenant": "vision")") + "," +
         TokenEntry("writer", R"("role": "write", "tenant": "nlp")") + "," +
         TokenEntry("user", R"("role": "read", "tenant": "vision")");
}

Client ClientOf(const std::string& target, const std::string& token) {
  return Client(target, {.token = token});
}

class AccessTest : public ::testing::Test {
 protected:
  void SetUp() override {
    WriteFile(file_, AccessFile(kTenants, Tokens()));
    server::ServerOptions options;
    options.access_file = file_;
    server_ = TestServer::Start(options);
    ASSERT_THAT(Calls("trainer").Create(SmallLayer("vision-up", 1)), IsOk());
    ASSERT_THAT(Calls("writer").Create(SmallLayer("nlp-up", 1)), IsOk());
    ASSERT_THAT(Calls("trainer").SetOptimizer("vision-up", Sgd(1)), IsOk());
  }

  Client Calls(const std::string& token) const { return ClientOf(server_->target(), token); }

  const TempFolder folder_;
  const std::string file_ = folder_ / "access.json";
  std::unique_ptr<TestServer> server_;
};

TEST_F(AccessTest, NoMethodIsForThoseWhoDoNotSayWhoTheyAre) {
  const auto channel = OpenChannel(server_->target());
  for (const char* method :
       {"Create", "Build", "SetWeights", "GetWeights", "Forward", "Get", "List", "Delete",
        "ComputeOutputShape", "ForwardStream", "SetWeightsStream", "GetWeightsStream"}) {
    const grpc::Status status =
        RawUnaryCall(channel, fmt::format("/{}/{}", kServiceName, method), "");
    EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAUTHENTICATED) << method;
  }
}

TEST_F(AccessTest, AnUnknownTokenIsNoToken) {
  EXPECT_THAT(Calls("guess").Get("vision-up"), StatusIs(StatusCode::kUnauthenticated));
}

TEST_F(AccessTest, HealthIsForEverybody) {
  EXPECT_THAT(Client(server_->target()).CheckHealth(), IsOk());
}

using Action = std::function<absl::Status(const Client&, const std::string&)>;

const struct {
  const char* what;
  Action act;
} kReads[] =
    {
        {"Forward", [](const Client& c,
                       const std::string& name) { return c.Forward(name, SmallInput()).status(); }},
        {"ForwardStream",
         [](const Client& c, const std::string& name) {
           return c.Forward(name, SmallInput(), {.transfer = Transfer::kStream}).status();
         }},
        {"GetWeights",
         [](const Client& c, const std::string& name) { return c.GetWeights(name).status(); }},
        {"Get", [](const Client& c, const std::string& name) { return c.Get(name).status(); }},
        {"ComputeOutputShape",
         [](const Client& c, const std::string& name) {
           return c.ComputeOutputShape(name, {1, 2, 2, 3}).status();
         }},
        {"Backward",
         [](const Client& c, const std::string& name) {
           return c.Backward(name, SmallInput(), OnesUpstream()).status();
         }},
        {"GetOptimizer",
         [](const Client& c, const std::string& name) { return c.GetOptimizer(name).status(); }},
},
  kChanges[] = {
      {"Create", [](const Client& c,
                    const std::string& name) { return c.Create(SmallLayer(name, 1)).status(); }},
      {"Build",
       [](const Client& c, const std::string& name) {
         return c.Build(name, {1, 2, 2, 3}).status();
       }},
      {"SetWeights",
       [](const Client& c, const std::string& name) {
         return c.SetWeights(name, SmallWeights(2)).status();
       }},
      {"SetOptimizer",
       [](const Client& c, const std::string& name) {
         return c.SetOptimizer(name, Sgd(1)).status();
       }},
      {"SetTrainable", [](const Client& c,
                          const std::string& name) { return c.SetTrainable(name, true).status(); }},
      {"ApplyGradients",
       [](const Client& c, const std::string& name) {
         return c.ApplyGradients(name, SmallWeights(1)).status();
       }},
      {"TrainStep",
       [](const Client& c, const std::string& name) {
         return c.TrainStep(name, SmallInput(), Target(1)).status();
       }},
      {"Delete", [](const Client& c, const std::string& name) { return c.Delete(name); }},
};

TEST_F(AccessTest, ReadersReadAndDoNotChange) {
  for (const auto& read : kReads) {
    EXPECT_THAT(read.act(Calls("user"), "vision-up"), IsOk()) << read.what;
  }
  for (const auto& change : kChanges) {
    EXPECT_THAT(
        change.act(Calls("user"), "vision-up"),
        StatusIs(StatusCode::kPermissionDenied, HasSubstr("\"the-user\" has the role read")))
        << change.what;
  }
}

TEST_F(AccessTest, NobodyLearnsWhetherALayerOfOthersExists) {
  const auto expect_same = [&](const auto& actions) {
    for (const auto& action : actions) {
      const Client client = Calls("trainer");
      const absl::Status present = action.act(client, "nlp-up");
      const absl::Status absent = action.act(client, "nlp-xx");
      EXPECT_THAT(present, StatusIs(StatusCode::kPermissionDenied)) << action.what;
      EXPECT_THAT(absent, StatusIs(StatusCode::kPermissionDenied)) << action.what;
      std::string message(present.message());
      const size_t name = message.find("nlp-up");
      ASSERT_NE(name, std::string::npos) << action.what;
      EXPECT_EQ(message.replace(name, 6, "nlp-xx"), std::string(absent.message())) << action.what;
    }
  };
  expect_same(kReads);
  expect_same(kChanges);
  EXPECT_THAT(Calls("writer").Get("nlp-up"), IsOk());
}

TEST_F(AccessTest, AnAdminMayDoEverything) {
  EXPECT_THAT(Calls("operator").Forward("nlp-up", SmallInput()), IsOk());
  EXPECT_THAT(Calls("operator").Delete("vision-up"), IsOk());
}

std::vector<std::string> NamesIn(const Client& client) {
  std::vector<std::string> names;
  const auto layers = client.ListAll();
  EXPECT_THAT(layers, IsOk());
  for (const v1::Layer& layer : *layers) names.push_back(layer.name());
  return names;
}

TEST_F(AccessTest, ListsShowWhatTheCallerMaySee) {
  EXPECT_THAT(NamesIn(Calls("trainer")), ElementsAre("vision-up"));
  EXPECT_THAT(NamesIn(Calls("writer")), ElementsAre("nlp-up"));
  EXPECT_THAT(NamesIn(Calls("operator")), ElementsAre("nlp-up", "vision-up"));
}

TEST_F(AccessTest, PagesAreFullOfWhatTheCallerMaySee) {
  for (const char* name : {"vision-a", "vision-b"}) {
    ASSERT_THAT(Calls("trainer").Create(SmallLayer(name, 1)), IsOk());
  }
  const auto page = Calls("trainer").List(2);
  ASSERT_THAT(page, IsOk());
  EXPECT_EQ(page->layers_size(), 2);
  const auto last = Calls("trainer").List(2, page->next_page_token());
  ASSERT_THAT(last, IsOk());
  EXPECT_EQ(last->layers_size(), 1);
  EXPECT_EQ(last->next_page_token(), "");
}

TEST_F(AccessTest, NamesThatAreMadeUpAreTheCallers) {
  NewLayer layer = SmallLayer("", 1);
  const auto made = Calls("trainer").Create(layer);
  ASSERT_THAT(made, IsOk());
  EXPECT_EQ(made->name(), "vision-conv2d_transpose");
}

TEST_F(AccessTest, ANameInTheConfigurationIsCheckedToo) {
  v1::LayerConfig config = SmallConfig();
  config.set_name("nlp-sneaked-in");
  EXPECT_THAT(Calls("trainer").Create({.definition = config}),
              StatusIs(StatusCode::kPermissionDenied));
}

TEST_F(AccessTest, NewRulesHoldWithoutARestart) {
  WriteFile(file_, AccessFile(kTenants, TokenEntry("new", R"("role": "read", "layers": [""])")));
  while (!Calls("new").Get("nlp-up").ok()) {
  }
  EXPECT_THAT(Calls("operator").Get("nlp-up"), StatusIs(StatusCode::kUnauthenticated));
}

TEST(AccessOfAProcessTest, APayloadOfANobodyIsNotRead) {
  constexpr int64_t kMiB = 1 << 20;
  const TempFolder folder;
  WriteFile(folder / "access.json", AccessFile("", ""));
  ServerProcess server({"--store=memory:", "--access-file=" + (folder / "access.json")});
  ASSERT_NE(server.target(), "") << server.log();
  ForgetPeak(server.pid());
  const int64_t before = MemoryOf(server.pid(), "VmRSS");
  const Client client = ClientOf(server.target(), "guess");
  const auto result =
      client.Forward("up", Filled({64, 512, 512, 3}, 1), {.transfer = Transfer::kMessage});
  EXPECT_THAT(result, StatusIs(StatusCode::kUnauthenticated));
  const int64_t used = MemoryOf(server.pid(), "VmHWM") - before;
  EXPECT_LT(used, 32 * kMiB) << "for a refused call of 192 MiB";
  RecordProperty("peak_kib_of_a_refused_call_of_192_mib", static_cast<int>(used / 1024));
}

TEST(AccessOfAProcessTest, SecretsAreInNoLogAndNoMessage) {
  const TempFolder folder;
  WriteFile(folder / "access.json", AccessFile(kTenants, Tokens()));
  ServerProcess server(
      {"--store=memory:", "--log-level=trace", "--access-file=" + (folder / "access.json")});
  ASSERT_NE(server.target(), "") << server.log();
  const std::string kSecret = "tconv_0123456789";
  const auto refused = ClientOf(server.target(), kSecret).Get("vision-up");
  EXPECT_THAT(refused, StatusIs(StatusCode::kUnauthenticated, Not(HasSubstr(kSecret))));
  EXPECT_THAT(ClientOf(server.target(), "user").Get("vision-up"), StatusIs(StatusCode::kNotFound));
  server.Signal(SIGTERM);
  EXPECT_EQ(server.Wait(), 0);
  EXPECT_THAT(server.log(), AllOf(HasSubstr("UNAUTHENTICATED"), Not(HasSubstr(kSecret)),
                                  Not(HasSubstr(HexDigestOf("user")))));
}

TEST(AccessOfAProcessTest, AFileThatIsWrongIsNoServer) {
  const TempFolder folder;
  WriteFile(folder / "access.json", R"({"tokens": [{"name": "x"}]})");
  ServerProcess server({"--store=memory:", "--access-file=" + (folder / "access.json")});
  EXPECT_EQ(server.target(), "");
  EXPECT_EQ(server.Wait(), 2);
  EXPECT_THAT(server.log(), HasSubstr("tokens[0].sha256: "));
}

}  // namespace
}  // namespace tconv::testing
