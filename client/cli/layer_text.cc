#include "client/cli/layer_text.h"

#include <fmt/format.h>
#include <tconv/tensor.h>

#include <cctype>
#include <string_view>
#include <utility>

#include "client/cli/table.h"
#include "client/cli/value_text.h"

namespace tconv::cli {
namespace {

std::string FormatExtents(const google::protobuf::RepeatedField<int64_t>& extents) {
  return extents.empty() ? "-" : ToString({extents.data(), static_cast<size_t>(extents.size())});
}

// "PADDING_SAME" without the prefix and in lower case, as Keras spells it.
std::string FormatEnum(const std::string& name, std::string_view prefix) {
  std::string text = name.substr(prefix.size());
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

std::string FormatBuilt(const v1::Layer& layer, int64_t value) {
  return layer.weights_version() == 0 ? "-" : std::to_string(value);
}

Rows GeometryRows(const v1::LayerConfig& config) {
  return {
      {"class", config.class_name()},
      {"filters", std::to_string(config.filters())},
      {"kernel size", FormatExtents(config.kernel_size())},
      {"strides", FormatExtents(config.strides())},
      {"padding", FormatEnum(v1::Padding_Name(config.padding()), "PADDING_")},
      {"output padding", FormatExtents(config.output_padding())},
      {"data format", FormatEnum(v1::DataFormat_Name(config.data_format()), "DATA_FORMAT_")},
      {"dilation rate", FormatExtents(config.dilation_rate())},
  };
}

Rows OtherRows(const v1::LayerConfig& config) {
  return {
      {"activation", FormatObject(config.activation())},
      {"use bias", config.use_bias() ? "yes" : "no"},
      {"kernel initializer", FormatObject(config.kernel_initializer())},
      {"bias initializer", FormatObject(config.bias_initializer())},
      {"kernel regularizer", FormatObject(config.kernel_regularizer())},
      {"bias regularizer", FormatObject(config.bias_regularizer())},
      {"activity regularizer", FormatObject(config.activity_regularizer())},
      {"kernel constraint", FormatObject(config.kernel_constraint())},
      {"bias constraint", FormatObject(config.bias_constraint())},
      {"trainable", config.trainable() ? "yes" : "no"},
      {"dtype", config.dtype()},
  };
}

std::string FormatPlan(const v1::PlanInfo& plan) {
  Rows rows;
  for (const v1::StrategyVerdict& verdict : plan.verdicts()) {
    rows.push_back({verdict.chosen() ? "  *" : "   ", verdict.strategy(), verdict.reason()});
  }
  return fmt::format("\ninput {}, {} held by the plan\n{}", FormatExtents(plan.input_shape()),
                     FormatBytes(plan.bytes_held()), FormatTable(rows));
}

std::string FormatShape(const google::protobuf::RepeatedField<int64_t>& extents) {
  return FormatKerasShape({extents.begin(), extents.end()});
}

std::string FormatStep(const v1::ChainStep& step) {
  return step.has_layer() ? step.layer() : fmt::format("@{}", FormatObject(step.activation()));
}

}  // namespace

std::string FormatLayer(const v1::Layer& layer) {
  Rows rows = {{"name", layer.name()}};
  Append(GeometryRows(layer.config()), rows);
  Append(OtherRows(layer.config()), rows);
  rows.push_back({"optimizer", FormatObject(layer.optimizer())});
  rows.push_back({"input channels", FormatBuilt(layer, layer.input_channels())});
  rows.push_back({"parameters", FormatBuilt(layer, layer.parameter_count())});
  rows.push_back({"weights version", layer.weights_version() == 0
                                         ? "not built"
                                         : std::to_string(layer.weights_version())});
  rows.push_back({"weights held", FormatBytes(layer.weight_bytes_held())});
  std::string text = FormatTable(rows);
  for (const v1::PlanInfo& plan : layer.plans()) text += FormatPlan(plan);
  return text;
}

std::string FormatGeometry(const v1::Layer& layer) {
  Rows rows = {{"name", layer.name()}};
  Append(GeometryRows(layer.config()), rows);
  rows.push_back({"input channels", FormatBuilt(layer, layer.input_channels())});
  return FormatTable(rows);
}

std::string FormatLayers(const std::vector<v1::Layer>& layers) {
  Rows rows = {{"NAME", "CLASS", "FILTERS", "KERNEL", "STRIDES", "PADDING", "CHANNELS",
                "PARAMETERS", "VERSION", "DTYPE"}};
  for (const v1::Layer& layer : layers) {
    const v1::LayerConfig& config = layer.config();
    rows.push_back({layer.name(), config.class_name(), std::to_string(config.filters()),
                    FormatExtents(config.kernel_size()), FormatExtents(config.strides()),
                    FormatEnum(v1::Padding_Name(config.padding()), "PADDING_"),
                    FormatBuilt(layer, layer.input_channels()),
                    FormatBuilt(layer, layer.parameter_count()),
                    FormatBuilt(layer, layer.weights_version()), config.dtype()});
  }
  return FormatTable(rows);
}

std::string FormatChain(const v1::Chain& chain) {
  Rows rows = {
      {"name", chain.name()},
      {"input shape", FormatShape(chain.input_shape())},
      {"output shape", FormatShape(chain.output_shape())},
      {"output type", DataTypeName(chain.output_dtype())},
      {"data format", FormatEnum(v1::DataFormat_Name(chain.data_format()), "DATA_FORMAT_")},
      {"weights version", std::to_string(chain.weights_version())},
  };
  for (int i = 0; i < chain.steps_size(); ++i) {
    rows.push_back({fmt::format("step {}", i + 1), FormatStep(chain.steps(i))});
  }
  return FormatTable(rows);
}

std::string FormatChains(const std::vector<v1::Chain>& chains) {
  Rows rows = {{"NAME", "STEPS", "INPUT", "OUTPUT", "VERSION", "DTYPE"}};
  for (const v1::Chain& chain : chains) {
    rows.push_back({chain.name(), std::to_string(chain.steps_size()),
                    FormatShape(chain.input_shape()), FormatShape(chain.output_shape()),
                    std::to_string(chain.weights_version()), DataTypeName(chain.output_dtype())});
  }
  return FormatTable(rows);
}

}  // namespace tconv::cli
