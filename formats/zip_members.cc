#include "formats/zip_members.h"

#include <unistd.h>
#include <zip.h>

#include <algorithm>
#include <vector>

#include "formats/confined.h"
#include "formats/status.h"

namespace tconv::formats {
namespace {

using Json = nlohmann::json;
using Archive = std::unique_ptr<zip_t, decltype(&zip_discard)>;
using Member = std::unique_ptr<zip_file_t, decltype(&zip_fclose)>;

constexpr zip_int64_t kMostMembers = 100'000;

absl::StatusOr<Archive> Open(const File& file) {
  int code = 0;
  // Closed with the archive.
  Archive archive(zip_fdopen(dup(file.fd()), ZIP_CHECKCONS, &code), &zip_discard);
  if (archive != nullptr) return archive;
  zip_error_t error;
  zip_error_init_with_code(&error, code);
  const std::string reason = zip_error_strerror(&error);
  zip_error_fini(&error);
  return Malformed("expected a ZIP archive: {}", reason);
}

// A part of the attic, and where it is.
absl::StatusOr<Json> Unpack(zip_t* archive, zip_uint64_t index, Attic& attic) {
  const Member member(zip_fopen_index(archive, index, 0), &zip_fclose);
  if (member == nullptr) return Malformed("{}", zip_strerror(archive));
  TCONV_FORMATS_RETURN_IF_ERROR(attic.Begin());
  std::vector<std::byte> piece(1 << 20);
  for (;;) {
    const zip_int64_t count = zip_fread(member.get(), piece.data(), piece.size());
    if (count < 0) return Malformed("{}", zip_file_strerror(member.get()));
    if (count == 0) return attic.Part();
    TCONV_FORMATS_RETURN_IF_ERROR(attic.Append(std::span(piece).first(static_cast<size_t>(count))));
  }
}

absl::StatusOr<Json> UnpackAll(const File& file, Attic& attic) {
  TCONV_FORMATS_ASSIGN_OR_RETURN(const Archive archive, Open(file));
  const zip_int64_t count = zip_get_num_entries(archive.get(), 0);
  if (count > kMostMembers) return Malformed("expected at most {} members", kMostMembers);
  Json members = Json::object();
  for (zip_uint64_t i = 0; i < static_cast<zip_uint64_t>(std::max(count, zip_int64_t{0})); ++i) {
    const char* raw_name = zip_get_name(archive.get(), i, 0);
    const std::string name = raw_name == nullptr ? "" : raw_name;
    if (members.contains(name)) return Malformed("{}: the archive has it twice", name);
    auto member = Unpack(archive.get(), i, attic);
    if (!member.ok()) return At(name, member.status());
    members[name] = *std::move(member);
  }
  return members;
}

}  // namespace

absl::StatusOr<ZipMembers> ReadZip(const File& file) {
  TCONV_FORMATS_ASSIGN_OR_RETURN(
      const Findings findings,
      RunConfined(file.size_bytes(), [&file](Attic& attic) { return UnpackAll(file, attic); }));
  ZipMembers members{.owner = findings.owner};
  for (const auto& [name, part] : findings.answer.items()) {
    TCONV_FORMATS_ASSIGN_OR_RETURN(members.bytes[name], findings.Part(part));
  }
  return members;
}

}  // namespace tconv::formats
