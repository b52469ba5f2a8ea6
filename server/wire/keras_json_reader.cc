#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "server/wire/json_fields.h"
#include "server/wire/keras_json.h"
#include "server/wire/keras_object_reader.h"
#include "server/wire/strict_json.h"

namespace tconv::server {
namespace {

using Json = nlohmann::json;
using google::protobuf::RepeatedField;

constexpr size_t kMaxSpatialRank = 3;
constexpr size_t kMaxNamesInMessage = 8;

// An integer stands for as many equal ones as there are spatial axes.
Status ReadSizes(const JsonField& field, int spatial_rank, RepeatedField<int64_t>* sizes) {
  if (field.present() && IsInteger(*field.json)) {
    sizes->Resize(spatial_rank, field.json->get<int64_t>());
    return OkStatus();
  }
  if (!field.present() || !field.json->is_array() ||
      field.json->size() != static_cast<size_t>(spatial_rank) ||
      !std::all_of(field.json->begin(), field.json->end(), IsInteger)) {
    return Expected(field, fmt::format("an integer or a list of {} integers", spatial_rank));
  }
  for (const Json& size : *field.json) sizes->Add(size.get<int64_t>());
  return OkStatus();
}

// Extents, null where unknown; empty when there is no shape.
StatusOr<PartialShape> ReadShape(const JsonField& field, int rank) {
  if (!field.present() || field.is_null()) return PartialShape();
  const auto is_extent = [](const Json& json) {
    return json.is_null() || (IsInteger(json) && json.get<int64_t>() >= 0);
  };
  if (!field.json->is_array() || field.json->size() != static_cast<size_t>(rank) ||
      !std::all_of(field.json->begin(), field.json->end(), is_extent)) {
    return Expected(field, fmt::format("a list of {} extents or nulls", rank));
  }
  PartialShape shape;
  for (const Json& extent : *field.json) {
    shape.push_back(extent.is_null() ? kUnknownDim : extent.get<int64_t>());
  }
  return shape;
}

Status ReadGeneral(JsonMembers& members, v1::LayerConfig* out) {
  if (const JsonField name = members.Take("name"); name.present() && !name.is_null()) {
    TCONV_ASSIGN_OR_RETURN(*out->mutable_name(), ReadText(name));
  }
  if (const JsonField trainable = members.Take("trainable"); trainable.present()) {
    TCONV_ASSIGN_OR_RETURN(const bool value, ReadBoolean(trainable));
    out->set_trainable(value);
  }
  if (const JsonField use_bias = members.Take("use_bias"); use_bias.present()) {
    TCONV_ASSIGN_OR_RETURN(const bool value, ReadBoolean(use_bias));
    out->set_use_bias(value);
  }
  if (const JsonField dtype = members.Take("dtype"); dtype.present() && !dtype.is_null()) {
    TCONV_ASSIGN_OR_RETURN(*out->mutable_dtype(), ReadDTypePolicy(dtype));
  }
  return OkStatus();
}

Status ReadGeometry(JsonMembers& members, int spatial_rank, v1::LayerConfig* out) {
  TCONV_ASSIGN_OR_RETURN(const int64_t filters, ReadInteger(members.Take("filters")));
  out->set_filters(filters);
  TCONV_RETURN_IF_ERROR(
      ReadSizes(members.Take("kernel_size"), spatial_rank, out->mutable_kernel_size()));
  if (const JsonField strides = members.Take("strides"); strides.present()) {
    TCONV_RETURN_IF_ERROR(ReadSizes(strides, spatial_rank, out->mutable_strides()));
  }
  if (const JsonField rate = members.Take("dilation_rate"); rate.present()) {
    TCONV_RETURN_IF_ERROR(ReadSizes(rate, spatial_rank, out->mutable_dilation_rate()));
  }
  if (const JsonField field = members.Take("output_padding"); field.present() && !field.is_null()) {
    TCONV_RETURN_IF_ERROR(ReadSizes(field, spatial_rank, out->mutable_output_padding()));
  }
  if (const JsonField padding = members.Take("padding"); padding.present()) {
    TCONV_ASSIGN_OR_RETURN(const size_t choice, ReadChoice(padding, {"valid", "same"}));
    out->set_padding(choice == 0 ? v1::PADDING_VALID : v1::PADDING_SAME);
  }
  if (const JsonField field = members.Take("data_format"); field.present() && !field.is_null()) {
    TCONV_ASSIGN_OR_RETURN(const size_t choice,
                           ReadChoice(field, {"channels_last", "channels_first"}));
    out->set_data_format(choice == 0 ? v1::DATA_FORMAT_CHANNELS_LAST
                                     : v1::DATA_FORMAT_CHANNELS_FIRST);
  }
  return OkStatus();
}

Status ReadObjects(JsonMembers& members, v1::LayerConfig* out) {
  using Config = v1::LayerConfig;
  struct Row {
    const char* key;
    Status (*read)(const JsonField& field, v1::KerasObject* out);
    v1::KerasObject* (Config::*mutable_field)();
    bool null_is_absent;
  };
  static constexpr Row kRows[] = {
      {"activation", ReadActivation, &Config::mutable_activation, false},
      {"kernel_initializer", ReadInitializer, &Config::mutable_kernel_initializer, false},
      {"bias_initializer", ReadInitializer, &Config::mutable_bias_initializer, false},
      {"kernel_regularizer", ReadRegularizer, &Config::mutable_kernel_regularizer, true},
      {"bias_regularizer", ReadRegularizer, &Config::mutable_bias_regularizer, true},
      {"activity_regularizer", ReadRegularizer, &Config::mutable_activity_regularizer, true},
      {"kernel_constraint", ReadConstraint, &Config::mutable_kernel_constraint, true},
      {"bias_constraint", ReadConstraint, &Config::mutable_bias_constraint, true},
  };
  for (const Row& row : kRows) {
    const JsonField field = members.Take(row.key);
    if (!field.present() || (field.is_null() && row.null_is_absent)) continue;
    TCONV_RETURN_IF_ERROR(row.read(field, (out->*row.mutable_field)()));
  }
  return OkStatus();
}

// Arguments that have one possible value for these layers.
Status CheckFixedArguments(JsonMembers& members) {
  const std::pair<const char*, Json> kOnlyValues[] = {
      {"groups", 1U}, {"dynamic", false}, {"autocast", true}};
  for (const auto& [key, only] : kOnlyValues) {
    const JsonField field = members.Take(key);
    // The types are compared, too: JSON's 1 and 1.0 are equal.
    if (field.present() && (field.json->type() != only.type() || *field.json != only)) {
      return Expected(field, only.dump());
    }
  }
  return OkStatus();
}

// The shape that constructors of Keras 2 take; empty when there is none.
StatusOr<PartialShape> ReadInputShape(JsonMembers& members, int spatial_rank) {
  const int rank = spatial_rank + 2;
  TCONV_ASSIGN_OR_RETURN(PartialShape batch, ReadShape(members.Take("batch_input_shape"), rank));
  TCONV_ASSIGN_OR_RETURN(PartialShape single, ReadShape(members.Take("input_shape"), rank - 1));
  // Accepted by Keras, and without effect on these layers.
  members.Ignore({"input_dim", "batch_size", "implementation"});
  if (!batch.empty() || single.empty()) return batch;
  single.insert(single.begin(), kUnknownDim);
  return single;
}

StatusOr<KerasLayer> ReadConfig(const JsonField& config, int spatial_rank) {
  KerasLayer layer;
  layer.config.set_class_name(ClassName(spatial_rank));
  TCONV_ASSIGN_OR_RETURN(JsonMembers members, JsonMembers::Of(config));
  TCONV_RETURN_IF_ERROR(ReadGeneral(members, &layer.config));
  TCONV_RETURN_IF_ERROR(ReadGeometry(members, spatial_rank, &layer.config));
  TCONV_RETURN_IF_ERROR(ReadObjects(members, &layer.config));
  TCONV_RETURN_IF_ERROR(CheckFixedArguments(members));
  TCONV_ASSIGN_OR_RETURN(layer.build_shape, ReadInputShape(members, spatial_rank));
  TCONV_RETURN_IF_ERROR(members.ExpectNothingLeft());
  return layer;
}

// {"class_name": ..., "config": ...}, with what Keras puts beside them.
StatusOr<KerasLayer> ReadSerializedLayer(const Json& json) {
  TCONV_ASSIGN_OR_RETURN(JsonMembers members, JsonMembers::Of({"", &json}));
  TCONV_ASSIGN_OR_RETURN(const std::string class_name, ReadText(members.Take("class_name")));
  TCONV_ASSIGN_OR_RETURN(const int spatial_rank, SpatialRank(class_name));
  const JsonField config = members.Take("config");
  if (!config.is_object()) return Expected(config, "an object");
  TCONV_ASSIGN_OR_RETURN(KerasLayer layer, ReadConfig({"", config.json}, spatial_rank));

  const JsonField build_config = members.Take("build_config");
  if (build_config.present() && !build_config.is_null()) {
    TCONV_ASSIGN_OR_RETURN(JsonMembers build, JsonMembers::Of(build_config));
    TCONV_ASSIGN_OR_RETURN(PartialShape shape,
                           ReadShape(build.Take("input_shape"), spatial_rank + 2));
    if (!shape.empty()) layer.build_shape = std::move(shape);
  }
  members.Ignore({"module", "registered_name", "shared_object_id", "name", "inbound_nodes"});
  TCONV_RETURN_IF_ERROR(members.ExpectNothingLeft());
  return layer;
}

// A config alone does not say its class; its kernel tells the spatial axes.
StatusOr<KerasLayer> ReadBareConfig(const Json& json) {
  const JsonField kernel_size{"kernel_size", FindMember(json, "kernel_size")};
  if (kernel_size.present() && kernel_size.json->is_number()) {
    return Expected(kernel_size,
                    "a list, for a number does not tell how many spatial axes there are (or write "
                    "{\"class_name\": \"Conv2DTranspose\", \"config\": ...} around the text)");
  }
  if (!kernel_size.present() || !kernel_size.json->is_array() || kernel_size.json->empty() ||
      kernel_size.json->size() > kMaxSpatialRank) {
    return Expected(kernel_size, "a list of one to three integers");
  }
  return ReadConfig({"", &json}, static_cast<int>(kernel_size.json->size()));
}

// The layers when `json` is a model; old Sequential models have them directly as
// their config. Else null.
const Json* LayersOf(const Json& json) {
  const Json* config = FindMember(json, "config");
  const Json* layers = config == nullptr    ? FindMember(json, "layers")
                       : config->is_array() ? config
                                            : FindMember(*config, "layers");
  return layers != nullptr && layers->is_array() ? layers : nullptr;
}

// Appends the names of the transposed convolutions, those of nested models too.
void CollectNames(const Json& layers, std::vector<std::string>* names) {
  for (const Json& layer : layers) {
    if (const Json* nested = LayersOf(layer)) {
      CollectNames(*nested, names);
      continue;
    }
    const Json* class_name = FindMember(layer, "class_name");
    const Json* config = FindMember(layer, "config");
    const Json* name = config == nullptr ? nullptr : FindMember(*config, "name");
    if (class_name == nullptr || !class_name->is_string() || name == nullptr) continue;
    if (SpatialRank(class_name->get<std::string>()).ok()) names->push_back(Excerpt(*name));
  }
}

Status RefuseModel(const Json& layers) {
  std::vector<std::string> names;
  CollectNames(layers, &names);
  const size_t more = names.size() - std::min(names.size(), kMaxNamesInMessage);
  names.resize(names.size() - more);
  return MakeError(StatusCode::kInvalidArgument,
                   "expected one layer, got a whole model; pass one element of its \"layers\" at a "
                   "time (transposed convolutions: {}{})",
                   names.empty() ? "none" : fmt::format("{}", fmt::join(names, ", ")),
                   more > 0 ? fmt::format(" and {} more", more) : "");
}

// Keras 2 writes tuples as objects.
void ReplaceTuplesByLists(Json& json) {
  const Json* class_name = FindMember(json, "class_name");
  if (class_name != nullptr && *class_name == "__tuple__" && json.contains("items")) {
    Json items = std::move(json["items"]);
    json = std::move(items);
  }
  for (Json& child : json) {
    if (child.is_structured()) ReplaceTuplesByLists(child);
  }
}

}  // namespace

StatusOr<KerasLayer> ParseKerasJson(std::string_view text) {
  TCONV_ASSIGN_OR_RETURN(Json json, ParseStrictJson(text));
  ReplaceTuplesByLists(json);
  if (!json.is_object()) {
    return MakeError(StatusCode::kInvalidArgument, "expected the JSON object of a layer, got {}",
                     Excerpt(json));
  }
  if (const Json* layers = LayersOf(json)) return RefuseModel(*layers);
  return json.contains("class_name") ? ReadSerializedLayer(json) : ReadBareConfig(json);
}

}  // namespace tconv::server
