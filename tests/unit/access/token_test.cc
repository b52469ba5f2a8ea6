#include "server/access/token.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <string>

namespace tconv::server {
namespace {

using ::testing::Eq;
using ::testing::Optional;

TEST(TokenTest, DigestsAreSha256) {
  // The example of FIPS 180-2.
  EXPECT_THAT(DigestFromHex("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
              Optional(DigestOf("abc")));
}

TEST(TokenTest, DigestsHaveSixtyFourDigitsOfAnyCase) {
  const std::string digits(62, '0');
  EXPECT_TRUE(DigestFromHex(digits + "aF").has_value());
  for (const std::string& wrong :
       {digits, digits + "a", digits + "abc", digits + "ag", digits + "a "}) {
    EXPECT_FALSE(DigestFromHex(wrong).has_value()) << wrong;
  }
}

TEST(TokenTest, AuthorizationIsABearerToken) {
  const std::string longest(kMaxTokenBytes, 'x');
  const struct {
    std::string authorization;
    std::optional<std::string> token;
  } kCases[] = {
      {"Bearer abc", "abc"},
      {"bEARER abc", "abc"},
      {"Bearer " + longest, longest},
      {"Bearer " + longest + "x", std::nullopt},
      {"Bearer ", std::nullopt},
      {"Bearer", std::nullopt},
      {"Basic abc", std::nullopt},
      {"abc", std::nullopt},
      {"", std::nullopt},
  };
  for (const auto& test : kCases) {
    const auto token = TokenOf(test.authorization);
    EXPECT_EQ(token.has_value(), test.token.has_value()) << test.authorization;
    EXPECT_EQ(token.value_or(""), test.token.value_or(""));
  }
}

}  // namespace
}  // namespace tconv::server
