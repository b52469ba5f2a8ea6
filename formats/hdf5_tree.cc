#include "formats/hdf5_tree.h"

#include <utility>

#include "formats/confined.h"
#include "formats/hdf5_reader.h"
#include "formats/status.h"

namespace tconv::formats {
namespace {

using Json = nlohmann::json;

absl::StatusOr<Array> DatasetOf(const Json& dataset, const Findings& findings) {
  if (dataset.contains("error")) return Malformed("{}", dataset.value("error", ""));
  TCONV_FORMATS_ASSIGN_OR_RETURN(const auto bytes, findings.Part(dataset.value("part", Json())));
  const std::string dtype = dataset.value("dtype", "");
  for (const DType candidate :
       {DType::kFloat32, DType::kFloat64, DType::kFloat16, DType::kBFloat16}) {
    if (dtype == NameOf(candidate)) {
      return MakeArray(candidate, dataset.value("shape", Shape()), bytes, findings.owner);
    }
  }
  return Malformed("expected floating-point elements, got {}", dtype);
}

}  // namespace

const Hdf5Tree::Texts* Hdf5Tree::FindTexts(const std::string& path, const std::string& name) const {
  const auto object = attributes.find(path);
  if (object == attributes.end()) return nullptr;
  const auto texts = object->second.find(name);
  return texts == object->second.end() ? nullptr : &texts->second;
}

absl::StatusOr<Hdf5Tree> ReadHdf5(std::span<const std::byte> file) {
  TCONV_FORMATS_ASSIGN_OR_RETURN(
      const Findings findings, RunConfined(static_cast<int64_t>(file.size()),
                                           [file](Attic& attic) { return DumpHdf5(file, attic); }));
  Hdf5Tree tree;
  const Json datasets = findings.answer.value("datasets", Json::object());
  for (const auto& [path, dataset] : datasets.items()) {
    tree.datasets.emplace(path, DatasetOf(dataset, findings));
  }
  using Attributes = std::map<std::string, std::map<std::string, Hdf5Tree::Texts>>;
  tree.attributes = findings.answer.value("attributes", Attributes());
  return tree;
}

}  // namespace tconv::formats
