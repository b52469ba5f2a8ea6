#include "tests/golden/golden_case.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <stdexcept>

#include "client/cli/npy.h"
#include "server/tensor/tensor.h"
#include "server/wire/tensor_codec.h"

namespace tconv::testing {
namespace {

nlohmann::json ReadJson(const std::string& path) {
  std::ifstream file(path);
  if (!file) throw std::runtime_error("cannot read " + path);
  return nlohmann::json::parse(file);
}

std::vector<GoldenCase> LoadGoldenCases() {
  const std::string root = TCONV_GOLDEN_DIR;
  std::vector<GoldenCase> cases;
  for (const auto& entry : ReadJson(root + "/index.json")) {
    GoldenCase golden;
    golden.id = entry.at("id");
    golden.kind = entry.at("kind");
    golden.directory = root + "/" + golden.id;
    golden.expect = ReadJson(golden.directory + "/expect.json");
    golden.config = ReadJson(golden.directory + "/config.json");
    cases.push_back(std::move(golden));
  }
  return cases;
}

}  // namespace

std::string GoldenCase::SerializedLayer() const {
  const std::string recorded = directory + "/layer.json";
  if (std::filesystem::exists(recorded)) return ReadJson(recorded).dump();
  return nlohmann::json{{"class_name", expect.at("class_name")}, {"config", config}}.dump();
}

nlohmann::json GoldenCase::Keras3Config() const {
  return ReadJson(directory + "/config_keras3.json");
}

bool GoldenCase::HasArray(const std::string& name) const {
  return std::filesystem::exists(directory + "/" + name + ".npy");
}

Tensor GoldenCase::Array(const std::string& name) const {
  std::ifstream file(directory + "/" + name + ".npy", std::ios::binary);
  return cli::ReadNpy(file).value();
}

Weights GoldenCase::RecordedWeights() const {
  Weights weights{Array("kernel"), std::nullopt};
  if (HasArray("bias")) weights.bias = Array("bias");
  return weights;
}

std::vector<GoldenCase> CasesOfKinds(const std::set<std::string>& kinds) {
  static const auto& all = *new std::vector<GoldenCase>(LoadGoldenCases());
  std::vector<GoldenCase> cases;
  for (const GoldenCase& golden : all) {
    if (kinds.contains(golden.kind)) cases.push_back(golden);
  }
  return cases;
}

std::string TestNameOf(const GoldenCase& golden) {
  std::string name = golden.id;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

Shape ToShape(const nlohmann::json& json) {
  Shape shape;
  for (const auto& dim : json) shape.push_back(dim.is_null() ? -1 : dim.get<int64_t>());
  return shape;
}

server::ConstTensorView ViewOf(const Tensor& tensor) {
  v1::TensorHeader header;
  header.set_dtype(tensor.dtype());
  for (const int64_t extent : tensor.shape()) header.add_shape(extent);
  const server::TensorType type = server::TypeFromProto(header).value();
  return {type.dtype, type.shape, reinterpret_cast<const std::byte*>(tensor.bytes().data())};
}

std::vector<double> ToDoubles(const Tensor& tensor) {
  const auto doubles = server::Tensor::Converted(ViewOf(tensor), server::DType::kFloat64).value();
  const auto values = doubles.view().values<double>();
  return {values.begin(), values.end()};
}

}  // namespace tconv::testing
