// Any bytes as the parts of model files that are read in the process itself: safetensors,
// .npy, and the JSON of a model with what a HDF5 file might hold. Whatever they are, the
// answer is an error or arrays of their full size.
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <sstream>
#include <string>
#include <string_view>

#include "formats/keras_model.h"
#include "formats/npy.h"
#include "formats/safetensors.h"
#include "formats/steps.h"
#include "formats/weights.h"

namespace tconv::formats {
namespace {

// Stops the fuzzer, which then keeps the input.
void Check(bool condition, std::string_view what) {
  if (condition) return;
  std::cerr << what << "\n";
  std::abort();
}

void CheckArray(const Array& array) {
  const auto bytes = SizeInBytes(array.dtype, array.shape);
  Check(bytes.ok() && *bytes == array.bytes.size(), "an array of another size");
  Check(reinterpret_cast<uintptr_t>(array.bytes.data()) % SizeOf(array.dtype) == 0,
        "an array that is not aligned");
}

void CheckLayers(const absl::StatusOr<std::vector<Layer>>& layers) {
  if (!layers.ok()) return;
  for (const Layer& layer : *layers) {
    CheckArray(layer.kernel);
    if (layer.bias) CheckArray(*layer.bias);
  }
}

void ReadAsNpy(const std::string& bytes) {
  std::istringstream in(bytes);
  const auto array = ReadNpy(in);
  if (!array.ok()) return;
  CheckArray(*array);
  std::ostringstream out;
  Check(WriteNpy(out, *array).ok(), "an array that cannot be written");
  std::istringstream again(out.str());
  const auto read = ReadNpy(again);
  Check(read.ok() && read->shape == array->shape, "another array is read back");
}

Arrays ReadAsTensors(const std::string& bytes) {
  auto arrays = ReadSafetensors(std::make_shared<const std::string>(bytes));
  if (!arrays.ok()) return {};
  for (const auto& [name, array] : *arrays) {
    if (array.ok()) CheckArray(*array);
  }
  return *std::move(arrays);
}

// The texts of the attributes are the names of the arrays.
Hdf5Tree TreeOf(const Arrays& arrays) {
  Hdf5Tree tree{.datasets = arrays};
  Hdf5Tree::Texts names;
  for (const auto& [name, array] : arrays) names.push_back(name);
  tree.attributes[""]["layer_names"] = names;
  for (const std::string& name : names) tree.attributes[name]["weight_names"] = names;
  return tree;
}

// `json` and `arrays` as the two parts of a file.
void ReadAsModel(const std::string& json, const Arrays& arrays) {
  const auto model = ParseModelJson(json);
  if (!model.ok()) return;
  Check(!model->layers.empty(), "a model without layers");
  const auto steps = StepsOf(*model);
  if (steps.ok()) {
    for (const Step& step : *steps) {
      const auto* layer = std::get_if<size_t>(&step);
      Check(layer == nullptr || *layer < model->layers.size(), "a step that is not there");
    }
  }
  for (const NamedLayout layout : {NamedLayout::kKeras, NamedLayout::kPyTorch}) {
    CheckLayers(WithNamedWeights(*model, arrays, layout));
  }
  CheckLayers(WithKerasWeights(*model, {.datasets = arrays}));
  CheckLayers(WithKerasWeights(*model, TreeOf(arrays)));
}

}  // namespace
}  // namespace tconv::formats

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tconv::formats;
  const std::string bytes(reinterpret_cast<const char*>(data), size);
  ReadAsNpy(bytes);
  // A byte that neither part can have stands between them.
  const size_t end = bytes.find('\xff');
  const std::string json = bytes.substr(0, end);
  ReadAsModel(json, ReadAsTensors(end == std::string::npos ? bytes : bytes.substr(end + 1)));
  return 0;
}
