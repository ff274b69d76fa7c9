#include "net/sse.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "tests/testing/status_matchers.h"

namespace midwatch {

static void PrintTo(const SseFrame& frame, std::ostream* out) {
  *out << "{" << ::testing::PrintToString(frame.event) << ", "
       << ::testing::PrintToString(frame.data) << "}";
}

namespace {

using testing::StatusIs;

struct ParseCase {
  const char* name;
  std::string stream;
  std::vector<SseFrame> want;
};

class SseParserTest : public ::testing::TestWithParam<ParseCase> {};

// Wherever the network cuts the stream, in one, two or three pieces.
TEST_P(SseParserTest, EverySplitGivesTheSameFrames) {
  const ParseCase& c = GetParam();
  for (size_t i = 0; i <= c.stream.size(); ++i) {
    for (size_t j = i; j <= c.stream.size(); ++j) {
      SseParser parser;
      std::vector<SseFrame> frames;
      absl::string_view stream = c.stream;
      ASSERT_OK(parser.Feed(stream.substr(0, i), frames));
      ASSERT_OK(parser.Feed(stream.substr(i, j - i), frames));
      ASSERT_OK(parser.Feed(stream.substr(j), frames));
      ASSERT_EQ(frames, c.want) << "split at " << i << " and " << j;
    }
  }
}

TEST_P(SseParserTest, SingleBytesGiveTheSameFrames) {
  const ParseCase& c = GetParam();
  SseParser parser;
  std::vector<SseFrame> frames;
  for (char byte : c.stream) {
    ASSERT_OK(parser.Feed(absl::string_view(&byte, 1), frames));
  }
  EXPECT_EQ(frames, c.want);
}

INSTANTIATE_TEST_SUITE_P(
    Table, SseParserTest,
    ::testing::ValuesIn<ParseCase>({
        {"Nothing", "", {}},
        {"OneFrame", "event: a\ndata: 1\n\n", {{"a", "1"}}},
        {"DataOnly", "data: 1\n\n", {{"", "1"}}},
        {"LinesAreJoined", "data: 1\ndata:\ndata: 3\n\n", {{"", "1\n\n3"}}},
        {"OneSpaceIsDropped", "data:  x \n\n", {{"", " x "}}},
        {"NoSpaceIsFine", "event:a\ndata:b:c\n\n", {{"a", "b:c"}}},
        {"CarriageReturns", "data: 1\r\rdata: 2\r\r", {{"", "1"}, {"", "2"}}},
        {"BothEnds",
         "data: 1\r\ndata: 2\r\n\r\ndata: 3\r\n\r\n",
         {{"", "1\n2"}, {"", "3"}}},
        {"MixedEnds", "data: 1\r\n\rdata: 2\n\r", {{"", "1"}, {"", "2"}}},
        {"BomIsDropped",
         "\xef\xbb\xbf"
         "data: 1\n\n",
         {{"", "1"}}},
        {"SecondBomIsText",
         "\xef\xbb\xbf\xef\xbb\xbf"
         "data: 1\n\ndata: 2\n\n",
         {{"", "2"}}},
        {"HalfABomIsText",
         "\xef\xbb"
         "x: 1\ndata: 2\n\n",
         {{"", "2"}}},
        {"CommentsAreDropped", ": ping\n\n:\ndata: 1\n\n", {{"", "1"}}},
        {"OtherFieldsAreDropped",
         "id: 7\nretry: 100\ndata: 1\nDATA: 2\n\n",
         {{"", "1"}}},
        {"NoDataNoFrame", "event: a\n\ndata: 1\n\n", {{"", "1"}}},
        {"EmptyDataIsAFrame", "data\n\ndata:\n\n", {{"", ""}, {"", ""}}},
        {"LastEventWins", "event: a\nevent: b\ndata: 1\n\n", {{"b", "1"}}},
        {"UnfinishedIsHeldBack", "data: 1\n\ndata: 2\n", {{"", "1"}}},
        {"NulIsText",
         std::string("data: a\0b\n\n", 11),
         {{"", std::string("a\0b", 3)}}},
    }),
    [](const auto& c) { return std::string(c.param.name); });

TEST(SseParserBoundTest, AFrameMayFillTheBoundAndNotMore) {
  std::vector<SseFrame> frames;
  SseParser fits(20);
  EXPECT_OK(fits.Feed("data: 1234567\ndata: 89012\n\n", frames));
  ASSERT_EQ(frames.size(), 1u);
  SseParser line(20);
  EXPECT_OK(line.Feed("data: 12345678901234", frames));
  EXPECT_THAT(line.Feed("5", frames),
              StatusIs(absl::StatusCode::kResourceExhausted));
  // Small lines add up.
  SseParser many(20);
  absl::Status status;
  for (int i = 0; i < 20 && status.ok(); ++i) {
    status = many.Feed("data: x\n", frames);
  }
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kResourceExhausted));
}

TEST(FormatSseFrameTest, IsWhatTheParserReads) {
  const std::pair<SseFrame, std::string> cases[] = {
      {{"a", "1"}, "event: a\ndata: 1\n\n"},
      {{"", ""}, "data: \n\n"},
      {{"", "1\n2"}, "data: 1\ndata: 2\n\n"},
      {{"", "1\n"}, "data: 1\ndata: \n\n"},
      {{"", "\n"}, "data: \ndata: \n\n"},
      {{"", " x"}, "data:  x\n\n"},
  };
  for (const auto& [frame, text] : cases) {
    EXPECT_EQ(FormatSseFrame(frame.event, frame.data), text);
    SseParser parser;
    std::vector<SseFrame> frames;
    ASSERT_OK(parser.Feed(text, frames));
    EXPECT_EQ(frames, std::vector<SseFrame>{frame});
  }
  // Every kind of line end comes out as \n.
  EXPECT_EQ(FormatSseFrame("", "1\r\n2\r3"), "data: 1\ndata: 2\ndata: 3\n\n");
}

}  // namespace
}  // namespace midwatch
