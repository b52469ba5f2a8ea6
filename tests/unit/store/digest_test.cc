#include "server/store/digest.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <string>

namespace tconv::server {
namespace {

std::string Hex(const Digest& digest) {
  std::string text;
  for (const std::byte byte : digest) text += fmt::format("{:02x}", static_cast<unsigned>(byte));
  return text;
}

TEST(DigestTest, IsXxh3In128BitsInCanonicalOrder) {
  // The published digest of no bytes.
  EXPECT_EQ(Hex(DigestBuilder().Finish()), "99aa06d3014798d86001c324468d497f");
}

TEST(DigestTest, PiecesOfOneFieldCountAsTheWhole) {
  const std::string text = "transposed";
  const auto bytes = std::as_bytes(std::span(text));
  EXPECT_EQ(DigestBuilder().AddBytes(bytes.first(4)).AddBytes(bytes.subspan(4)).Finish(),
            DigestBuilder().AddBytes(bytes).Finish());
}

TEST(DigestTest, FieldsDoNotRunIntoEachOther) {
  EXPECT_NE(DigestBuilder().Add("ab").Add("c").Finish(),
            DigestBuilder().Add("a").Add("bc").Finish());
  EXPECT_NE(DigestBuilder().Add(1).Add(2).Finish(), DigestBuilder().Add(2).Add(1).Finish());
}

}  // namespace
}  // namespace tconv::server
