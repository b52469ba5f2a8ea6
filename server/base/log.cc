#include "server/base/log.h"

#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <cctype>
#include <iterator>
#include <memory>

namespace tconv::server {
namespace {

constexpr char kTextPattern[] = "%Y-%m-%d %H:%M:%S.%e %^%-8l%$ %v";
// What all JSON lines begin with.
constexpr char kJsonPrefix[] =
    R"({"time":"%Y-%m-%dT%H:%M:%S.%e%z","level":"%l","thread":%t,"message":)";

// The text as the inside of a JSON string.
template <typename Buffer>
void AppendEscaped(std::string_view text, Buffer& out) {
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out.push_back('\\');
      out.push_back(c);
    } else if (const auto byte = static_cast<unsigned char>(c); byte < 0x20 || byte == 0x7f) {
      fmt::format_to(std::back_inserter(out), "\\u{:04x}", static_cast<unsigned>(byte));
    } else {
      out.push_back(c);
    }
  }
}

void AppendQuoted(std::string_view text, std::string& out) {
  out.push_back('"');
  AppendEscaped(text, out);
  out.push_back('"');
}

bool IsPlainWord(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '_' || c == '-' || c == '.';
  });
}

// %* in a pattern: the message as the inside of a JSON string.
class JsonMessageFlag : public spdlog::custom_flag_formatter {
 public:
  void format(const spdlog::details::log_msg& message, const std::tm&,
              spdlog::memory_buf_t& out) override {
    AppendEscaped({message.payload.data(), message.payload.size()}, out);
  }

  std::unique_ptr<custom_flag_formatter> clone() const override {
    return std::make_unique<JsonMessageFlag>();
  }
};

// What records are written to that bring their own JSON; null while they are text.
std::shared_ptr<spdlog::logger>& JsonRecords() {
  static std::shared_ptr<spdlog::logger> logger;
  return logger;
}

StatusOr<spdlog::level::level_enum> ParseLevel(std::string_view field, const std::string& level) {
  const auto parsed = spdlog::level::from_str(level);
  if (parsed == spdlog::level::off && level != "off") {
    return InvalidField(
        field, "expected trace, debug, info, warning, error, critical or off, got \"{}\"", level);
  }
  return parsed;
}

std::shared_ptr<spdlog::logger> MakeLogger(const std::string& name, const std::string& pattern,
                                           spdlog::level::level_enum level) {
  auto logger = spdlog::stderr_color_mt(name);
  auto formatter = std::make_unique<spdlog::pattern_formatter>();
  formatter->add_flag<JsonMessageFlag>('*').set_pattern(pattern);
  logger->set_formatter(std::move(formatter));
  logger->set_level(level);
  logger->flush_on(spdlog::level::warn);
  return logger;
}

// The members of an object behind the first.
std::string AsMembers(std::string_view message, const std::vector<LogField>& fields) {
  std::string members;
  AppendQuoted(message, members);
  for (const LogField& field : fields) {
    members += ",\"";
    members += field.key;
    members += "\":";
    if (const auto* number = std::get_if<int64_t>(&field.value)) {
      members += std::to_string(*number);
    } else {
      AppendQuoted(std::get<std::string_view>(field.value), members);
    }
  }
  return members;
}

std::string AsText(std::string_view message, const std::vector<LogField>& fields) {
  std::string line(message);
  for (const LogField& field : fields) {
    line += ' ';
    line += field.key;
    line += '=';
    if (const auto* number = std::get_if<int64_t>(&field.value)) {
      line += std::to_string(*number);
    } else if (const auto text = std::get<std::string_view>(field.value); IsPlainWord(text)) {
      line += text;
    } else {
      AppendQuoted(text, line);
    }
  }
  return line;
}

}  // namespace

Status SetUpLog(LogFormat format, const std::string& level) {
  TCONV_ASSIGN_OR_RETURN(const auto parsed, ParseLevel("log-level", level));
  if (format == LogFormat::kText) {
    spdlog::set_default_logger(MakeLogger("tconv", kTextPattern, parsed));
    JsonRecords() = nullptr;
    return OkStatus();
  }
  const std::string prefix = kJsonPrefix;
  spdlog::set_default_logger(MakeLogger("tconv", prefix + R"("%*"})", parsed));
  JsonRecords() = MakeLogger("tconv records", prefix + "%v}", parsed);
  return OkStatus();
}

Status SetLogLevel(const std::string& level) {
  TCONV_ASSIGN_OR_RETURN(const auto parsed, ParseLevel("level", level));
  spdlog::set_level(parsed);
  return OkStatus();
}

std::string LogLevel() {
  const auto name = spdlog::level::to_string_view(spdlog::get_level());
  return {name.data(), name.size()};
}

void LogRecord(spdlog::level::level_enum level, std::string_view message,
               const std::vector<LogField>& fields) {
  if (const auto& records = JsonRecords(); records != nullptr) {
    records->log(level, "{}", AsMembers(message, fields));
  } else {
    spdlog::log(level, "{}", AsText(message, fields));
  }
}

}  // namespace tconv::server
