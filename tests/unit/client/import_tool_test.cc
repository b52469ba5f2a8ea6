// What `tconv import` asks of a server, and what it leaves behind.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/client/tool_fixture.h"

namespace tconv::cli {
namespace {

using ::testing::_;
using ::testing::AllOf;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::InSequence;
using ::testing::Not;
using ::testing::Property;
using ::testing::Return;
using ::testing::StartsWith;

constexpr char kModel[] = TCONV_GOLDEN_FILES "/two-heads/model.keras";

class ImportToolTest : public ToolTest {
 protected:
  static v1::Layer LayerOf(const std::string& name, int64_t version) {
    v1::Layer layer;
    layer.set_name(name);
    layer.mutable_config()->set_filters(4);
    layer.set_weights_version(version);
    return layer;
  }
  static auto Named(const std::string& name) { return Field(&NewLayer::name, name); }
  static auto NameOf(const std::string& name) { return Property(&v1::DeleteRequest::name, name); }

  void ExpectGet(const std::string& name, absl::StatusOr<v1::Layer> layer) {
    absl::StatusOr<v1::GetResponse> response = v1::GetResponse();
    if (layer.ok()) {
      *response->mutable_layer() = *layer;
    } else {
      response = layer.status();
    }
    EXPECT_CALL(*connection_, Get(Property(&v1::GetRequest::name, name), _))
        .WillOnce(Return(response));
  }
  void ExpectNoLayers() {
    for (const char* name : {"up2d", "up3d"}) ExpectGet(name, absl::NotFoundError("no layer"));
  }
};

TEST_F(ImportToolTest, LooksAtAllNamesBeforeItCreates) {
  ExpectGet("up2d", absl::NotFoundError("no layer"));
  ExpectGet("up3d", LayerOf("up3d", 1));
  EXPECT_EQ(Run({"import", kModel}), 6);
  EXPECT_THAT(err(), HasSubstr("there is a layer \"up3d\""));
}

TEST_F(ImportToolTest, TakesBackWhatItHasCreated) {
  ExpectNoLayers();
  const InSequence in_order;
  EXPECT_CALL(*connection_, Create(Named("up2d"), _)).WillOnce(Return(LayerOf("up2d", 1)));
  EXPECT_CALL(*connection_, Create(Named("up3d"), _))
      .WillOnce(Return(absl::ResourceExhaustedError("too large")));
  EXPECT_CALL(*connection_, Delete(NameOf("up2d"), _)).WillOnce(Return(v1::DeleteResponse()));
  EXPECT_EQ(Run({"import", kModel}), 7);
  EXPECT_EQ(err(), "tconv: up3d: too large\n");
}

TEST_F(ImportToolTest, SaysWhatItCouldNotTakeBack) {
  ExpectNoLayers();
  EXPECT_CALL(*connection_, Create(Named("up2d"), _)).WillOnce(Return(LayerOf("up2d", 1)));
  EXPECT_CALL(*connection_, Create(Named("up3d"), _))
      .WillOnce(Return(absl::UnavailableError("away")));
  EXPECT_CALL(*connection_, Delete(NameOf("up2d"), _))
      .WillOnce(Return(absl::UnavailableError("gone")));
  EXPECT_EQ(Run({"import", kModel}), 5);
  EXPECT_THAT(err(), AllOf(StartsWith("tconv: up3d: away"),
                           HasSubstr("\"up2d\" is created and could not be deleted again: gone")));
}

TEST_F(ImportToolTest, ReplacesOnlyTheVersionThatItHasSeen) {
  ExpectGet("up2d", LayerOf("up2d", 7));
  EXPECT_CALL(*connection_, Create(Named("up2d"), _)).Times(0);
  EXPECT_CALL(*connection_, Create(Field(&NewLayer::name, StartsWith("up2d.import-")), _))
      .WillOnce(Return(LayerOf("trial", 0)));
  EXPECT_CALL(*connection_,
              Delete(Property(&v1::DeleteRequest::name, StartsWith("up2d.import-")), _))
      .WillOnce(Return(v1::DeleteResponse()));
  EXPECT_CALL(*connection_, SetWeights("up2d", Field(&NewWeights::if_version, 7), _))
      .WillOnce(Return(absl::AbortedError("moved")));
  EXPECT_EQ(Run({"import", kModel, "--layer", "up2d", "--replace"}), 6);
  EXPECT_THAT(err(), AllOf(HasSubstr("moved"), Not(HasSubstr("replaced"))));
}

TEST_F(ImportToolTest, RefusesFlagsThatContradictEachOther) {
  for (const char* flag : {"--list", "--replace", "--layer=up2d"}) {
    EXPECT_EQ(Run({"import", kModel, "--chain", "c", flag}), 2) << flag;
  }
}

}  // namespace
}  // namespace tconv::cli
