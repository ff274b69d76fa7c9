#include "cli/tool_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"

namespace midwatch::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::StatusIs;

class ToolFileTest : public ::testing::Test {
 protected:
  ToolFileTest() {
    std::ofstream(dir_ / "run.sh") << "#!/bin/sh\n";
    std::filesystem::permissions(dir_ / "run.sh",
                                 std::filesystem::perms::owner_all);
  }
  absl::StatusOr<ToolFile> Load(const std::string& text) {
    std::ofstream(dir_ / "tools.yaml") << text;
    return LoadTools(dir_ / "tools.yaml");
  }
  std::string Said(const std::string& text) {
    return std::string(Load(text).status().message());
  }

  testing::TempDir dir_;
};

TEST_F(ToolFileTest, ReadsToolsAndChecks) {
  auto file = Load(
      "tools:\n  look: {command: [./run.sh, -x], timeout: 30s}\n"
      "checks:\n  compiles: {command: [run.sh]}\n"
      "  passes: {command: [./run.sh, all], timeout: 1h}\n");
  ASSERT_OK(file);
  EXPECT_THAT(file->tools.at("look").command,
              ElementsAre(dir_ / "run.sh", "-x"));
  EXPECT_EQ(file->tools.at("look").timeout, absl::Seconds(30));
  EXPECT_THAT(file->checks.at("compiles").command,
              ElementsAre(dir_ / "run.sh"));
  EXPECT_EQ(file->checks.at("compiles").timeout, absl::Minutes(5));
  EXPECT_EQ(file->checks.at("passes").timeout, absl::Hours(1));
}

TEST_F(ToolFileTest, EitherIsEnoughAndNoneIsNot) {
  auto checks = Load("checks: {a: {command: [./run.sh]}}\n");
  ASSERT_OK(checks);
  EXPECT_THAT(checks->tools, IsEmpty());
  EXPECT_OK(Load("tools: {a: {url: \"http://127.0.0.1:1/\"}}\n"));
  EXPECT_THAT(Load("{}\n"), StatusIs(absl::StatusCode::kInvalidArgument,
                                     HasSubstr("expected tools, checks or")));
  EXPECT_OK(LoadTools(""));
}

TEST_F(ToolFileTest, BadChecksAreRefusedWithTheirPlaces) {
  const std::string said = Said(
      "checks:\n"
      "  a: {url: \"http://127.0.0.1:1/\"}\n"
      "  b: {command: [./missing.sh]}\n"
      "  c: {command: ./run.sh}\n"
      "  d: {command: [./run.sh], timeout: 2h}\n");
  EXPECT_THAT(said, HasSubstr("tools.yaml:2:7: "));
  EXPECT_THAT(said, HasSubstr("tools.yaml:3:16: "));
  EXPECT_THAT(said, HasSubstr("missing.sh is no program that can be run"));
  EXPECT_THAT(said, HasSubstr("tools.yaml:4:16: "));
  EXPECT_THAT(said, HasSubstr("tools.yaml:5:37: timeout is '2h'"));
  EXPECT_THAT(Said("checks: [a]\n"), HasSubstr("checks is no map"));
}

}  // namespace
}  // namespace midwatch::cli
