#include <map>
#include <memory>

#include "client/cli/command.h"
#include "client/cli/layer_text.h"
#include "client/cli/status_macros.h"

namespace tconv::cli {
namespace {

// A layer without Keras' JSON: the flags that most layers need.
struct TypedFlags {
  std::string class_name = "Conv2DTranspose";
  int64_t filters = 0;
  Shape kernel_size, strides, output_padding, dilation_rate;
  v1::Padding padding = v1::PADDING_UNSPECIFIED;
  v1::DataFormat data_format = v1::DATA_FORMAT_UNSPECIFIED;
  std::string activation;
  bool no_bias = false;
  std::string dtype;
};

struct CreateFlags {
  std::string name;
  std::string keras_path;
  TypedFlags typed;
  Shape input_shape;
  std::string kernel_path, bias_path;
};

constexpr char kTypedGroup[] = "Definition by flags";

// An option that takes one of the names in a table.
template <typename Enum>
void AddChoice(CLI::App& parser, const std::string& flag, Enum& choice,
               const std::map<std::string, Enum>& choices, const std::string& description) {
  const auto choose = [&choice, choices](const std::string& name) { choice = choices.at(name); };
  std::string kind;
  for (const auto& [name, meaning] : choices) kind += (kind.empty() ? "" : "|") + name;
  parser.add_option_function<std::string>(flag, choose, description)
      ->check(CLI::IsMember(choices).description(""))
      ->type_name(kind);
}

void AddTypedFlags(CLI::App& parser, TypedFlags& flags) {
  parser.option_defaults()->group(kTypedGroup);
  parser
      .add_option("--class", flags.class_name,
                  "Conv1DTranspose, Conv2DTranspose or Conv3DTranspose")
      ->capture_default_str();
  parser.add_option("--filters", flags.filters, "Channels of the output");
  AddExtents(parser, "--kernel-size", flags.kernel_size, "Extents of the kernel: 3,3");
  AddExtents(parser, "--strides", flags.strides, "Strides: 2,2 (default: all 1)");
  AddChoice<v1::Padding>(parser, "--padding", flags.padding,
                         {{"valid", v1::PADDING_VALID}, {"same", v1::PADDING_SAME}},
                         "What of the result is kept (default: valid)");
  AddExtents(parser, "--output-padding", flags.output_padding,
             "Paddings of the output: 1,1 (default: none, which is not zeros)");
  AddChoice<v1::DataFormat>(parser, "--data-format", flags.data_format,
                            {{"channels_last", v1::DATA_FORMAT_CHANNELS_LAST},
                             {"channels_first", v1::DATA_FORMAT_CHANNELS_FIRST}},
                            "Where the channels are (default: channels_last)");
  AddExtents(parser, "--dilation-rate", flags.dilation_rate, "Dilation rates (default: all 1)");
  parser.add_option("--activation", flags.activation, "Name of an activation (default: linear)");
  parser.add_flag("--no-bias", flags.no_bias, "Without a bias");
  parser.add_option("--dtype", flags.dtype, "Name of a dtype policy (default: float32)");
  parser.option_defaults()->group("Options");
}

// Exactly one of the two forms of a definition.
void CheckDefinition(const CLI::App& parser) {
  const bool by_keras = parser.count("--keras") > 0;
  if (!by_keras && parser.count("--filters") == 0) {
    throw CLI::RequiredError("--keras or --filters");
  }
  for (const CLI::Option* option : parser.get_options()) {
    if (by_keras && option->count() > 0 && option->get_group() == kTypedGroup) {
      throw CLI::ExcludesError("--keras", option->get_name());
    }
  }
}

v1::LayerConfig ToConfig(const TypedFlags& flags) {
  v1::LayerConfig config;
  config.set_class_name(flags.class_name);
  config.set_filters(flags.filters);
  config.mutable_kernel_size()->Assign(flags.kernel_size.begin(), flags.kernel_size.end());
  config.mutable_strides()->Assign(flags.strides.begin(), flags.strides.end());
  config.set_padding(flags.padding);
  config.mutable_output_padding()->Assign(flags.output_padding.begin(), flags.output_padding.end());
  config.set_data_format(flags.data_format);
  config.mutable_dilation_rate()->Assign(flags.dilation_rate.begin(), flags.dilation_rate.end());
  if (!flags.activation.empty()) config.mutable_activation()->set_name(flags.activation);
  config.set_use_bias(!flags.no_bias);
  config.set_dtype(flags.dtype);
  return config;
}

absl::Status Create(const CreateFlags& flags, Session& session) {
  NewLayer layer{.name = flags.name, .input_shape = flags.input_shape};
  if (flags.keras_path.empty()) {
    layer.definition = ToConfig(flags.typed);
  } else {
    TCONV_CLI_ASSIGN_OR_RETURN(std::string text, session.ReadText(flags.keras_path));
    layer.definition = KerasJson{std::move(text)};
  }
  if (!flags.kernel_path.empty()) {
    TCONV_CLI_ASSIGN_OR_RETURN(layer.weights,
                               session.ReadWeights(flags.kernel_path, flags.bias_path));
  }
  TCONV_CLI_ASSIGN_OR_RETURN(const v1::Layer created, session.Await("creating the layer", [&] {
    return session.client().Create(std::move(layer));
  }));
  session.Report(LayerToJson(created), FormatLayer(created));
  return absl::OkStatus();
}

}  // namespace

Command AddCreate(CLI::App& app) {
  CLI::App* parser = app.add_subcommand("create", "Create a layer from Keras' JSON or from flags");
  auto flags = std::make_shared<CreateFlags>();
  AddFile(*parser, "--keras", flags->keras_path,
          "JSON of layer.get_config(), of keras.saving.serialize_keras_object(layer), or of one "
          "layer in the config.json of a .keras file");
  AddTypedFlags(*parser, flags->typed);
  parser->add_option("--name", flags->name, "Name on the server (default: as Keras generates it)");
  AddExtents(*parser, "--input-shape", flags->input_shape, kInputShapeHelp);
  CLI::Option* kernel =
      AddFile(*parser, "--kernel", flags->kernel_path, "Kernel instead of the initializer's");
  AddFile(*parser, "--bias", flags->bias_path, "Bias instead of the initializer's")->needs(kernel);
  parser->callback([flags = flags.get(), parser] {
    CheckDefinition(*parser);
    RequireOneUserOfStandardStream({flags->keras_path, flags->kernel_path, flags->bias_path});
  });
  return {parser, [flags](Session& session) { return Create(*flags, session); }};
}

}  // namespace tconv::cli
