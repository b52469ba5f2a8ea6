// Any text: the JSON reader either refuses it, or reads a layer that survives
// being printed and being sent.
#include <google/protobuf/util/message_differencer.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "server/wire/keras_json.h"
#include "server/wire/layer_codec.h"
#include "tests/fuzz/keras_text.h"

namespace tconv::server {
namespace {

void CheckSameLayer(const StatusOr<LayerConfig>& back, const v1::LayerConfig& expected) {
  Check(back.ok(), "not read back", back.status().ToString());
  Check(google::protobuf::util::MessageDifferencer::Equals(ToProto(*back), expected),
        "read back as another layer", expected.ShortDebugString());
}

void CheckText(std::string_view text) {
  const StatusOr<KerasLayer> layer = ParseKerasJson(text);
  if (!layer.ok()) return CheckRefusal(layer.status());
  const StatusOr<LayerConfig> config = LayerConfigFromProto(layer->config);
  if (!config.ok()) return CheckRefusal(config.status());

  const v1::LayerConfig message = ToProto(*config);
  CheckSameLayer(LayerConfigFromProto(message), message);

  constexpr int64_t kInChannels = 3;
  const std::optional<std::string> printed = ToKerasJson(*config, kInChannels);
  Check(printed.has_value(), "read from JSON but not printed", message.ShortDebugString());
  const StatusOr<KerasLayer> reread = ParseKerasJson(*printed);
  Check(reread.ok(), "printed but not read", *printed);
  Check(reread->build_shape.size() == static_cast<size_t>(config->tensor_rank()),
        "lost the build shape", *printed);
  CheckSameLayer(LayerConfigFromProto(reread->config), message);
}

}  // namespace
}  // namespace tconv::server

extern "C" int LLVMFuzzerInitialize(int* argc, char*** argv) {
  tconv::server::SeedFromGoldenCases("layer.json", argc, argv);
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  tconv::server::CheckText({reinterpret_cast<const char*>(data), size});
  return 0;
}
