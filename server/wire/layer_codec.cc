#include "server/wire/layer_codec.h"

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "server/layer/object_spec.h"
#include "server/wire/object_codec.h"

namespace tconv::server {
namespace {

using google::protobuf::RepeatedField;

// What Keras takes when an argument is left out.
constexpr char kDefaultKernelInitializer[] = "glorot_uniform";
constexpr char kDefaultBiasInitializer[] = "zeros";

using Proto = v1::LayerConfig;

// One of the objects that a layer may be without, in the message and in the
// config.
template <typename T>
struct OptionalObject {
  std::string_view field;
  bool (Proto::*has)() const;
  const v1::KerasObject& (Proto::*get)() const;
  v1::KerasObject* (Proto::*mutable_get)();
  std::optional<T> LayerConfig::*value;
};

constexpr OptionalObject<Regularizer> kRegularizers[] = {
    {"kernel_regularizer", &Proto::has_kernel_regularizer, &Proto::kernel_regularizer,
     &Proto::mutable_kernel_regularizer, &LayerConfig::kernel_regularizer},
    {"bias_regularizer", &Proto::has_bias_regularizer, &Proto::bias_regularizer,
     &Proto::mutable_bias_regularizer, &LayerConfig::bias_regularizer},
    {"activity_regularizer", &Proto::has_activity_regularizer, &Proto::activity_regularizer,
     &Proto::mutable_activity_regularizer, &LayerConfig::activity_regularizer},
};
constexpr OptionalObject<Constraint> kConstraints[] = {
    {"kernel_constraint", &Proto::has_kernel_constraint, &Proto::kernel_constraint,
     &Proto::mutable_kernel_constraint, &LayerConfig::kernel_constraint},
    {"bias_constraint", &Proto::has_bias_constraint, &Proto::bias_constraint,
     &Proto::mutable_bias_constraint, &LayerConfig::bias_constraint},
};

template <typename T>
Status ReadOptional(const v1::LayerConfig& proto, const OptionalObject<T>& object,
                    LayerConfig* config) {
  if (!(proto.*object.has)()) return OkStatus();
  TCONV_ASSIGN_OR_RETURN(config->*object.value, MakeObject<T>((proto.*object.get)(), object.field));
  return OkStatus();
}

template <typename T>
void WriteOptional(const LayerConfig& config, const OptionalObject<T>& object,
                   v1::LayerConfig* out) {
  const std::optional<T>& value = config.*object.value;
  if (value.has_value()) ToProto(value->spec(), (out->*object.mutable_get)());
}

StatusOr<Initializer> ReadInitializer(bool present, v1::KerasObject proto, std::string_view field,
                                      const std::string& default_name) {
  if (!present) proto.set_name(default_name);
  return MakeObject<Initializer>(proto, field);
}

Status ReadObjects(const v1::LayerConfig& proto, LayerConfig* config) {
  if (proto.has_activation()) {
    TCONV_ASSIGN_OR_RETURN(config->activation,
                           MakeObject<Activation>(proto.activation(), "activation"));
  }
  TCONV_ASSIGN_OR_RETURN(config->kernel_initializer,
                         ReadInitializer(proto.has_kernel_initializer(), proto.kernel_initializer(),
                                         "kernel_initializer", kDefaultKernelInitializer));
  TCONV_ASSIGN_OR_RETURN(config->bias_initializer,
                         ReadInitializer(proto.has_bias_initializer(), proto.bias_initializer(),
                                         "bias_initializer", kDefaultBiasInitializer));
  for (const auto& regularizer : kRegularizers) {
    TCONV_RETURN_IF_ERROR(ReadOptional(proto, regularizer, config));
  }
  for (const auto& constraint : kConstraints) {
    TCONV_RETURN_IF_ERROR(ReadOptional(proto, constraint, config));
  }
  return OkStatus();
}

StatusOr<Padding> PaddingFromProto(v1::Padding padding) {
  switch (padding) {
    case v1::PADDING_UNSPECIFIED:
    case v1::PADDING_VALID:
      return Padding::kValid;
    case v1::PADDING_SAME:
      return Padding::kSame;
    default:
      return InvalidField("padding", "expected PADDING_VALID or PADDING_SAME, got the value {}",
                          static_cast<int>(padding));
  }
}

StatusOr<DataFormat> DataFormatFromProto(v1::DataFormat data_format) {
  switch (data_format) {
    case v1::DATA_FORMAT_UNSPECIFIED:
    case v1::DATA_FORMAT_CHANNELS_LAST:
      return DataFormat::kChannelsLast;
    case v1::DATA_FORMAT_CHANNELS_FIRST:
      return DataFormat::kChannelsFirst;
    default:
      return InvalidField(
          "data_format",
          "expected DATA_FORMAT_CHANNELS_LAST or DATA_FORMAT_CHANNELS_FIRST, got the value {}",
          static_cast<int>(data_format));
  }
}

SpatialDims DimsOf(const RepeatedField<int64_t>& field) { return {field.begin(), field.end()}; }

SpatialDims DimsOrOnes(const RepeatedField<int64_t>& field, int spatial_rank) {
  return field.empty() ? SpatialDims(static_cast<size_t>(spatial_rank), 1) : DimsOf(field);
}

void SetDims(const SpatialDims& dims, RepeatedField<int64_t>* out) {
  out->Assign(dims.begin(), dims.end());
}

}  // namespace

StatusOr<LayerConfig> LayerConfigFromProto(const v1::LayerConfig& proto) {
  LayerConfig config;
  TCONV_ASSIGN_OR_RETURN(config.spatial_rank, SpatialRank(proto.class_name()));
  config.name = proto.name();
  config.trainable = !proto.has_trainable() || proto.trainable();
  if (!proto.dtype().empty()) {
    TCONV_ASSIGN_OR_RETURN(config.dtype, ParseDTypePolicy(proto.dtype()));
  }
  config.filters = proto.filters();
  config.kernel_size = DimsOf(proto.kernel_size());
  config.strides = DimsOrOnes(proto.strides(), config.spatial_rank);
  TCONV_ASSIGN_OR_RETURN(config.padding, PaddingFromProto(proto.padding()));
  if (!proto.output_padding().empty()) config.output_padding = DimsOf(proto.output_padding());
  TCONV_ASSIGN_OR_RETURN(config.data_format, DataFormatFromProto(proto.data_format()));
  config.dilation_rate = DimsOrOnes(proto.dilation_rate(), config.spatial_rank);
  config.use_bias = !proto.has_use_bias() || proto.use_bias();
  TCONV_RETURN_IF_ERROR(ReadObjects(proto, &config));
  TCONV_RETURN_IF_ERROR(Validate(config));
  return config;
}

v1::DataFormat ToProto(DataFormat data_format) {
  return data_format == DataFormat::kChannelsFirst ? v1::DATA_FORMAT_CHANNELS_FIRST
                                                   : v1::DATA_FORMAT_CHANNELS_LAST;
}

v1::LayerConfig ToProto(const LayerConfig& config) {
  v1::LayerConfig out;
  out.set_class_name(ClassName(config.spatial_rank));
  out.set_name(config.name);
  out.set_trainable(config.trainable);
  out.set_dtype(config.dtype.name);
  out.set_filters(config.filters);
  SetDims(config.kernel_size, out.mutable_kernel_size());
  SetDims(config.strides, out.mutable_strides());
  out.set_padding(config.padding == Padding::kSame ? v1::PADDING_SAME : v1::PADDING_VALID);
  if (config.output_padding.has_value()) {
    SetDims(*config.output_padding, out.mutable_output_padding());
  }
  out.set_data_format(ToProto(config.data_format));
  SetDims(config.dilation_rate, out.mutable_dilation_rate());
  out.set_use_bias(config.use_bias);
  ToProto(config.activation.spec(), out.mutable_activation());
  ToProto(config.kernel_initializer.spec(), out.mutable_kernel_initializer());
  ToProto(config.bias_initializer.spec(), out.mutable_bias_initializer());
  for (const auto& regularizer : kRegularizers) WriteOptional(config, regularizer, &out);
  for (const auto& constraint : kConstraints) WriteOptional(config, constraint, &out);
  return out;
}

}  // namespace tconv::server
