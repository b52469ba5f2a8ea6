#include "formats/file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "formats/status.h"

namespace tconv::formats {

File::~File() {
  if (fd_ >= 0) close(fd_);
}

absl::StatusOr<File> OpenFile(const std::string& path) {
  // Opening a pipe would wait for a writer.
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return Malformed("{}", std::strerror(errno));
  struct stat facts = {};
  const bool is_known = fstat(fd, &facts) == 0;
  File file(fd, facts.st_size);
  if (!is_known || !S_ISREG(facts.st_mode)) return Malformed("expected a file");
  return file;
}

absl::Status WriteAll(int fd, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t count = write(fd, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return absl::ResourceExhaustedError(std::strerror(errno));
    bytes = bytes.subspan(static_cast<size_t>(count));
  }
  return absl::OkStatus();
}

absl::StatusOr<File> MakeMemoryFile() {
  const int fd = memfd_create("tconv", MFD_CLOEXEC);
  if (fd < 0) return absl::InternalError(fmt::format("memfd_create: {}", std::strerror(errno)));
  return File(fd, 0);
}

absl::StatusOr<std::string> ReadWhole(const File& file) {
  constexpr int64_t kPieceBytes = 64 << 20;
  std::string content;
  for (ssize_t count = 1; count > 0;) {
    const size_t begin = content.size();
    const int64_t left = file.size_bytes() - static_cast<int64_t>(begin);
    // One byte more, to see the end of the file.
    content.resize(begin + static_cast<size_t>(std::clamp(left, int64_t{1}, kPieceBytes)));
    count = pread(file.fd(), &content[begin], content.size() - begin, static_cast<off_t>(begin));
    if (count < 0) return Malformed("{}", std::strerror(errno));
    content.resize(begin + static_cast<size_t>(count));
  }
  return content;
}

}  // namespace tconv::formats
