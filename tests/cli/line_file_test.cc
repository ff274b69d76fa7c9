#include "cli/line_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <vector>

#include "absl/strings/str_cat.h"
#include "cli/name_book.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"

namespace midwatch::cli {
namespace {

using ::midwatch::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class LineFileTest : public ::testing::Test {
 protected:
  std::unique_ptr<LineFile> Open(const std::string& text) {
    std::ofstream(path_, std::ios::binary) << text;
    absl::StatusOr<std::unique_ptr<LineFile>> file =
        LineFile::Open(path_, "a file");
    EXPECT_OK(file);
    return *std::move(file);
  }

  static std::vector<std::string> Rest(LineFile& file) {
    std::vector<std::string> lines;
    while (true) {
      absl::StatusOr<std::optional<absl::string_view>> line = file.Next();
      EXPECT_OK(line);
      if (!line.ok() || !line->has_value()) return lines;
      lines.emplace_back(**line);
    }
  }

  testing::TempDir folder_;
  const std::string path_ = folder_.path() + "/lines";
};

TEST_F(LineFileTest, LinesEndWithLfOrCrLfOrTheFile) {
  auto file = Open("a\r\n\nb\rc\nd");
  EXPECT_THAT(Rest(*file), ElementsAre("a", "", "b\rc", "d"));
  EXPECT_EQ(file->line(), 4);
  EXPECT_FALSE(file->has_end());
  file->Rewind();
  EXPECT_EQ(file->line(), 0);
  EXPECT_THAT(Rest(*file), ElementsAre("a", "", "b\rc", "d"));
  EXPECT_THAT(Rest(*Open("")), IsEmpty());
  EXPECT_THAT(Rest(*Open("a\n")), ElementsAre("a"));
}

TEST_F(LineFileTest, AByteOrderMarkIsNoPartOfTheFirstLine) {
  EXPECT_THAT(Rest(*Open("\xEF\xBB\xBF"
                         "a\n\xEF\xBB\xBF"
                         "b\n")),
              ElementsAre("a",
                          "\xEF\xBB\xBF"
                          "b"));
}

TEST_F(LineFileTest, LinesOfManyReadsStayWhole) {
  const std::string large(3 << 20, 'x'), largest(LineFile::kLineBytesMax, 'y');
  auto file = Open(absl::StrCat("a\n", large, "\nb\n", largest, "\r\n", large));
  EXPECT_THAT(Rest(*file), ElementsAre("a", large, "b", largest, large));
}

TEST_F(LineFileTest, ALineThatIsTooLongIsAnErrorAtItsPlace) {
  auto file = Open(
      absl::StrCat("a\n", std::string(LineFile::kLineBytesMax + 2, 'x'), "\n"));
  ASSERT_OK(file->Next());
  EXPECT_THAT(file->Next(),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("lines:2:1: the line has more than 16777216 "
                                 "bytes; expected at most so many")));
}

TEST_F(LineFileTest, AFileThatChangesIsNotReadOn) {
  auto file = Open("a\n");
  ASSERT_OK(file->Next());
  std::ofstream(path_, std::ios::app) << "b\n";
  EXPECT_THAT(file->Next(),
              StatusIs(absl::StatusCode::kAborted, HasSubstr("was changed")));
}

TEST_F(LineFileTest, OnlyRegularFiles) {
  EXPECT_THAT(LineFile::Open(folder_.path(), "a file of lines"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("is not a regular file; expected a file of "
                                 "lines")));
  EXPECT_THAT(LineFile::Open(folder_.path() + "/none", "a file"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("none: No such file")));
}

// Lines from 0 on: what each is called, and then what it needs; 0: nothing.
struct NamesCase {
  const char* name;
  std::vector<std::vector<uint64_t>> lines;
  std::vector<uint64_t> want;
};

class NameBookTest : public ::testing::TestWithParam<NamesCase> {};

TEST_P(NameBookTest, FindsWhatIsWrongHoweverLittleIsHeld) {
  for (size_t held : {1, 2, 3, 100}) {
    NameBook names(held);
    int64_t number = 0;
    for (const std::vector<uint64_t>& line : GetParam().lines) {
      ASSERT_OK(names.AddName(line[0], number));
      for (size_t i = 1; i < line.size(); ++i) {
        ASSERT_OK(names.AddNeed(line[i], number));
      }
      ++number;
    }
    absl::StatusOr<std::vector<uint64_t>> found = names.FindWrong(3);
    ASSERT_OK(found);
    EXPECT_EQ(*found, GetParam().want) << "with " << held << " held";
  }
}

INSTANTIATE_TEST_SUITE_P(
    Table, NameBookTest,
    ::testing::ValuesIn<NamesCase>({
        {"Nothing", {}, {}},
        {"All", {{0}, {1}, {2}, {UINT64_MAX}}, {}},
        {"Two", {{5}, {0}, {5}, {0}}, {0, 5}},
        {"NextToEachOther", {{7}, {7}}, {7}},
        {"ManyTimes", {{7}, {1}, {7}, {7}, {2}, {7}, {7}}, {7}},
        {"AtMostThree", {{1}, {2}, {3}, {4}, {4}, {3}, {2}, {1}}, {1, 2, 3}},
        {"NeedsOfEarlierLines", {{9}, {8}, {7, 9, 8}, {6, 7, 9}}, {}},
        {"NeededTooEarly", {{9, 8}, {8}, {7, 8}}, {8}},
        {"NeedsItself", {{9, 9}}, {9}},
        {"NeedsNoTask", {{9}, {8, 4}, {7, 4}}, {4}},
        {"NeededTooEarlyAndDoubled", {{9, 8}, {8}, {8}}, {8}},
    }),
    [](const auto& c) { return std::string(c.param.name); });

TEST(NameBookSizeTest, MoreThanOneReadOfARun) {
  NameBook names(50'000);
  for (int64_t i = 0; i < 200'000; ++i) {
    ASSERT_OK(names.AddName(static_cast<uint64_t>(i) * 0x9E3779B97F4A7C15, i));
    if (i > 0) {
      ASSERT_OK(
          names.AddNeed(static_cast<uint64_t>(i - 1) * 0x9E3779B97F4A7C15, i));
    }
  }
  ASSERT_OK(names.AddName(123'456 * 0x9E3779B97F4A7C15, 200'000));
  absl::StatusOr<std::vector<uint64_t>> found = names.FindWrong(10);
  ASSERT_OK(found);
  EXPECT_THAT(*found, ElementsAre(123'456 * 0x9E3779B97F4A7C15));
}

}  // namespace
}  // namespace midwatch::cli
