#include "server/access/access_control.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/support/status_matchers.h"

namespace tconv::server {
namespace {

using ::testing::HasSubstr;
using ::testing::IsNull;
using testing::IsOk;
using ::testing::NotNull;
using testing::StatusIs;

AccessRules Rules() {
  return {
      .tenants = {{.name = "vision", .prefixes = {"vision-"}, .limits = {.in_flight_bytes = 8}}},
      .tokens = {{.name = "trainer",
                  .digest = DigestOf("w"),
                  .role = Role::kWrite,
                  .prefixes = {"vision-"},
                  .tenant = "vision"},
                 {.name = "monitor",
                  .digest = DigestOf("r"),
                  .role = Role::kRead,
                  .prefixes = {"vision-", "nlp-"},
                  .tenant = ""},
                 {.name = "operator",
                  .digest = DigestOf("a"),
                  .role = Role::kAdmin,
                  .prefixes = {""},
                  .tenant = ""}}};
}

class AccessControlTest : public ::testing::Test {
 protected:
  AccessControlTest() { access_.Replace(Rules()); }

  Caller CallerWith(const std::string& token) const {
    return access_.Identify("Bearer " + token).value();
  }

  AccessControl access_;
};

TEST(OpenAccessTest, WithoutRulesEverybodyMayDoEverything) {
  const AccessControl access;
  EXPECT_TRUE(access.IsOpen());
  for (const auto authorization : {std::optional<std::string_view>(), {"Bearer x"}}) {
    const auto caller = access.Identify(authorization);
    ASSERT_THAT(caller, IsOk());
    EXPECT_THAT(caller->CheckRole(Role::kAdmin), IsOk());
    EXPECT_THAT(caller->CheckLayer("any"), IsOk());
    EXPECT_EQ(caller->name_prefix(), "");
    EXPECT_THAT(caller->tenant(), IsNull());
  }
  EXPECT_THAT(access.OwnerOf("vision-1"), IsNull());
}

TEST_F(AccessControlTest, WhoHasNoTokenThatTheServerKnowsIsNotAuthenticated) {
  EXPECT_THAT(access_.Identify(std::nullopt), StatusIs(StatusCode::kUnauthenticated));
  for (const char* wrong : {"", "Bearer x", "Bearer W", "Basic w", "w", "Bearer  w"}) {
    EXPECT_THAT(access_.Identify(wrong), StatusIs(StatusCode::kUnauthenticated)) << wrong;
  }
  EXPECT_THAT(access_.Identify("Bearer w"), IsOk());
}

TEST_F(AccessControlTest, ARoleIncludesThoseBeforeIt) {
  const struct {
    const char* token;
    Role role;
  } kCases[] = {{"r", Role::kRead}, {"w", Role::kWrite}, {"a", Role::kAdmin}};
  for (const auto& test : kCases) {
    for (const Role needed : {Role::kRead, Role::kWrite, Role::kAdmin}) {
      EXPECT_EQ(CallerWith(test.token).CheckRole(needed).ok(), needed <= test.role)
          << test.token << " for " << NameOf(needed);
    }
  }
  EXPECT_THAT(CallerWith("r").CheckRole(Role::kWrite),
              StatusIs(StatusCode::kPermissionDenied, HasSubstr("\"monitor\"")));
}

TEST_F(AccessControlTest, LayersAreThoseWithThePrefixes) {
  EXPECT_THAT(CallerWith("w").CheckLayer("vision-1"), IsOk());
  EXPECT_THAT(CallerWith("r").CheckLayer("nlp-1"), IsOk());
  EXPECT_THAT(CallerWith("a").CheckLayer("anything"), IsOk());
  for (const char* other : {"nlp-1", "vision", "Vision-1", "x-vision-1", ""}) {
    EXPECT_THAT(CallerWith("w").CheckLayer(other), StatusIs(StatusCode::kPermissionDenied))
        << other;
  }
}

TEST_F(AccessControlTest, CallsCountForTheirTenantAndLayersForTheirOwner) {
  EXPECT_THAT(CallerWith("r").tenant(), IsNull());
  ASSERT_THAT(CallerWith("w").tenant(), NotNull());
  EXPECT_EQ(CallerWith("w").tenant()->rules.name, "vision");
  EXPECT_EQ(access_.OwnerOf("vision-1"), CallerWith("w").tenant());
  EXPECT_THAT(access_.OwnerOf("nlp-1"), IsNull());
}

TEST_F(AccessControlTest, NewRulesHoldForTheNextCallAndKeepWhatIsInUse) {
  const Caller before = CallerWith("w");
  ASSERT_THAT(before.tenant()->allowance->Enter(8), IsOk());
  AccessRules rules = Rules();
  rules.tokens.erase(rules.tokens.begin() + 1);
  rules.tenants[0].limits.in_flight_bytes = 9;
  access_.Replace(std::move(rules));
  EXPECT_THAT(access_.Identify("Bearer r"), StatusIs(StatusCode::kUnauthenticated));
  Allowance& allowance = *CallerWith("w").tenant()->allowance;
  EXPECT_EQ(allowance.bytes_in_flight(), 8);
  EXPECT_THAT(allowance.Enlarge(1), IsOk());
  EXPECT_THAT(allowance.Enlarge(1), StatusIs(StatusCode::kResourceExhausted));
}

TEST_F(AccessControlTest, AFileWithoutTokensLetsNobodyIn) {
  access_.Replace({});
  EXPECT_FALSE(access_.IsOpen());
  EXPECT_THAT(access_.Identify("Bearer a"), StatusIs(StatusCode::kUnauthenticated));
}

}  // namespace
}  // namespace tconv::server
