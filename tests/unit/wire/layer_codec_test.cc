#include "server/wire/layer_codec.h"

#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <google/protobuf/util/message_differencer.h>

#include <limits>
#include <string>

#include "tests/support/status_matchers.h"

namespace tconv::server {
namespace {

using google::protobuf::util::MessageDifferencer;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::IsOk;
using testing::StatusIs;

// A message from its text form; `fields` come on top of the required ones.
v1::LayerConfig Message(const std::string& fields) {
  v1::LayerConfig message;
  const std::string required =
      "class_name: 'Conv2DTranspose' filters: 8 kernel_size: 3 kernel_size: 5 ";
  EXPECT_TRUE(google::protobuf::TextFormat::MergeFromString(required + fields, &message)) << fields;
  return message;
}

TEST(LayerCodecTest, TakesTheDefaultsOfKeras) {
  const StatusOr<LayerConfig> config = LayerConfigFromProto(Message(""));
  ASSERT_THAT(config, IsOk());
  EXPECT_EQ(config->spatial_rank, 2);
  EXPECT_TRUE(config->trainable);
  EXPECT_TRUE(config->use_bias);
  EXPECT_EQ(config->dtype.name, "float32");
  EXPECT_THAT(config->strides, ElementsAre(1, 1));
  EXPECT_THAT(config->dilation_rate, ElementsAre(1, 1));
  EXPECT_EQ(config->padding, Padding::kValid);
  EXPECT_EQ(config->output_padding, std::nullopt);
  EXPECT_EQ(config->data_format, DataFormat::kChannelsLast);
  EXPECT_TRUE(config->activation.is_linear());
  EXPECT_EQ(config->kernel_initializer.spec().name, "GlorotUniform");
  EXPECT_EQ(config->bias_initializer.spec().name, "Zeros");
  EXPECT_FALSE(config->kernel_regularizer || config->bias_regularizer ||
               config->activity_regularizer || config->kernel_constraint ||
               config->bias_constraint);
}

TEST(LayerCodecTest, GivesBackEveryField) {
  const v1::LayerConfig message = Message(R"pb(
    strides: 2
    strides: 3
    padding: PADDING_SAME
    output_padding: 0
    output_padding: 2
    data_format: DATA_FORMAT_CHANNELS_FIRST
    dilation_rate: 1
    dilation_rate: 1
    activation {
      name: "relu"
      arguments {
        fields {
          key: "max_value"
          value { number_value: 6 }
        }
        fields {
          key: "negative_slope"
          value { number_value: 0.5 }
        }
        fields {
          key: "threshold"
          value { number_value: 0 }
        }
      }
    }
    use_bias: false
    kernel_initializer {
      name: "RandomNormal"
      arguments {
        fields {
          key: "mean"
          value { number_value: 1 }
        }
        fields {
          key: "stddev"
          value { number_value: 0.5 }
        }
        fields {
          key: "seed"
          value { null_value: NULL_VALUE }
        }
      }
    }
    bias_initializer {
      name: "Ones"
      arguments {}
    }
    kernel_regularizer {
      name: "L2"
      arguments {
        fields {
          key: "l2"
          value { number_value: 0.5 }
        }
      }
    }
    bias_regularizer {
      name: "L1"
      arguments {
        fields {
          key: "l1"
          value { number_value: 0.25 }
        }
      }
    }
    activity_regularizer {
      name: "L2"
      arguments {
        fields {
          key: "l2"
          value { number_value: 2 }
        }
      }
    }
    kernel_constraint {
      name: "UnitNorm"
      arguments {
        fields {
          key: "axis"
          value {
            list_value {
              values { number_value: 0 }
              values { number_value: 1 }
            }
          }
        }
      }
    }
    bias_constraint {
      name: "NonNeg"
      arguments {}
    }
    trainable: false
    dtype: "mixed_bfloat16"
    name: "up"
  )pb");
  const StatusOr<LayerConfig> config = LayerConfigFromProto(message);
  ASSERT_THAT(config, IsOk());
  EXPECT_TRUE(MessageDifferencer::Equals(ToProto(*config), message))
      << ToProto(*config).DebugString();
}

TEST(LayerCodecTest, SpellsOutDefaultsSoThatReadingBackDoesNotDependOnThem) {
  const v1::LayerConfig message = ToProto(*LayerConfigFromProto(Message("")));
  EXPECT_EQ(message.padding(), v1::PADDING_VALID);
  EXPECT_EQ(message.data_format(), v1::DATA_FORMAT_CHANNELS_LAST);
  EXPECT_THAT(message.strides(), ElementsAre(1, 1));
  EXPECT_TRUE(message.has_use_bias() && message.has_trainable() && message.has_activation() &&
              message.has_kernel_initializer() && message.has_bias_initializer());
  EXPECT_TRUE(MessageDifferencer::Equals(ToProto(*LayerConfigFromProto(message)), message));
}

TEST(LayerCodecTest, NamesTheFieldThatIsWrong) {
  const struct {
    std::string fields;
    std::string error;
  } kCases[] = {
      {"class_name: 'Dense'", "class_name: "},
      {"filters: -1", "filters: "},
      {"kernel_size: 1", "kernel_size: "},
      {"strides: 2", "strides: "},
      {"padding: 7", "padding: expected PADDING_VALID or PADDING_SAME, got the value 7"},
      {"data_format: 9", "data_format: "},
      {"output_padding: 0 output_padding: 1", "output_padding"},
      {"dtype: 'half'", "dtype: "},
      {"name: 'a/b'", "name: "},
      {"activation {}", "activation.name: "},
      {"activation { name: 'relu' arguments { fields { key: 'slope' value {} } } }",
       "activation.arguments.slope: expected null, a boolean, a number"},
      {"activation { name: 'relu' arguments { fields { key: 'threshold' value { "
       "number_value: nan } } } }",
       "activation.arguments.threshold: expected finite numbers"},
      {"kernel_initializer { name: 'xavier' }", "kernel_initializer.name: "},
      {"bias_initializer { name: 'orthogonal' }", "bias_initializer"},
      {"kernel_regularizer { name: 'l3' }", "kernel_regularizer.name: "},
      {"bias_regularizer { name: 'l3' }", "bias_regularizer.name: "},
      {"activity_regularizer { name: 'l3' }", "activity_regularizer.name: "},
      {"kernel_constraint { name: 'UnitNorm' arguments { fields { key: 'axis' value { list_value "
       "{ values { string_value: 'x' } } } } } }",
       "kernel_constraint.arguments.axis: expected finite numbers"},
      {"bias_constraint { name: 'radial_constraint' }", "bias_constraint.name: "},
  };
  for (const auto& c : kCases) {
    SCOPED_TRACE(c.fields);
    const StatusOr<LayerConfig> config = LayerConfigFromProto(Message(c.fields));
    EXPECT_THAT(config, StatusIs(StatusCode::kInvalidArgument, HasSubstr(c.error)));
    EXPECT_NE(FieldOf(config.status()), "");
  }
}

}  // namespace
}  // namespace tconv::server
