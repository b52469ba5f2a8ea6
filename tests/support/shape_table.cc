#include "tests/support/shape_table.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <utility>

namespace tconv::testing {
namespace {

using server::DataFormat;
using server::LayerConfig;
using server::SpatialDims;

[[noreturn]] void Die(const std::string& line, const std::string& why) {
  std::fprintf(stderr, "shapes.txt: %s\n  in: %s\n", why.c_str(), line.c_str());
  std::abort();
}

// "3x2" -> {3, 2}
SpatialDims ParseSizes(const std::string& text) {
  SpatialDims sizes;
  std::istringstream stream(text);
  for (std::string size; std::getline(stream, size, 'x');) sizes.push_back(std::stoll(size));
  return sizes;
}

// One size stands for all axes.
SpatialDims ParseAxisSizes(const std::string& text, int rank) {
  SpatialDims sizes = ParseSizes(text);
  if (sizes.size() == 1) sizes.resize(static_cast<size_t>(rank), sizes[0]);
  return sizes;
}

// Sets the argument; false when there is no such.
bool SetArgument(const std::string& name, const std::string& value, ShapeRow& row) {
  LayerConfig& config = row.config;
  const int rank = config.spatial_rank;
  if (name == "f") {
    config.filters = std::stoll(value);
  } else if (name == "k") {
    config.kernel_size = ParseAxisSizes(value, rank);
  } else if (name == "s") {
    config.strides = ParseAxisSizes(value, rank);
  } else if (name == "d") {
    config.dilation_rate = ParseAxisSizes(value, rank);
  } else if (name == "op") {
    config.output_padding = ParseAxisSizes(value, rank);
  } else if (name == "same") {
    config.padding = server::Padding::kSame;
  } else if (name == "first") {
    config.data_format = DataFormat::kChannelsFirst;
  } else if (name == "nobias") {
    config.use_bias = false;
  } else if (name == "bench") {
    row.is_bench = true;
  } else if (name == "dtype") {
    config.dtype = server::ParseDTypePolicy(value).value();
  } else if (name == "act") {
    config.activation = server::Activation::Make({.name = value, .arguments = {}}).value();
  } else if (name == "axis") {
    const std::string function = config.activation.spec().name;
    config.activation = server::Activation::Make({function, {{"axis", std::stod(value)}}}).value();
  } else {
    return false;
  }
  return true;
}

}  // namespace

void PrintTo(const ShapeRow& row, std::ostream* os) { *os << row.line; }

ShapeRow ParseShapeRow(const std::string& line) {
  std::istringstream words(line);
  ShapeRow row;
  row.line = line;
  std::string input;
  if (!(words >> row.name >> input)) Die(line, "expected a name and an input");
  SpatialDims dims = ParseSizes(input);
  if (dims.size() < 3) Die(line, "expected batch, spatial extents and channels");

  const int rank = static_cast<int>(dims.size()) - 2;
  row.config.spatial_rank = rank;
  row.config.name = row.name;
  row.config.strides = ParseAxisSizes("1", rank);
  row.config.dilation_rate = ParseAxisSizes("1", rank);
  std::string word;
  while (words >> word && word != "|") {
    const size_t equals = word.find('=');
    const std::string value = equals == std::string::npos ? "" : word.substr(equals + 1);
    if (!SetArgument(word.substr(0, equals), value, row)) Die(line, "unknown argument " + word);
  }
  while (words >> word) row.accepted_by.push_back(word);

  const int64_t in_channels = dims.back();
  if (row.config.data_format == DataFormat::kChannelsFirst) {
    dims.pop_back();
    dims.insert(dims.begin() + 1, in_channels);
  }
  auto problem = server::MakeDeconvProblem(row.config, in_channels, *server::Shape::Make(dims));
  if (!problem.ok()) Die(line, std::string(problem.status().message()));
  row.problem = *std::move(problem);
  return row;
}

ShapeRow RandomShapeRow(const std::function<int64_t(int64_t, int64_t)>& pick,
                        const RandomShapeRange& range) {
  const auto size_up_to = [&](int64_t largest) {
    if (!range.is_like_models) return pick(1, largest);
    constexpr int64_t kSteps = 1 << 20;
    const double fraction = static_cast<double>(pick(0, kSteps)) / kSteps;
    return std::lround(std::pow(static_cast<double>(largest), fraction));
  };
  const auto channels = [&] {
    const int64_t count = size_up_to(range.largest_channels);
    const bool fills_vectors = range.is_like_models && count >= 16 && pick(0, 1) == 1;
    return fills_vectors ? count / 16 * 16 : count;
  };
  const auto any_of = [&](const std::vector<std::string>& names) {
    return names[static_cast<size_t>(pick(0, static_cast<int64_t>(names.size()) - 1))];
  };

  const int64_t rank = pick(1, 3);
  const auto index = static_cast<size_t>(rank - 1);
  const bool is_dilated = pick(0, 4) == 0;
  const bool has_equal_axes = range.is_like_models && pick(0, 1) == 1;
  std::vector<int64_t> input = {size_up_to(range.largest_batch)};
  std::vector<int64_t> kernel, strides, dilation, output_padding;
  for (int64_t axis = 0; axis < rank; ++axis) {
    if (axis > 0 && has_equal_axes) {
      for (auto* sizes : {&input, &kernel, &strides, &dilation, &output_padding}) {
        sizes->push_back(sizes->back());
      }
      continue;
    }
    input.push_back(size_up_to(range.largest_extent[index]));
    kernel.push_back(size_up_to(range.largest_kernel[index]));
    strides.push_back(is_dilated ? 1 : size_up_to(range.largest_stride));
    dilation.push_back(is_dilated ? pick(1, 3) : 1);
    output_padding.push_back(pick(0, strides.back() - 1));
  }
  input.push_back(channels());
  const auto sizes = [](const std::vector<int64_t>& values) { return fmt::join(values, "x"); };
  std::string line = fmt::format("random {} f={} k={} s={} d={}", sizes(input), channels(),
                                 sizes(kernel), sizes(strides), sizes(dilation));
  if (pick(0, 1) == 1) line += " same";
  if (pick(0, 2) == 0) line += fmt::format(" op={}", sizes(output_padding));
  if (pick(0, 2) == 0) line += " first";
  if (pick(0, 3) == 0) line += " nobias";
  const std::string activation = any_of(range.activations);
  line += fmt::format(" act={} dtype={}", activation, any_of(range.dtypes));
  return ParseShapeRow(line);
}

std::vector<ShapeRow> ReadShapeTable() {
  std::ifstream file(TCONV_SHAPE_TABLE);
  if (!file) Die(TCONV_SHAPE_TABLE, "cannot be read");
  std::vector<ShapeRow> rows;
  for (std::string line; std::getline(file, line);) {
    if (line.empty() || line[0] == '#') continue;
    rows.push_back(ParseShapeRow(line));
  }
  return rows;
}

server::Tensor RandomTensor(const server::Shape& shape, server::DType dtype, uint64_t seed) {
  server::Tensor values = server::Tensor::Allocate(server::DType::kFloat32, shape).value();
  uint64_t state = seed * 0x9e3779b97f4a7c15u + 1;
  for (float& value : values.mutable_view().values<float>()) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    // The upper 24 bits fill the mantissa.
    value = static_cast<float>(static_cast<int64_t>(state >> 40) - (1 << 23)) * 0x1p-23f;
  }
  return server::Tensor::Converted(values.view(), dtype).value();
}

std::shared_ptr<const server::Weights> RandomWeights(const server::DeconvProblem& problem,
                                                     server::DType variable, uint64_t seed) {
  std::vector<int64_t> dims;
  for (const server::AxisGeometry& axis : problem.axes) dims.push_back(axis.kernel);
  dims.push_back(problem.out_channels);
  dims.push_back(problem.in_channels);
  auto weights = std::make_shared<server::Weights>();
  const server::Shape shape = *server::Shape::Make(dims);
  server::Tensor kernel = RandomTensor(shape, server::DType::kFloat32, seed);
  const auto terms = static_cast<float>(shape.num_elements() / problem.out_channels);
  for (float& value : kernel.mutable_view().values<float>()) value /= std::sqrt(terms);
  weights->kernel = server::Tensor::Converted(kernel.view(), variable).value();
  if (problem.use_bias) {
    weights->bias = RandomTensor(server::Shape{problem.out_channels}, variable, seed + 1);
  }
  weights->version = 1;
  return weights;
}

}  // namespace tconv::testing
