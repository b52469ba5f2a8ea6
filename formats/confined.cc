#include "formats/confined.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <exception>
#include <new>
#include <string>

#include "formats/file.h"
#include "formats/status.h"
#include "formats/strict_json.h"

namespace tconv::formats {
namespace {

using Json = nlohmann::json;

constexpr int64_t kPartAlignment = 64;
constexpr int64_t kLeastUnpackedBytes = 64 << 20;
constexpr int64_t kMostUnpacking = 16;
// For the libraries themselves, which hold one array at a time.
constexpr int64_t kLibraryBytes = 256 << 20;
constexpr int64_t kLeastSeconds = 10;
constexpr int64_t kBytesPerSecond = 8 << 20;
constexpr int64_t kMostWaiting = 10;
// The answer has the configuration of the model, which is a text in the file.
constexpr JsonLimits kAnswerLimits = {.bytes = size_t{256} << 20, .levels = 8};

int64_t MostUnpackedBytes(int64_t file_bytes) {
  return kLeastUnpackedBytes + kMostUnpacking * file_bytes;
}

// The addresses that the process has mapped: sanitizers take terabytes of them.
int64_t AddressSpaceBytes() {
  int64_t pages = 0;
  std::FILE* statm = std::fopen("/proc/self/statm", "re");
  if (statm == nullptr) return 0;
  const bool is_known = std::fscanf(statm, "%ld", &pages) == 1;
  std::fclose(statm);
  return is_known ? pages * sysconf(_SC_PAGESIZE) : 0;
}

void Limit(decltype(RLIMIT_AS) resource, int64_t most) {
  const auto value = static_cast<rlim_t>(most);
  const rlimit limit = {value, value};
  setrlimit(resource, &limit);
}

void LimitSelf(int64_t file_bytes) {
  const int64_t unpacked = MostUnpackedBytes(file_bytes);
  Limit(RLIMIT_AS, AddressSpaceBytes() + unpacked + kLibraryBytes);
  Limit(RLIMIT_FSIZE, unpacked + static_cast<int64_t>(kAnswerLimits.bytes));
  const int64_t seconds = kLeastSeconds + file_bytes / kBytesPerSecond;
  Limit(RLIMIT_CPU, seconds);
  Limit(RLIMIT_CORE, 0);
  // Ends a reader that waits for what never comes, as for a lock that a thread of the parent had.
  alarm(static_cast<unsigned>(std::min<int64_t>(kMostWaiting * seconds, UINT32_MAX)));
}

// What a library says when it aborts is not for whoever asked.
void MuteStandardStreams() {
  const int nowhere = open("/dev/null", O_RDWR);
  if (nowhere < 0) return;
  for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) dup2(nowhere, stream);
}

absl::StatusOr<Json> Read(const ConfinedReader& read, Attic& attic) {
  try {
    return read(attic);
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError("it takes far more memory than the file has bytes");
  } catch (const std::exception& error) {
    return absl::InternalError(error.what());
  }
}

[[noreturn]] void BeReader(int64_t file_bytes, const ConfinedReader& read, int attic_fd,
                           int answer_fd) {
  // Handlers of the parent would act for it.
  for (const int number : {SIGTERM, SIGINT, SIGABRT, SIGSEGV, SIGBUS, SIGXCPU, SIGXFSZ, SIGALRM}) {
    std::signal(number, SIG_DFL);
  }
  MuteStandardStreams();
  LimitSelf(file_bytes);
  Attic attic(attic_fd, MostUnpackedBytes(file_bytes));
  const absl::StatusOr<Json> found = Read(read, attic);
  const Json answer =
      found.ok() ? Json{{"found", *found}} : Json{{"error", std::string(found.status().message())}};
  const std::string text = answer.dump(-1, ' ', false, Json::error_handler_t::replace);
  _exit(WriteAll(answer_fd, std::as_bytes(std::span(text))).ok() ? 0 : 1);
}

absl::Status CheckEnd(pid_t reader) {
  int state = 0;
  while (waitpid(reader, &state, 0) < 0) {
    if (errno != EINTR) {
      return absl::InternalError(fmt::format("waitpid: {}", std::strerror(errno)));
    }
  }
  if (WIFEXITED(state) && WEXITSTATUS(state) == 0) return absl::OkStatus();
  const int signal = WIFSIGNALED(state) ? WTERMSIG(state) : 0;
  if (signal == SIGXCPU || signal == SIGKILL || signal == SIGALRM) {
    return Malformed("the file is damaged: reading it takes too long");
  }
  return Malformed("the file is damaged: it crashed its reader");
}

absl::StatusOr<Findings> Collect(int attic_fd, int answer_fd) {
  struct stat facts = {};
  if (fstat(answer_fd, &facts) != 0) return absl::InternalError(std::strerror(errno));
  const auto text = ReadWhole(File(dup(answer_fd), facts.st_size));
  if (!text.ok()) return text.status();
  TCONV_FORMATS_ASSIGN_OR_RETURN(const Json answer, ParseStrictJson(*text, kAnswerLimits));
  if (answer.contains("error")) return Malformed("{}", answer.value("error", ""));
  Findings findings{.answer = answer.value("found", Json())};
  if (fstat(attic_fd, &facts) != 0) return absl::InternalError(std::strerror(errno));
  if (facts.st_size == 0) return findings;
  const auto bytes = static_cast<size_t>(facts.st_size);
  void* memory = mmap(nullptr, bytes, PROT_READ, MAP_PRIVATE, attic_fd, 0);
  if (memory == MAP_FAILED) return absl::ResourceExhaustedError(std::strerror(errno));
  findings.attic = {static_cast<const std::byte*>(memory), bytes};
  findings.owner = std::shared_ptr<const void>(
      memory, [bytes](const void* mapped) { munmap(const_cast<void*>(mapped), bytes); });
  return findings;
}

}  // namespace

absl::Status Attic::Begin() {
  static constexpr std::array<std::byte, kPartAlignment> kGap = {};
  const int64_t gap = (kPartAlignment - size_bytes_ % kPartAlignment) % kPartAlignment;
  TCONV_FORMATS_RETURN_IF_ERROR(Append(std::span(kGap).first(static_cast<size_t>(gap))));
  part_begin_ = size_bytes_;
  return absl::OkStatus();
}

absl::Status Attic::Append(std::span<const std::byte> bytes) {
  size_bytes_ += static_cast<int64_t>(bytes.size());
  if (size_bytes_ > most_bytes_) {
    return absl::ResourceExhaustedError(fmt::format(
        "it unpacks to more than {} bytes, which is too much for its size", most_bytes_));
  }
  return WriteAll(fd_, bytes);
}

Json Attic::Part() const { return {{"offset", part_begin_}, {"bytes", size_bytes_ - part_begin_}}; }

absl::StatusOr<std::span<const std::byte>> Findings::Part(const Json& part) const {
  const auto number = [&part](const char* key) {
    const auto value = part.find(key);
    return value != part.end() && value->is_number_unsigned() ? value->get<size_t>() : SIZE_MAX;
  };
  const size_t offset = number("offset");
  const size_t bytes = number("bytes");
  if (offset > attic.size() || bytes > attic.size() - offset) {
    return Malformed("the file is damaged: its reader found what is not there");
  }
  return attic.subspan(offset, bytes);
}

absl::StatusOr<Findings> RunConfined(int64_t file_bytes, const ConfinedReader& read) {
  TCONV_FORMATS_ASSIGN_OR_RETURN(const File attic, MakeMemoryFile());
  TCONV_FORMATS_ASSIGN_OR_RETURN(const File answer, MakeMemoryFile());
  const pid_t reader = fork();
  if (reader < 0) return absl::InternalError(fmt::format("fork: {}", std::strerror(errno)));
  if (reader == 0) BeReader(file_bytes, read, attic.fd(), answer.fd());
  TCONV_FORMATS_RETURN_IF_ERROR(CheckEnd(reader));
  return Collect(attic.fd(), answer.fd());
}

}  // namespace tconv::formats
