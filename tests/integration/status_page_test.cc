// What people see of a running server: its status page, and what that shows.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <tconv/client.h>

#include <memory>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "tests/support/http_get.h"
#include "tests/support/small_layer.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_folder.h"
#include "tests/support/test_server.h"

namespace tconv::testing {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;
using Json = nlohmann::json;

// In the way of whoever takes names for markup.
constexpr char kHostileName[] = "<img src=x onerror=document.title='taken'><script>\"'&";

server::ServerOptions WithPage() {
  server::ServerOptions options = DefaultOptions();
  options.metrics_address = "127.0.0.1:0";
  return options;
}

class StatusPageTest : public ::testing::Test {
 protected:
  std::string Ask(const std::string& path) const {
    return HttpGet(server_->app().metrics_address(), path);
  }
  Json Status(const std::string& query = "") const {
    return Json::parse(BodyOf(Ask("/status.json" + query)));
  }
  static std::vector<std::string> Names(const Json& status) {
    std::vector<std::string> names;
    for (const Json& layer : status["layers"]["page"]) names.push_back(layer["name"]);
    return names;
  }
  void Create(const std::string& name) { ASSERT_THAT(client_.Create(SmallLayer(name, 1)), IsOk()); }

  const std::unique_ptr<TestServer> server_ = TestServer::Start(WithPage());
  const Client client_{server_->target()};
};

TEST_F(StatusPageTest, ANewServerHasSomethingToShow) {
  const Json status = Status();
  EXPECT_GT(status["server"]["uptime_seconds"], 0);
  EXPECT_GE(status["server"]["compute_threads"], 1);
  EXPECT_EQ(status["store"]["up"], true);
  EXPECT_EQ(status["layers"]["total"], 0);
  EXPECT_EQ(status["methods"], Json::array());
}

TEST_F(StatusPageTest, ALayerIsShownWithHowItIsComputedAndWhy) {
  Create("up");
  ASSERT_THAT(client_.SetWeights("up", SmallWeights(2)), IsOk());
  ASSERT_THAT(client_.Forward("up", SmallInput()), IsOk());
  const Json layer = Status()["layers"]["page"][0];
  EXPECT_EQ(layer["name"], "up");
  EXPECT_EQ(layer["class"], "Conv2DTranspose");
  EXPECT_EQ(layer["kernel_size"], (Json{2, 2}));
  EXPECT_EQ(layer["input_channels"], 3);
  EXPECT_EQ(layer["filters"], 4);
  EXPECT_EQ(layer["weights_version"], 2);
  EXPECT_EQ(layer["healthy"], true);
  ASSERT_EQ(layer["plans"].size(), 1u);
  const Json& plan = layer["plans"][0];
  EXPECT_EQ(plan["input_shape"], (Json{1, 2, 2, 3}));
  EXPECT_EQ(plan["output_shape"], (Json{1, 4, 4, 4}));
  int chosen = 0;
  for (const Json& verdict : plan["verdicts"]) {
    chosen += verdict["chosen"] == true;
    EXPECT_NE(verdict["reason"], "");
  }
  EXPECT_EQ(chosen, 1);
}

TEST_F(StatusPageTest, ALayerThatCannotBeCalledSaysWhy) {
  ASSERT_THAT(client_.Create({.name = "unbuilt", .definition = SmallConfig()}), IsOk());
  const Json layer = Status()["layers"]["page"][0];
  EXPECT_EQ(layer["healthy"], false);
  EXPECT_THAT(layer["message"], HasSubstr("no weights yet"));
  EXPECT_EQ(layer["weights_version"], 0);
}

TEST_F(StatusPageTest, CallsAreShownWithTheirTimesAndErrors) {
  Create("up");
  for (int i = 0; i < 3; ++i) ASSERT_THAT(client_.Forward("up", SmallInput()), IsOk());
  ASSERT_THAT(client_.Forward("gone", SmallInput()), StatusIs(absl::StatusCode::kNotFound));
  const Json status = Status();
  for (const Json& method : status["methods"]) {
    if (method["method"] != "Forward") continue;
    EXPECT_EQ(method["service"], "tconv.v1.TransposedConvService");
    EXPECT_EQ(method["calls"], 4);
    EXPECT_EQ(method["codes"], (Json{{"OK", 3}, {"NOT_FOUND", 1}}));
    EXPECT_GT(method["seconds"], 0);
    EXPECT_EQ(method["latency"].back(), (Json{{"seconds", nullptr}, {"calls", 4}}));
    return;
  }
  FAIL() << "nothing about Forward";
}

TEST_F(StatusPageTest, ManyLayersComePageByPage) {
  for (const char* name : {"a", "b", "c", "x"}) Create(name);
  const Json first = Status("?limit=2");
  EXPECT_THAT(Names(first), ElementsAre("a", "b"));
  EXPECT_EQ(first["layers"]["total"], 4);
  EXPECT_EQ(first["layers"]["next"], "b");
  const Json second = Status("?limit=2&after=b");
  EXPECT_THAT(Names(second), ElementsAre("c", "x"));
  EXPECT_EQ(second["layers"]["next"], "");
  EXPECT_THAT(Names(Status("?find=x")), ElementsAre("x"));
  EXPECT_THAT(Names(Status("?find=nothing")), IsEmpty());
}

TEST_F(StatusPageTest, AChainIsShownWithItsSteps) {
  Create("up");
  v1::KerasObject relu;
  relu.set_name("relu");
  for (const char* name : {"deep", "flat"}) {
    ASSERT_THAT(client_.CreateChain(name, {"up", relu}), IsOk());
  }
  const Json first = Status("?limit=1")["chains"];
  ASSERT_EQ(first["page"].size(), 1u);
  const Json& chain = first["page"][0];
  EXPECT_EQ(chain["name"], "deep");
  EXPECT_EQ(chain["steps"], (Json{{{"layer", "up"}}, {{"activation", "relu"}}}));
  EXPECT_EQ(chain["weights_version"], 1);
  EXPECT_EQ(chain["input_shape"], (Json{-1, -1, -1, 3}));
  const Json second = Status("?limit=1&chains_after=deep")["chains"];
  EXPECT_EQ(second["page"][0]["name"], "flat");
  EXPECT_EQ(second["next"], "");
}

TEST_F(StatusPageTest, APageOfLayersHasALimit) {
  for (const char* limit : {"0", "-1", "201", "99999999999999999999", "x", "5x"}) {
    EXPECT_THAT(Ask("/status.json?limit=" + std::string(limit)),
                AllOf(StartsWith("HTTP/1.1 400 "), HasSubstr("limit: expected a number from 1 to")))
        << limit;
  }
}

TEST_F(StatusPageTest, NamesAreTextInJson) {
  Create(kHostileName);
  EXPECT_THAT(Names(Status()), ElementsAre(kHostileName));
  EXPECT_THAT(Ask("/status.json"), HasSubstr("\r\nContent-Type: application/json\r\n"));
}

TEST_F(StatusPageTest, EveryFileOfThePageIsServed) {
  EXPECT_THAT(Ask("/"), AllOf(StartsWith("HTTP/1.1 200 "), HasSubstr("Content-Type: text/html"),
                              HasSubstr("href=\"status.css\""), HasSubstr("src=\"status.js\"")));
  EXPECT_THAT(Ask("/status.css"), HasSubstr("Content-Type: text/css"));
  EXPECT_THAT(Ask("/status.js"), HasSubstr("Content-Type: text/javascript"));
  EXPECT_THAT(Ask("/metrics"), AllOf(HasSubstr("Content-Type: text/plain; version=0.0.4"),
                                     HasSubstr("tconv_layers 0")));
}

// In a browser.
class StatusPageInChromiumTest : public StatusPageTest {
 protected:
  void SetUp() override {
    if (std::system("chromium --version >/dev/null 2>&1") != 0) GTEST_SKIP() << "needs chromium";
  }

  // The document after its scripts have run for three seconds of its own time.
  std::string Shown(const std::string& path = "/") const {
    const TempFolder folder;
    const std::string command =
        "timeout 100 chromium --headless --no-sandbox --disable-gpu --disable-dev-shm-usage"
        " --window-size=360,800 --virtual-time-budget=3000 --user-data-dir=" +
        (folder / "profile") + " --dump-dom 'http://" + server_->app().metrics_address() + path +
        "' >" + (folder / "document") + " 2>" + (folder / "log");
    EXPECT_EQ(std::system(command.c_str()), 0) << ReadFile(folder / "log");
    return ReadFile(folder / "document");
  }
};

TEST_F(StatusPageInChromiumTest, ShowsLayersWithVersionsAndStrategies) {
  Create("decoder");
  ASSERT_THAT(client_.Forward("decoder", SmallInput()), IsOk());
  const std::string document = Shown();
  EXPECT_THAT(document, AllOf(HasSubstr(">serving</p>"), HasSubstr("<b>decoder</b>"),
                              HasSubstr("3 → 4, kernel 2 × 2"), HasSubstr("version 1;"),
                              HasSubstr("1 × 2 × 2 × 3 → 1 × 4 × 4 × 4"), HasSubstr("<svg")));
}

TEST_F(StatusPageInChromiumTest, FindsWhatItsAddressAsksFor) {
  Create("one");
  Create("other");
  const std::string document = Shown("/?find=oth");
  EXPECT_THAT(document, AllOf(HasSubstr("<b>other</b>"), Not(HasSubstr("<b>one</b>"))));
  EXPECT_THAT(document, HasSubstr("<details data-name=\"other\" open")) << "it is the only one";
}

TEST_F(StatusPageInChromiumTest, TakesNoNameForMarkup) {
  Create(kHostileName);
  const std::string document = Shown();
  EXPECT_THAT(document, HasSubstr("<b>&lt;img src=x onerror=document.title='taken'&gt;&lt;script"));
  EXPECT_THAT(document, HasSubstr("<title>tconv</title>"));
  EXPECT_THAT(document, Not(HasSubstr("<img")));
}

}  // namespace
}  // namespace tconv::testing
