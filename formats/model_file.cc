#include "formats/model_file.h"

#include <istream>
#include <iterator>
#include <memory>
#include <span>
#include <streambuf>
#include <utility>
#include <vector>

#include "formats/file.h"
#include "formats/hdf5_tree.h"
#include "formats/keras_model.h"
#include "formats/npy.h"
#include "formats/safetensors.h"
#include "formats/status.h"
#include "formats/steps.h"
#include "formats/weights.h"
#include "formats/zip_members.h"

namespace tconv::formats {
namespace {

// What one file holds: weights, and perhaps the JSON of their model.
class Content {
 public:
  virtual ~Content() = default;
  // Empty: the file has weights alone.
  virtual std::string ModelJson() const { return {}; }
  virtual absl::StatusOr<std::vector<Layer>> WithWeights(const ModelEntry& model,
                                                         const ReadOptions& options) const = 0;
};
using ContentOr = absl::StatusOr<std::unique_ptr<const Content>>;

absl::Status RefusePyTorch(const ReadOptions& options) {
  if (!options.from_pytorch) return absl::OkStatus();
  return Malformed("only a .npz or .safetensors has arrays of PyTorch");
}

class KerasContent final : public Content {
 public:
  KerasContent(std::string json, Hdf5Tree tree) : json_(std::move(json)), tree_(std::move(tree)) {}

  std::string ModelJson() const override { return json_; }
  absl::StatusOr<std::vector<Layer>> WithWeights(const ModelEntry& model,
                                                 const ReadOptions& options) const override {
    TCONV_FORMATS_RETURN_IF_ERROR(RefusePyTorch(options));
    return WithKerasWeights(model, tree_);
  }

 private:
  const std::string json_;
  const Hdf5Tree tree_;
};

class NamedContent final : public Content {
 public:
  explicit NamedContent(Arrays arrays) : arrays_(std::move(arrays)) {}

  absl::StatusOr<std::vector<Layer>> WithWeights(const ModelEntry& model,
                                                 const ReadOptions& options) const override {
    return WithNamedWeights(model, arrays_,
                            options.from_pytorch ? NamedLayout::kPyTorch : NamedLayout::kKeras);
  }

 private:
  const Arrays arrays_;
};

absl::StatusOr<std::span<const std::byte>> MemberOf(const ZipMembers& archive,
                                                    const std::string& name) {
  const auto member = archive.bytes.find(name);
  if (member == archive.bytes.end()) return Malformed("expected \"{}\" in the archive", name);
  return member->second;
}

ContentOr ReadKeras(const File& file) {
  TCONV_FORMATS_ASSIGN_OR_RETURN(const ZipMembers archive, ReadZip(file));
  TCONV_FORMATS_ASSIGN_OR_RETURN(const auto json, MemberOf(archive, "config.json"));
  TCONV_FORMATS_ASSIGN_OR_RETURN(const auto weights, MemberOf(archive, "model.weights.h5"));
  auto tree = ReadHdf5(weights);
  if (!tree.ok()) return At("model.weights.h5", tree.status());
  return std::make_unique<const KerasContent>(
      std::string(reinterpret_cast<const char*>(json.data()), json.size()), *std::move(tree));
}

ContentOr ReadH5(const File& file) {
  TCONV_FORMATS_ASSIGN_OR_RETURN(const std::string bytes, ReadWhole(file));
  TCONV_FORMATS_ASSIGN_OR_RETURN(Hdf5Tree tree, ReadHdf5(std::as_bytes(std::span(bytes))));
  const auto* json = tree.FindTexts("", "model_config");
  const bool has_json = json != nullptr && json->size() == 1;
  return std::make_unique<const KerasContent>(has_json ? json->front() : "", std::move(tree));
}

ContentOr ReadNpz(const File& file) {
  constexpr std::string_view kSuffix = ".npy";
  // A stream of what is in memory.
  struct View : std::streambuf {
    explicit View(std::span<const std::byte> bytes) {
      char* begin = const_cast<char*>(reinterpret_cast<const char*>(bytes.data()));
      setg(begin, begin, begin + bytes.size());
    }
  };
  TCONV_FORMATS_ASSIGN_OR_RETURN(const ZipMembers archive, ReadZip(file));
  Arrays arrays;
  for (const auto& [name, bytes] : archive.bytes) {
    if (!name.ends_with(kSuffix)) return Malformed("{}: expected an .npy file", name);
    View view(bytes);
    std::istream in(&view);
    arrays.emplace(name.substr(0, name.size() - kSuffix.size()), ReadNpy(in));
  }
  return std::make_unique<const NamedContent>(std::move(arrays));
}

ContentOr ReadTensors(const File& file) {
  TCONV_FORMATS_ASSIGN_OR_RETURN(std::string bytes, ReadWhole(file));
  TCONV_FORMATS_ASSIGN_OR_RETURN(
      Arrays arrays, ReadSafetensors(std::make_shared<const std::string>(std::move(bytes))));
  return std::make_unique<const NamedContent>(std::move(arrays));
}

struct Format {
  std::string_view suffix;
  ContentOr (*read)(const File& file);
};
// A suffix comes before those that it ends with.
constexpr Format kFormats[] = {{".keras", ReadKeras}, {".weights.h5", ReadH5},
                               {".h5", ReadH5},       {".hdf5", ReadH5},
                               {".npz", ReadNpz},     {".safetensors", ReadTensors}};

const Format* FormatOf(std::string_view path) {
  for (const Format& format : kFormats) {
    if (path.ends_with(format.suffix)) return &format;
  }
  return nullptr;
}

absl::StatusOr<std::string> ReadText(const std::string& path) {
  const auto file = OpenFile(path);
  const auto text = file.ok() ? ReadWhole(*file) : file.status();
  if (!text.ok()) return At(path, text.status());
  return *text;
}

struct Configuration {
  std::string origin;  // for messages
  std::string json;
};

absl::StatusOr<Configuration> ConfigurationOf(const std::string& path, const Content& content,
                                              const ReadOptions& options) {
  const std::string own = content.ModelJson();
  if (!own.empty()) {
    if (options.config_path.empty()) return Configuration{"the model's configuration", own};
    return Malformed("the file has a configuration of its own, {} is not needed",
                     options.config_path);
  }
  const std::string origin = options.config_path.empty() ? ConfigBeside(path) : options.config_path;
  auto text = ReadText(origin);
  if (!text.ok()) {
    return Malformed("the file has weights alone, and its configuration cannot be read: {}",
                     std::string(text.status().message()));
  }
  return Configuration{origin, *std::move(text)};
}

}  // namespace

bool IsModelFile(std::string_view path) { return FormatOf(path) != nullptr; }

std::string ConfigBeside(std::string_view path) {
  path.remove_suffix(FormatOf(path)->suffix.size());
  return std::string(path) + ".json";
}

absl::StatusOr<Model> ReadModelFile(const std::string& path, const ReadOptions& options) {
  const Format* format = FormatOf(path);
  if (format == nullptr) {
    return Malformed("expected a .keras, .weights.h5, .h5, .npz or .safetensors file");
  }
  TCONV_FORMATS_ASSIGN_OR_RETURN(const File file, OpenFile(path));
  TCONV_FORMATS_ASSIGN_OR_RETURN(const auto content, format->read(file));
  TCONV_FORMATS_ASSIGN_OR_RETURN(const Configuration config,
                                 ConfigurationOf(path, *content, options));
  auto entry = ParseModelJson(config.json);
  if (!entry.ok()) return At(config.origin, entry.status());
  TCONV_FORMATS_ASSIGN_OR_RETURN(auto layers, content->WithWeights(*entry, options));
  return Model{.name = entry->name,
               .layers = std::move(layers),
               .passed_over = entry->passed_over,
               .steps = StepsOf(*entry)};
}

}  // namespace tconv::formats
