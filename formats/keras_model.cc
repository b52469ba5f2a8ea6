#include "formats/keras_model.h"

#include <algorithm>
#include <cctype>
#include <map>
#include <set>
#include <utility>

#include "formats/status.h"
#include "formats/strict_json.h"

namespace tconv::formats {
namespace {

using Json = nlohmann::json;

// Of the largest models; their nesting takes some levels for each model.
constexpr JsonLimits kModelLimits = {.bytes = size_t{64} << 20, .levels = 256};
constexpr int64_t kMostFilters = int64_t{1} << 31;

constexpr std::string_view kClasses[] = {"Conv1DTranspose",        "Conv2DTranspose",
                                         "Conv3DTranspose",        "Convolution1DTranspose",
                                         "Convolution2DTranspose", "Convolution3DTranspose"};

bool IsUpper(char c) { return std::isupper(static_cast<unsigned char>(c)) != 0; }
bool IsLower(char c) { return std::islower(static_cast<unsigned char>(c)) != 0; }

const Json* Find(const Json& object, const char* key) {
  if (!object.is_object()) return nullptr;
  const auto member = object.find(key);
  return member == object.end() ? nullptr : &*member;
}

absl::StatusOr<int64_t> ReadSize(const Json& json) {
  if (!json.is_number_unsigned() || json.get<uint64_t>() > kMostFilters) {
    return Malformed("expected a size, got {}", Excerpt(json));
  }
  return json.get<int64_t>();
}

// [kernel_size..., filters, -1]. `config` is that of a layer with `rank` spatial axes.
absl::StatusOr<Shape> ReadKernelShape(const Json& config, size_t rank) {
  Shape shape;
  const Json* size = Find(config, "kernel_size");
  if (size == nullptr) return Malformed("kernel_size: expected one");
  for (size_t axis = 0; axis < rank; ++axis) {
    if (size->is_array() && size->size() != rank) {
      return Malformed("kernel_size: expected {} sizes, got {}", rank, Excerpt(*size));
    }
    const auto extent = ReadSize(size->is_array() ? (*size)[axis] : *size);
    if (!extent.ok()) return At("kernel_size", extent.status());
    shape.push_back(*extent);
  }
  const Json* filters = Find(config, "filters");
  const auto count = ReadSize(filters == nullptr ? Json() : *filters);
  if (!count.ok()) return At("filters", count.status());
  shape.insert(shape.end(), {*count, -1});
  return shape;
}

// The digit of "Conv2DTranspose".
size_t RankOf(std::string_view class_name) {
  return static_cast<size_t>(class_name[class_name.find('D') - 1] - '0');
}

// A get_config() says by its kernel size alone which layer it is of.
Json Serialized(const Json& config) {
  const Json* size = Find(config, "kernel_size");
  if (size == nullptr || !size->is_array() || size->size() < 1 || size->size() > 3) return config;
  return {{"class_name", fmt::format("Conv{}DTranspose", size->size())}, {"config", config}};
}

// Where a list of layers stands in the whole.
struct Place {
  std::string group;      // of the weights, with a slash at the end
  std::string outermost;  // empty on the level of the outermost model
  std::string models;     // names of the nested models, each with a dot behind
};

class Walk {
 public:
  explicit Walk(ModelEntry& entry) : entry_(entry) {}

  absl::Status TakeLayers(const Json& layers, const Place& place) {
    std::map<std::string, int> used;
    for (const Json& layer : layers) {
      const std::string class_name = TextAt(layer, "class_name");
      if (class_name.empty()) return Malformed("expected a layer, got {}", Excerpt(layer));
      // Loading goes by the class and how often it was before, not by the name.
      const std::string stem = ToSnakeCase(class_name);
      const int before = used[stem]++;
      const std::string counted = before == 0 ? stem : fmt::format("{}_{}", stem, before);
      TCONV_FORMATS_RETURN_IF_ERROR(TakeLayer(layer, class_name, counted, place));
    }
    return absl::OkStatus();
  }

 private:
  absl::Status TakeLayer(const Json& layer, const std::string& class_name,
                         const std::string& counted, const Place& place) {
    const Json* config = Find(layer, "config");
    std::string name = config == nullptr ? "" : TextAt(*config, "name");
    if (name.empty()) name = TextAt(layer, "name");
    if (name.empty()) name = counted;
    const std::string outermost = place.outermost.empty() ? name : place.outermost;
    if (const Json* nested = LayersOf(layer)) {
      entry_.passed_over.push_back(fmt::format("{} ({})", name, class_name));
      return TakeLayers(*nested,
                        {place.group + counted + "/layers/", outermost, place.models + name + "."});
    }
    if (!IsTransposedConvolution(class_name)) {
      entry_.passed_over.push_back(fmt::format("{} ({})", name, class_name));
      return absl::OkStatus();
    }
    if (config == nullptr) return Malformed("{}: expected a config", name);
    auto kernel = ReadKernelShape(*config, RankOf(class_name));
    if (!kernel.ok()) return At(name, kernel.status());
    const Json* use_bias = Find(*config, "use_bias");
    if (use_bias != nullptr && !use_bias->is_boolean()) {
      return Malformed("{}: use_bias: expected true or false, got {}", name, Excerpt(*use_bias));
    }
    entry_.layers.push_back({.name = name,
                             .address = place.models + name,
                             .class_name = class_name,
                             .json = layer,
                             .kernel_shape = *std::move(kernel),
                             .use_bias = use_bias == nullptr || use_bias->get<bool>(),
                             .weights_group = place.group + counted,
                             .outermost = outermost,
                             .is_nested = !place.models.empty()});
    return absl::OkStatus();
  }

  ModelEntry& entry_;
};

// Short names where they tell layers apart.
void ShortenAddresses(std::vector<LayerEntry>& layers) {
  std::map<std::string, int> count;
  for (const LayerEntry& layer : layers) ++count[layer.name];
  for (LayerEntry& layer : layers) {
    if (count[layer.name] == 1) layer.address = layer.name;
  }
}

absl::Status CheckAddresses(const std::vector<LayerEntry>& layers) {
  std::set<std::string> seen;
  for (const LayerEntry& layer : layers) {
    if (!seen.insert(layer.address).second) {
      return Malformed("expected layers of different names, got \"{}\" twice", layer.address);
    }
  }
  return absl::OkStatus();
}

}  // namespace

const Json* LayersOf(const Json& model) {
  const Json* config = Find(model, "config");
  if (config == nullptr) return nullptr;
  // The oldest Sequentials have no more in their config than this list.
  const bool is_list = config->is_array() && TextAt(model, "class_name") == "Sequential";
  const Json* layers = is_list ? config : Find(*config, "layers");
  return layers != nullptr && layers->is_array() ? layers : nullptr;
}

bool IsTransposedConvolution(std::string_view class_name) {
  return std::count(std::begin(kClasses), std::end(kClasses), class_name) > 0;
}

std::string ToSnakeCase(std::string_view class_name) {
  std::string word;
  for (const char c : class_name) {
    if (std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_') word += c;
  }
  std::string snake;
  for (size_t i = 0; i < word.size(); ++i) {
    const bool begins_word =
        i > 0 && IsUpper(word[i]) &&
        ((i + 1 < word.size() && IsLower(word[i + 1])) || IsLower(word[i - 1]));
    if (begins_word) snake += '_';
    snake += static_cast<char>(std::tolower(static_cast<unsigned char>(word[i])));
  }
  return snake;
}

std::string TextAt(const Json& object, const char* key) {
  const Json* text = Find(object, key);
  return text != nullptr && text->is_string() ? text->get<std::string>() : "";
}

absl::StatusOr<ModelEntry> ParseModelJson(std::string_view text) {
  ModelEntry entry;
  TCONV_FORMATS_ASSIGN_OR_RETURN(entry.json, ParseStrictJson(text, kModelLimits));
  const Json* layers = LayersOf(entry.json);
  if (layers != nullptr) {
    entry.name = TextAt(entry.json["config"], "name");
    if (entry.name.empty()) entry.name = ToSnakeCase(TextAt(entry.json, "class_name"));
  } else {
    if (!entry.json.is_array()) entry.json = Json::array({entry.json});
    for (Json& layer : entry.json) layer = Serialized(layer);
    layers = &entry.json;
  }
  TCONV_FORMATS_RETURN_IF_ERROR(
      Walk(entry).TakeLayers(*layers, {.group = "layers/", .outermost = {}, .models = {}}));
  if (entry.layers.empty()) {
    return Malformed("expected a Conv1DTranspose, Conv2DTranspose or Conv3DTranspose, got {}",
                     fmt::join(entry.passed_over, ", "));
  }
  ShortenAddresses(entry.layers);
  TCONV_FORMATS_RETURN_IF_ERROR(CheckAddresses(entry.layers));
  return entry;
}

}  // namespace tconv::formats
