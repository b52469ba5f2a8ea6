#include "server/store/open_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/support/status_matchers.h"
#include "tests/unit/store/store_test_util.h"

namespace tconv::server {
namespace {

using ::testing::HasSubstr;
using testing::IsOk;
using testing::StatusIs;

TEST(OpenStoreTest, UnderstandsEveryFormOfAddress) {
  const testing::TempFolder folder;
  for (const std::string& address : {std::string("memory:"), std::string("memory:100B"),
                                     std::string("memory:7GiB"), "sqlite:" + folder / "a.db"}) {
    EXPECT_THAT(OpenStore(address), IsOk()) << address;
  }
}

TEST(OpenStoreTest, TheSizeBoundsTheMemoryStore) {
  const LayerConfig config = testing::LayerConfigBuilder().Build();
  const auto small = OpenStore("memory:4KiB");
  const auto large = OpenStore("memory:4MiB");
  EXPECT_THAT(testing::CreateBuilt(**small, "up", config, 1'000),
              StatusIs(StatusCode::kResourceExhausted, HasSubstr("4096 bytes")));
  EXPECT_THAT(testing::CreateBuilt(**large, "up", config, 1'000), IsOk());
}

TEST(OpenStoreTest, RefusesOtherAddresses) {
  struct Case {
    const char* address;
    const char* message;
  };
  constexpr Case kCases[] = {
      {"",
       "expected one of sqlite:/path, postgres://host/database, "
       "postgresql://host/database, memory:[SIZE]; got \"\""},
      {"/var/lib/tconv.db", "expected one of"},
      {"mysql://user:password@host/db", "got \"mysql\" before the first colon"},
      {"memory", "expected one of"},
      {"sqlite:", "expected a path"},
      {"memory:0B", "got \"0B\""},
      {"memory:-1B", "got \"-1B\""},
      {"memory:12", "expected nothing or a size like 512MiB"},
      {"memory:12 MiB", "got \"12 MiB\""},
      {"memory:9000000TiB", "got \"9000000TiB\""},
      {"memory:99999999999999999999B", "expected nothing or a size"},
  };
  for (const Case& c : kCases) {
    const auto store = OpenStore(c.address);
    EXPECT_THAT(store, StatusIs(StatusCode::kInvalidArgument, HasSubstr(c.message))) << c.address;
    EXPECT_EQ(FieldOf(store.status()), "store");
  }
}

}  // namespace
}  // namespace tconv::server
