#include "server/access/access_file.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/support/status_matchers.h"
#include "tests/support/temp_folder.h"

namespace tconv::server {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::IsOk;
using testing::IsOkAndHolds;
using ::testing::Not;
using ::testing::StartsWith;
using testing::StatusIs;
using testing::TempFolder;

const std::string kDigest(64, 'a');

std::string Token(const std::string& rest) {
  return fmt::format(R"({{"name": "t", "sha256": "{}", {}}})", kDigest, rest);
}

std::string File(const std::string& tenants, const std::string& tokens) {
  return fmt::format(R"({{"tenants": {{{}}}, "tokens": [{}]}})", tenants, tokens);
}

TEST(AccessFileTest, EverythingThatItSaysIsRead) {
  const auto rules = ParseAccessFile(File(
      R"("vision": {"layers": ["vision-", "v2-"], "limits": {"layers": 1, "weight_bytes": 2,
                    "plan_bytes": 3, "in_flight_bytes": 4, "calls_per_second": 5}})",
      Token(R"("role": "write", "tenant": "vision")")));
  ASSERT_THAT(rules, IsOk());
  ASSERT_EQ(rules->tenants.size(), 1U);
  const TenantRules& tenant = rules->tenants[0];
  EXPECT_EQ(tenant.name, "vision");
  EXPECT_THAT(tenant.prefixes, ElementsAre("vision-", "v2-"));
  EXPECT_EQ(tenant.limits.layers, 1);
  EXPECT_EQ(tenant.limits.weight_bytes, 2);
  EXPECT_EQ(tenant.limits.plan_bytes, 3);
  EXPECT_EQ(tenant.limits.in_flight_bytes, 4);
  EXPECT_EQ(tenant.limits.calls_per_second, 5);
  ASSERT_EQ(rules->tokens.size(), 1U);
  const TokenRules& token = rules->tokens[0];
  EXPECT_EQ(token.name, "t");
  EXPECT_EQ(token.digest, *DigestFromHex(kDigest));
  EXPECT_EQ(token.role, Role::kWrite);
  EXPECT_EQ(token.tenant, "vision");
  EXPECT_THAT(token.prefixes, ElementsAre("vision-", "v2-"));
}

TEST(AccessFileTest, LimitsThatAreNotGivenDoNotExist) {
  const auto rules = ParseAccessFile(File(R"("a": {"layers": ["a-"]})", ""));
  ASSERT_THAT(rules, IsOk());
  EXPECT_EQ(rules->tenants[0].limits.layers, kNoLimit);
  EXPECT_EQ(rules->tenants[0].limits.calls_per_second, kNoLimit);
}

TEST(AccessFileTest, AnAdminIsGoodForAllLayersAndOthersForThoseTheyName) {
  const auto admin = ParseAccessFile(File("", Token(R"("role": "admin")")));
  ASSERT_THAT(admin, IsOk());
  EXPECT_THAT(admin->tokens[0].prefixes, ElementsAre(""));
  const auto reader = ParseAccessFile(File("", Token(R"("role": "read", "layers": ["x-"])")));
  ASSERT_THAT(reader, IsOk());
  EXPECT_THAT(reader->tokens[0].prefixes, ElementsAre("x-"));
  EXPECT_THAT(reader->tokens[0].tenant, IsEmpty());
}

TEST(AccessFileTest, WhatIsWrongIsNamed) {
  const std::string tenant = R"("a": {"layers": ["a-"]})";
  const struct {
    std::string json;
    const char* message;
  } kCases[] = {
      {"", "expected JSON"},
      {"[]", "expected an object"},
      {"{}", "tokens: "},
      {R"({"tokens": {}})", "tokens: "},
      {R"({"tokens": [], "token": []})", "token: unrecognized"},
      {File(R"("a": {})", ""), "tenants.a.layers: "},
      {File(R"("a": {"layers": []})", ""), "tenants.a.layers: "},
      {File(R"("a": {"layers": [""]})", ""), "tenants.a.layers: "},
      {File(R"("a": {"layers": ["x/y"]})", ""), "tenants.a.layers[0]: "},
      {File(R"("a": {"layers": [1]})", ""), "tenants.a.layers[0]: "},
      {File(tenant + R"(, "b": {"layers": ["a-b"]})", ""), "tenants.b.layers: "},
      {File(tenant + R"(, "b": {"layers": ["a"]})", ""), "tenants.b.layers: "},
      {File(R"("a": {"layers": ["a-", "a-b"]})", ""), "tenants.a.layers: "},
      {File(R"("a": {"layers": ["a-"], "limits": {"layers": -1}})", ""),
       "tenants.a.limits.layers: "},
      {File(R"("a": {"layers": ["a-"], "limits": {"rate": 1}})", ""), "tenants.a.limits.rate: "},
      {File(R"("a b": {"layers": ["a-"]})", ""), "tenants: "},
      {File("", R"({"sha256": "", "role": "admin"})"), "tokens[0].name: "},
      {File("", R"({"name": "t", "role": "admin"})"), "tokens[0].sha256: "},
      {File("", Token(R"("role": "root")")), "tokens[0].role: "},
      {File("", Token(R"("role": "read")")), "tokens[0]: expected either layers or a tenant"},
      {File(tenant, Token(R"("role": "read", "layers": ["a"], "tenant": "a")")),
       "tokens[0]: expected either layers or a tenant"},
      {File(tenant, Token(R"("role": "read", "tenant": "b")")), "tokens[0].tenant: "},
      {File(tenant, Token(R"("role": "admin", "tenant": "a")")), "tokens[0]: an admin"},
      {File("", Token(R"("role": "admin", "expires": 1)")), "tokens[0].expires: unrecognized"},
      {File("", Token(R"("role": "admin")") + "," + Token(R"("role": "admin")")), "tokens[1]: "},
  };
  for (const auto& test : kCases) {
    EXPECT_THAT(ParseAccessFile(test.json),
                StatusIs(StatusCode::kInvalidArgument, HasSubstr(test.message)))
        << test.json;
  }
}

TEST(AccessFileTest, ATokenInThePlaceOfItsDigestIsNotRepeated) {
  const std::string kSecret = "tconv_secret";
  for (const std::string& tokens :
       {fmt::format(R"("{}")", kSecret),
        fmt::format(R"({{"name": "t", "sha256": "{}", "role": "admin"}})", kSecret)}) {
    const auto rules = ParseAccessFile(File("", tokens));
    EXPECT_THAT(rules, StatusIs(StatusCode::kInvalidArgument, Not(HasSubstr("secret"))));
  }
}

TEST(AccessFileTest, FilesAreReadUpToTheirLargestSize) {
  const TempFolder folder;
  EXPECT_THAT(ReadAccessFile(folder / "none"),
              StatusIs(StatusCode::kUnavailable, HasSubstr("none")));
  EXPECT_THAT(ReadAccessFile(folder.path().string()), StatusIs(StatusCode::kUnavailable));
  testing::WriteFile(folder / "fits", std::string(1 << 20, ' '));
  EXPECT_THAT(ReadAccessFile(folder / "fits"), IsOkAndHolds(StartsWith(" ")));
  testing::WriteFile(folder / "large", std::string((1 << 20) + 1, ' '));
  EXPECT_THAT(ReadAccessFile(folder / "large"), StatusIs(StatusCode::kInvalidArgument));
}

}  // namespace
}  // namespace tconv::server
