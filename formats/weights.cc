#include "formats/weights.h"

#include <algorithm>
#include <functional>
#include <numeric>
#include <string>
#include <string_view>
#include <utility>

#include "formats/status.h"

namespace tconv::formats {
namespace {

using Names = std::vector<std::string>;
// The arrays of a layer, kernel first; those that there are.
using Locate = std::function<absl::StatusOr<Names>(const LayerEntry&)>;

constexpr size_t kMostNamesTold = 12;

std::string FirstOf(const Arrays& arrays) {
  Names names;
  for (const auto& [name, array] : arrays) {
    if (names.size() == kMostNamesTold) {
      names.emplace_back("...");
      break;
    }
    names.push_back(name);
  }
  return names.empty() ? "nothing" : fmt::format("{}", fmt::join(names, ", "));
}

std::string Expectation(const Shape& shape) {
  std::vector<std::string> extents;
  for (const int64_t extent : shape) {
    extents.push_back(extent < 0 ? "any" : std::to_string(extent));
  }
  return fmt::format("({})", fmt::join(extents, ", "));
}

// An extent of -1 is any from 1 on.
bool Fits(const Shape& shape, const Shape& expected) {
  return std::equal(shape.begin(), shape.end(), expected.begin(), expected.end(),
                    [](int64_t a, int64_t b) { return b < 0 ? a > 0 : a == b; });
}

absl::StatusOr<Array> Take(const Arrays& arrays, const std::string& name, const Shape& expected,
                           const std::vector<size_t>& order) {
  const auto found = arrays.find(name);
  if (found == arrays.end()) return Malformed("{}: expected it in the file", name);
  if (!found->second.ok()) return At(name, found->second.status());
  const Array& array = *found->second;
  // The shape that the file should have.
  Shape in_file(expected.size());
  for (size_t axis = 0; axis < order.size(); ++axis) in_file[order[axis]] = expected[axis];
  if (!Fits(array.shape, in_file)) {
    return Malformed("{}: expected the shape {}, got {}", name, Expectation(in_file),
                     ToString(array.shape));
  }
  return std::is_sorted(order.begin(), order.end()) ? array : Transposed(array, order);
}

std::vector<size_t> AxesAsTheyAre(size_t rank) {
  std::vector<size_t> order(rank);
  std::iota(order.begin(), order.end(), size_t{0});
  return order;
}

// (channels, filters, kernel_size...) to (kernel_size..., filters, channels).
std::vector<size_t> AxesOfPyTorch(size_t rank) {
  std::vector<size_t> order = AxesAsTheyAre(rank);
  std::rotate(order.begin(), order.begin() + 2, order.end());
  std::swap(order[rank - 2], order[rank - 1]);
  return order;
}

absl::StatusOr<Layer> WithWeights(const LayerEntry& entry, const Arrays& arrays,
                                  const Locate& locate, NamedLayout layout) {
  TCONV_FORMATS_ASSIGN_OR_RETURN(const Names names, locate(entry));
  const size_t expected = entry.use_bias ? 2 : 1;
  if (names.size() != expected) {
    return Malformed("expected {}, got {} arrays{}{}",
                     entry.use_bias ? "a kernel and a bias" : "a kernel without a bias",
                     names.size(), names.empty() ? "" : ": ", fmt::join(names, ", "));
  }
  const size_t rank = entry.kernel_shape.size();
  Layer layer{
      .name = entry.address, .class_name = entry.class_name, .keras_json = entry.json.dump()};
  TCONV_FORMATS_ASSIGN_OR_RETURN(
      layer.kernel,
      Take(arrays, names[0], entry.kernel_shape,
           layout == NamedLayout::kPyTorch ? AxesOfPyTorch(rank) : AxesAsTheyAre(rank)));
  if (entry.use_bias) {
    TCONV_FORMATS_ASSIGN_OR_RETURN(
        layer.bias, Take(arrays, names[1], {entry.kernel_shape[rank - 2]}, AxesAsTheyAre(1)));
  }
  return layer;
}

absl::StatusOr<std::vector<Layer>> AllWithWeights(const ModelEntry& model, const Arrays& arrays,
                                                  const Locate& locate,
                                                  NamedLayout layout = NamedLayout::kKeras) {
  std::vector<Layer> layers;
  for (const LayerEntry& entry : model.layers) {
    auto layer = WithWeights(entry, arrays, locate, layout);
    if (!layer.ok()) return At(entry.address, layer.status());
    layers.push_back(*std::move(layer));
  }
  return layers;
}

// Those of "<group>/vars/0", "<group>/vars/1", ... that are there.
absl::StatusOr<Names> LocateByClass(const LayerEntry& entry, const Arrays& arrays) {
  Names names;
  for (;;) {
    std::string name = fmt::format("{}/vars/{}", entry.weights_group, names.size());
    if (!arrays.contains(name)) break;
    names.push_back(std::move(name));
  }
  if (names.empty()) {
    return Malformed("expected \"{}/vars/0\" in the file, which has {}", entry.weights_group,
                     FirstOf(arrays));
  }
  return names;
}

// The attribute, which is split when it is too long for the file format.
absl::StatusOr<Names> ReadWeightNames(const Hdf5Tree& tree, const std::string& group) {
  if (const auto* whole = tree.FindTexts(group, "weight_names")) return *whole;
  Names names;
  for (int part = 0;; ++part) {
    const auto* texts = tree.FindTexts(group, fmt::format("weight_names{}", part));
    if (texts == nullptr && part == 0) {
      return Malformed("expected a group \"{}\" with weight_names in the file", group);
    }
    if (texts == nullptr) return names;
    names.insert(names.end(), texts->begin(), texts->end());
  }
}

// Whether a variable like "decoder/up1/kernel:0" belongs to the layer.
bool IsOf(std::string_view variable, std::string_view layer, std::string_view role) {
  variable = variable.substr(0, variable.rfind(':'));
  const std::string end = fmt::format("{}/{}", layer, role);
  if (!variable.ends_with(end)) return false;
  variable.remove_suffix(end.size());
  return variable.empty() || variable.ends_with('/');
}

// A nested model has all of its variables in one group, those that are trained first.
absl::StatusOr<Names> VariablesOf(const LayerEntry& entry, const Names& all) {
  Names names;
  for (const char* role : {"kernel", "bias"}) {
    const auto is_it = [&](const std::string& name) { return IsOf(name, entry.name, role); };
    const auto count = std::count_if(all.begin(), all.end(), is_it);
    if (count > 1) {
      return Malformed("the nested models have {} variables \"{}/{}\", which is not unique", count,
                       entry.name, role);
    }
    if (count == 1) names.push_back(*std::find_if(all.begin(), all.end(), is_it));
  }
  return names;
}

absl::StatusOr<Names> LocateByName(const LayerEntry& entry, const Hdf5Tree& tree,
                                   const std::string& prefix) {
  const std::string group = prefix + entry.outermost;
  TCONV_FORMATS_ASSIGN_OR_RETURN(Names names, ReadWeightNames(tree, group));
  if (entry.is_nested) {
    TCONV_FORMATS_ASSIGN_OR_RETURN(names, VariablesOf(entry, names));
  }
  for (std::string& name : names) name = fmt::format("{}/{}", group, name);
  return names;
}

// The first of the candidates that is there, for each role.
Names LocateAmong(const std::vector<Names>& candidates_of_roles, const Arrays& arrays) {
  Names names;
  for (const Names& candidates : candidates_of_roles) {
    const auto found =
        std::find_if(candidates.begin(), candidates.end(),
                     [&arrays](const std::string& name) { return arrays.contains(name); });
    if (found != candidates.end()) names.push_back(*found);
  }
  return names;
}

std::vector<Names> NamesIn(NamedLayout layout, const LayerEntry& entry, bool is_single) {
  std::vector<Names> names =
      layout == NamedLayout::kPyTorch
          ? std::vector<Names>{{entry.address + ".weight"}, {entry.address + ".bias"}}
          : std::vector<Names>{{entry.address + "/kernel"}, {entry.address + "/bias"}};
  if (!is_single) return names;
  const std::vector<Names> short_names =
      layout == NamedLayout::kPyTorch ? std::vector<Names>{{"weight"}, {"bias"}}
                                      : std::vector<Names>{{"kernel", "arr_0"}, {"bias", "arr_1"}};
  for (size_t i = 0; i < names.size(); ++i) {
    names[i].insert(names[i].end(), short_names[i].begin(), short_names[i].end());
  }
  return names;
}

}  // namespace

absl::StatusOr<std::vector<Layer>> WithKerasWeights(const ModelEntry& model, const Hdf5Tree& tree) {
  for (const char* prefix : {"", "model_weights/"}) {
    std::string group = prefix;
    if (!group.empty()) group.pop_back();
    const bool is_legacy = tree.FindTexts(group, "layer_names") != nullptr ||
                           tree.FindTexts(group, "layer_names0") != nullptr;
    if (!is_legacy) continue;
    return AllWithWeights(model, tree.datasets, [&tree, prefix](const LayerEntry& entry) {
      return LocateByName(entry, tree, prefix);
    });
  }
  return AllWithWeights(model, tree.datasets, [&tree](const LayerEntry& entry) {
    return LocateByClass(entry, tree.datasets);
  });
}

absl::StatusOr<std::vector<Layer>> WithNamedWeights(const ModelEntry& model, const Arrays& arrays,
                                                    NamedLayout layout) {
  const bool is_single = model.layers.size() == 1;
  const auto locate = [&](const LayerEntry& entry) -> absl::StatusOr<Names> {
    const std::vector<Names> candidates = NamesIn(layout, entry, is_single);
    Names names = LocateAmong(candidates, arrays);
    if (names.empty() || !arrays.contains(names.front()) ||
        std::count(candidates[0].begin(), candidates[0].end(), names.front()) == 0) {
      return Malformed("expected \"{}\" in the file, which has {}",
                       fmt::join(candidates[0], "\" or \""), FirstOf(arrays));
    }
    return names;
  };
  return AllWithWeights(model, arrays, locate, layout);
}

}  // namespace tconv::formats
