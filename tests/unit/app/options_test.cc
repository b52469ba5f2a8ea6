#include "server/app/options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <regex>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "tests/support/status_matchers.h"
#include "tests/support/temp_folder.h"

namespace tconv::server {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::IsOk;
using testing::StatusIs;

StatusOr<CommandLine> Parse(std::vector<const char*> arguments) {
  arguments.insert(arguments.begin(), "tconv-server");
  return ParseCommandLine(static_cast<int>(arguments.size()), arguments.data());
}

ServerOptions ParsedOptions(std::vector<const char*> arguments) {
  const auto parsed = Parse(std::move(arguments));
  EXPECT_THAT(parsed, IsOk());
  return std::get<ServerOptions>(parsed.value());
}

// Sets a variable of the environment for a scope.
class ScopedVariable {
 public:
  ScopedVariable(const char* name, const char* value) : name_(name) { setenv(name, value, 1); }
  ~ScopedVariable() { unsetenv(name_); }

 private:
  const char* name_;
};

TEST(OptionsTest, DefaultsListenOnLoopback) {
  const ServerOptions options = ParsedOptions({});
  EXPECT_THAT(options.grpc.addresses, ElementsAre("127.0.0.1:8500"));
  EXPECT_EQ(options.shared_memory_socket, "");
  EXPECT_EQ(options.metrics_address, "");
  EXPECT_EQ(options.strategy, "auto");
  EXPECT_EQ(options.log_format, LogFormat::kText);
  EXPECT_EQ(options.drain_limit, std::chrono::seconds(30));
}

TEST(OptionsTest, EveryOptionReachesItsValue) {
  const ServerOptions options = ParsedOptions({"--listen=a:1",
                                               "--listen=b:2",
                                               "--store=memory:",
                                               "--drain-seconds=7",
                                               "--drain-delay-seconds=14",
                                               "--probe-listen=c:3",
                                               "--max-connection-age-seconds=15",
                                               "--max-connection-idle-seconds=16",
                                               "--reflection=off",
                                               "--channelz=on",
                                               "--compute-threads=3",
                                               "--strategy=reference",
                                               "--plan-cache-bytes=1K",
                                               "--handler-threads=5",
                                               "--max-queued-calls=6",
                                               "--max-queued-bytes=2MiB",
                                               "--max-batch=11",
                                               "--batch-delay-us=12",
                                               "--max-message-bytes=1m",
                                               "--max-stream-bytes=4k",
                                               "--max-transport-bytes=3GB",
                                               "--max-layers=8",
                                               "--max-layer-bytes=9",
                                               "--max-loaded-weight-bytes=1T",
                                               "--log-level=debug",
                                               "--log-format=json",
                                               "--access-log-sample=13",
                                               "--metrics-listen=127.0.0.1:14",
                                               "--metrics-max-layers=15",
                                               "--shared-memory-socket=/s",
                                               "--max-shared-memory-bytes=5G",
                                               "--tls-cert=/c",
                                               "--tls-key=/k",
                                               "--tls-client-ca=/a",
                                               "--allow-plaintext",
                                               "--access-file=/f",
                                               "--max-calls-per-second=13",
                                               "--max-connection-calls=14",
                                               "--max-header-bytes=15K",
                                               "--request-arrival-seconds=16"});
  EXPECT_THAT(options.grpc.addresses, ElementsAre("a:1", "b:2"));
  EXPECT_EQ(options.store, "memory:");
  EXPECT_EQ(options.drain_limit, std::chrono::seconds(7));
  EXPECT_EQ(options.drain_delay, std::chrono::seconds(14));
  EXPECT_THAT(options.probe_addresses, ElementsAre("c:3"));
  EXPECT_EQ(options.grpc.max_connection_age, std::chrono::seconds(15));
  EXPECT_EQ(options.grpc.max_connection_idle, std::chrono::seconds(16));
  EXPECT_FALSE(options.grpc.has_reflection);
  EXPECT_TRUE(options.grpc.has_channelz);
  EXPECT_EQ(options.compute_threads, 3);
  EXPECT_EQ(options.strategy, "reference");
  EXPECT_EQ(options.plan_cache_bytes, 1024);
  EXPECT_EQ(options.admission.handler_threads, 5);
  EXPECT_EQ(options.admission.max_waiting_calls, 6);
  EXPECT_EQ(options.admission.max_bytes, 2 << 20);
  EXPECT_EQ(options.admission.max_batch, 11);
  EXPECT_EQ(options.admission.batch_delay, std::chrono::microseconds(12));
  EXPECT_EQ(options.host.max_stream_bytes, 4 << 10);
  EXPECT_EQ(options.grpc.max_message_bytes, 1 << 20);
  EXPECT_EQ(options.grpc.max_transport_bytes, int64_t{3} << 30);
  EXPECT_EQ(options.host.max_layers, 8);
  EXPECT_EQ(options.host.max_layer_bytes, 9);
  EXPECT_EQ(options.host.max_loaded_weight_bytes, int64_t{1} << 40);
  EXPECT_EQ(options.shared_memory_socket, "/s");
  EXPECT_EQ(options.shared_memory.max_bytes, int64_t{5} << 30);
  EXPECT_EQ(options.grpc.tls.certificate, "/c");
  EXPECT_EQ(options.grpc.tls.key, "/k");
  EXPECT_EQ(options.grpc.tls.client_ca, "/a");
  EXPECT_TRUE(options.grpc.allow_plaintext);
  EXPECT_EQ(options.access_file, "/f");
  EXPECT_EQ(options.max_calls_per_second, 13);
  EXPECT_EQ(options.grpc.max_connection_calls, 14);
  EXPECT_EQ(options.grpc.max_header_bytes, 15 << 10);
  EXPECT_EQ(options.request_arrival, std::chrono::seconds(16));
  EXPECT_EQ(options.log_level, "debug");
  EXPECT_EQ(options.log_format, LogFormat::kJson);
  EXPECT_EQ(options.call_telemetry.access_log_sample, 13);
  EXPECT_EQ(options.metrics_address, "127.0.0.1:14");
  EXPECT_EQ(options.call_telemetry.max_layers, 15);
}

TEST(OptionsTest, TheCommandLineWinsOverTheFileAndTheFileOverTheEnvironment) {
  const testing::TempFolder folder;
  const std::string file = folder / "tconv.toml";
  testing::WriteFile(file, "max-layers = 2\nmax-queued-calls = 2\nlisten = [\"a:1\", \"b:2\"]\n");
  const std::string config = "--config=" + file;
  const ScopedVariable layers("TCONV_MAX_LAYERS", "3");
  const ScopedVariable calls("TCONV_MAX_QUEUED_CALLS", "3");
  const ScopedVariable seconds("TCONV_DRAIN_SECONDS", "3");
  const ServerOptions options = ParsedOptions({config.c_str(), "--max-layers=1"});
  EXPECT_EQ(options.host.max_layers, 1);
  EXPECT_EQ(options.admission.max_waiting_calls, 2);
  EXPECT_EQ(options.drain_limit, std::chrono::seconds(3));
  EXPECT_THAT(options.grpc.addresses, ElementsAre("a:1", "b:2"));
}

TEST(OptionsTest, TheFileForKubernetesIsUnderstood) {
  const ServerOptions options = ParsedOptions({"--config=" TCONV_KUBERNETES_CONFIG});
  EXPECT_THAT(options.grpc.addresses, ElementsAre("[::]:8500"));
  EXPECT_THAT(options.probe_addresses, ElementsAre("[::]:8501"));
  EXPECT_EQ(options.drain_delay, std::chrono::seconds(10));
}

TEST(OptionsTest, WrongArgumentsAreRefusedByName) {
  const struct {
    const char* argument;
    const char* message;
  } kCases[] = {
      {"--bogus", "--bogus"},
      {"stray", "stray"},
      {"--max-layers=-1", "--max-layers"},
      {"--max-layers=many", "--max-layers"},
      {"--compute-threads=5000", "--compute-threads"},
      {"--plan-cache-bytes=3X", "--plan-cache-bytes"},
      {"--max-message-bytes=3G", "--max-message-bytes"},
      {"--log-format=xml", "--log-format"},
      {"--config=/no/such/file", "/no/such/file"},
  };
  for (const auto& test : kCases) {
    EXPECT_THAT(Parse({test.argument}),
                StatusIs(StatusCode::kInvalidArgument, HasSubstr(test.message)))
        << test.argument;
  }
}

TEST(OptionsTest, AFlagMayComeFromTheEnvironment) {
  EXPECT_FALSE(ParsedOptions({}).grpc.allow_plaintext);
  const ScopedVariable variable("TCONV_ALLOW_PLAINTEXT", "true");
  EXPECT_TRUE(ParsedOptions({}).grpc.allow_plaintext);
}

TEST(OptionsTest, AWrongValueInTheEnvironmentIsRefused) {
  const ScopedVariable variable("TCONV_MAX_LAYERS", "many");
  EXPECT_THAT(Parse({}), StatusIs(StatusCode::kInvalidArgument, HasSubstr("max-layers")));
}

TEST(OptionsTest, AnUnknownNameInTheFileIsRefused) {
  const testing::TempFolder folder;
  const std::string file = folder / "tconv.toml";
  testing::WriteFile(file, "max-lairs = 2\n");
  const std::string config = "--config=" + file;
  EXPECT_THAT(Parse({config.c_str()}),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("max-lairs")));
}

TEST(OptionsTest, HelpAndVersionAreTexts) {
  const auto help = Parse({"--help"});
  ASSERT_THAT(help, IsOk());
  EXPECT_THAT(std::get<TextToPrint>(*help).text,
              AllOf(HasSubstr("--listen ADDRESS [127.0.0.1:8500]"), HasSubstr("TCONV_")));
  const auto version = Parse({"--version"});
  ASSERT_THAT(version, IsOk());
  EXPECT_THAT(std::get<TextToPrint>(*version).text, HasSubstr("tconv-server 0."));
}

TEST(OptionsTest, TheDefaultStoreIsInTheStateFolderOfTheUser) {
  const char* home = std::getenv("HOME");
  const std::string kept = home == nullptr ? "" : home;
  unsetenv("XDG_STATE_HOME");
  setenv("HOME", "/home/me", 1);
  EXPECT_EQ(DefaultStore().value(), "sqlite:/home/me/.local/state/tconv/layers.db");
  {
    const ScopedVariable state("XDG_STATE_HOME", "/state");
    EXPECT_EQ(DefaultStore().value(), "sqlite:/state/tconv/layers.db");
  }
  unsetenv("HOME");
  EXPECT_THAT(DefaultStore(), StatusIs(StatusCode::kFailedPrecondition, HasSubstr("--store")));
  setenv("HOME", kept.c_str(), 1);
}

// Without those that every program has.
std::set<std::string> OptionNames() {
  const std::string help = std::get<TextToPrint>(*Parse({"--help"})).text;
  const std::regex option("(^|\n) *(?:-h,)?(--[a-z-]+)");
  std::set<std::string> names;
  for (std::sregex_iterator match(help.begin(), help.end(), option), end; match != end; ++match) {
    names.insert((*match)[2]);
  }
  names.erase("--help");
  names.erase("--version");
  return names;
}

TEST(OptionsTest, TheManualTellsEveryOption) {
  std::ifstream file(TCONV_MANUAL);
  const std::string manual(std::istreambuf_iterator<char>(file), {});
  const std::set<std::string> names = OptionNames();
  EXPECT_GT(names.size(), 30u);
  for (const std::string& name : names) {
    EXPECT_TRUE(std::regex_search(manual, std::regex(name + "[^a-z-]"))) << name;
  }
}

}  // namespace
}  // namespace tconv::server
