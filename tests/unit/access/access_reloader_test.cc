#include "server/access/access_reloader.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <string>
#include <thread>

#include "tests/support/status_matchers.h"
#include "tests/support/temp_folder.h"

namespace tconv::server {
namespace {

using ::testing::HasSubstr;
using testing::IsOk;
using testing::StatusIs;

constexpr std::chrono::milliseconds kInterval(1);

// An admin whose token is "one"; another that of `sha256`.
std::string FileWith(const char* sha256) {
  return fmt::format(R"({{"tokens": [{{"name": "t", "sha256": "{}", "role": "admin"}}]}})", sha256);
}
constexpr char kOne[] = "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed";
constexpr char kTwo[] = "3fc4ccfe745870e2c0d99f71f30ff0656c8dedd41cc1d7d3d376b0dbe685e2f3";

class AccessReloaderTest : public ::testing::Test {
 protected:
  void Write(const std::string& text) { testing::WriteFile(path_, text); }

  void Start() {
    auto started = AccessReloader::Start(path_, access_, kInterval);
    ASSERT_THAT(started, IsOk());
    reloader_ = *std::move(started);
  }

  bool Knows(const char* token) const { return access_.Identify(token).ok(); }
  void AwaitThatItKnows(const char* token) const {
    while (!Knows(token)) std::this_thread::yield();
  }

  const testing::TempFolder folder_;
  const std::string path_ = folder_ / "access.json";
  AccessControl access_;
  std::unique_ptr<AccessReloader> reloader_;
};

TEST_F(AccessReloaderTest, WithoutAFileThatIsRightThereIsNoStart) {
  EXPECT_THAT(AccessReloader::Start(path_, access_, kInterval),
              StatusIs(StatusCode::kUnavailable, HasSubstr(path_)));
  Write("{}");
  EXPECT_THAT(AccessReloader::Start(path_, access_, kInterval),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr(path_ + ": tokens: ")));
  EXPECT_TRUE(access_.IsOpen());
}

TEST_F(AccessReloaderTest, TheRulesAreThoseOfTheFileAsItChanges) {
  Write(FileWith(kOne));
  Start();
  EXPECT_TRUE(Knows("Bearer one"));
  EXPECT_FALSE(Knows("Bearer two"));
  Write(FileWith(kTwo));
  AwaitThatItKnows("Bearer two");
  EXPECT_FALSE(Knows("Bearer one"));
}

TEST_F(AccessReloaderTest, AWrongOrMissingFileLeavesTheRulesFromBefore) {
  Write(FileWith(kOne));
  Start();
  for (const char* wrong : {"", "{", R"({"tokens": 1})"}) {
    Write(wrong);
    EXPECT_TRUE(Knows("Bearer one")) << wrong;
  }
  std::filesystem::remove(path_);
  EXPECT_TRUE(Knows("Bearer one"));
  Write(FileWith(kTwo));
  AwaitThatItKnows("Bearer two");
}

}  // namespace
}  // namespace tconv::server
