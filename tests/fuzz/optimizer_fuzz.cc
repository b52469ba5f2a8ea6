// Any text: the JSON reader either refuses it, or reads an optimizer that survives
// being printed and being sent.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "server/wire/optimizer_codec.h"
#include "tests/fuzz/keras_text.h"

namespace tconv::server {
namespace {

void CheckSame(const StatusOr<Optimizer>& back, const Optimizer& expected,
               const std::string& context) {
  Check(back.ok(), "not read back", context);
  Check(*back == expected, "read back as another optimizer", context);
}

void CheckText(std::string_view text) {
  const StatusOr<Optimizer> optimizer = OptimizerFromKerasJson(text);
  if (!optimizer.ok()) return CheckRefusal(optimizer.status());

  const v1::KerasObject message = ToProto(*optimizer);
  CheckSame(OptimizerFromProto(message), *optimizer, message.ShortDebugString());
  const std::string printed = ToKerasJson(*optimizer);
  CheckSame(OptimizerFromKerasJson(printed), *optimizer, printed);
}

}  // namespace
}  // namespace tconv::server

extern "C" int LLVMFuzzerInitialize(int* argc, char*** argv) {
  tconv::server::SeedFromGoldenCases("optimizer.json", argc, argv);
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  tconv::server::CheckText({reinterpret_cast<const char*>(data), size});
  return 0;
}
