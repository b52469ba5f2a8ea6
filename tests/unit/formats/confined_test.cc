#include "formats/confined.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <string>
#include <vector>

#include "tests/support/status_matchers.h"

namespace tconv::formats {
namespace {

using tconv::testing::IsOk;
using tconv::testing::StatusIs;
using ::testing::HasSubstr;
using Json = nlohmann::json;

constexpr int64_t kFileBytes = 1000;

std::span<const std::byte> BytesOf(const std::string& text) {
  return std::as_bytes(std::span(text));
}

#define EXPECT_REFUSED(findings, message) \
  EXPECT_THAT(findings, StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(message)))

TEST(ConfinedTest, HandsOverAnswersAndParts) {
  const auto findings = RunConfined(kFileBytes, [](Attic& attic) -> absl::StatusOr<Json> {
    Json parts = Json::array();
    for (const std::string text : {"one", "", "three"}) {
      if (!attic.Begin().ok() || !attic.Append(BytesOf(text)).ok()) return absl::UnknownError("");
      parts.push_back(attic.Part());
    }
    return parts;
  });
  ASSERT_THAT(findings, IsOk());
  std::vector<std::string> texts;
  for (const Json& part : findings->answer) {
    const auto bytes = findings->Part(part);
    ASSERT_THAT(bytes, IsOk());
    EXPECT_EQ(reinterpret_cast<uintptr_t>(bytes->data()) % 64, 0u);
    texts.emplace_back(reinterpret_cast<const char*>(bytes->data()), bytes->size());
  }
  EXPECT_THAT(texts, ::testing::ElementsAre("one", "", "three"));
}

TEST(ConfinedTest, BelievesNoPartThatIsNotThere) {
  const auto findings = RunConfined(kFileBytes, [](Attic& attic) -> absl::StatusOr<Json> {
    return attic.Append(BytesOf("text")).ok() ? Json() : Json("failed");
  });
  ASSERT_THAT(findings, IsOk());
  for (const Json& part : {Json(), Json(7), Json{{"offset", 0}}, Json{{"offset", 2}, {"bytes", 3}},
                           Json{{"offset", 5}, {"bytes", 0}}, Json{{"offset", -1}, {"bytes", 0}},
                           Json{{"offset", 1}, {"bytes", UINT64_MAX}}}) {
    EXPECT_REFUSED(findings->Part(part), "damaged") << part;
  }
}

TEST(ConfinedTest, PassesOnTheErrorOfTheReader) {
  EXPECT_REFUSED(RunConfined(kFileBytes, [](Attic&) { return absl::UnknownError("it rains"); }),
                 "it rains");
  EXPECT_REFUSED(
      RunConfined(kFileBytes,
                  [](Attic&) -> absl::StatusOr<Json> { throw std::runtime_error("it throws"); }),
      "it throws");
}

TEST(ConfinedTest, OutlivesAReaderThatCrashes) {
  for (const int number : {SIGSEGV, SIGABRT, SIGBUS, SIGFPE}) {
    EXPECT_REFUSED(RunConfined(kFileBytes,
                               [number](Attic&) -> absl::StatusOr<Json> {
                                 std::signal(number, SIG_DFL);
                                 std::raise(number);
                                 return Json();
                               }),
                   "crashed");
  }
}

TEST(ConfinedTest, GivesNoMoreRoomThanTheFileMayNeed) {
  EXPECT_REFUSED(RunConfined(kFileBytes,
                             [](Attic& attic) -> absl::StatusOr<Json> {
                               const std::string piece(1 << 20, 'x');
                               for (;;) {
                                 const absl::Status added = attic.Append(BytesOf(piece));
                                 if (!added.ok()) return added;
                               }
                             }),
                 "too much for its size");
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
// Sanitizers end a process that gets no memory in their own way.
TEST(ConfinedTest, GivesNoMoreMemoryThanTheFileMayNeed) {
  EXPECT_REFUSED(RunConfined(kFileBytes,
                             [](Attic&) -> absl::StatusOr<Json> {
                               const std::vector<char> all(size_t{1} << 30, 'x');
                               return Json(all.back());
                             }),
                 "far more memory");
}
#endif

}  // namespace
}  // namespace tconv::formats
