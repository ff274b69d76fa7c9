// The small parts of base/: hashes, random numbers, log lines, fault points.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <vector>

#include "base/fault_points.h"
#include "base/log.h"
#include "base/random.h"
#include "base/sha256.h"
#include "tests/testing/status_matchers.h"

namespace midwatch {
namespace {

using ::testing::ElementsAre;
using testing::StatusIs;

TEST(Sha256Test, MatchesTheStandardsExamples) {
  const struct {
    std::string bytes;
    const char* want;
  } cases[] = {
      {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
      {"abc",
       "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
      {std::string(1000000, 'a'),
       "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"},
  };
  const std::string path =
      ::testing::TempDir() + "midwatch-sha256-" + RealRandom().Hex(8);
  for (const auto& c : cases) {
    EXPECT_EQ(Sha256Hex(c.bytes), c.want);
    Sha256 pieces;
    for (size_t at = 0; at < c.bytes.size(); at += 77777) {
      pieces.Update(absl::string_view(c.bytes).substr(at, 77777));
    }
    EXPECT_EQ(pieces.FinishHex(), c.want);
    std::ofstream(path, std::ios::binary) << c.bytes;
    EXPECT_EQ(Sha256HexOfFile(path).value(), c.want);
  }
  std::filesystem::remove(path);
  EXPECT_THAT(Sha256HexOfFile(path), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_FALSE(Sha256HexOfFile("/").ok());
}

TEST(RandomTest, TheSeededOneIsTheSameEverywhere) {
  // The first numbers of SplitMix64 for this seed, as its authors print them.
  SeededRandom random(1234567);
  EXPECT_EQ(random.Next(), 6457827717110365317u);
  EXPECT_EQ(random.Next(), 3203168211198807973u);
  EXPECT_EQ(random.Next(), 9817491932198370423u);
}

TEST(RandomTest, FractionsFillTheUnitInterval) {
  SeededRandom random(1);
  double least = 1, greatest = 0;
  for (int i = 0; i < 10000; ++i) {
    double fraction = random.Fraction();
    ASSERT_GE(fraction, 0.0);
    ASSERT_LT(fraction, 1.0);
    least = std::min(least, fraction);
    greatest = std::max(greatest, fraction);
  }
  EXPECT_LT(least, 0.001);
  EXPECT_GT(greatest, 0.999);
}

TEST(RandomTest, HexHasTwoDigitsAByte) {
  RealRandom random;
  std::set<std::string> seen;
  for (int bytes : {0, 1, 7, 8, 9, 16, 33}) {
    std::string hex = random.Hex(bytes);
    EXPECT_EQ(hex.size(), static_cast<size_t>(bytes) * 2);
    EXPECT_EQ(hex.find_first_not_of("0123456789abcdef"), hex.npos);
    EXPECT_TRUE(seen.insert(hex).second);
  }
}

class LogTest : public ::testing::Test {
 protected:
  LogTest() {
    SetLogSink([this](LogLevel, absl::string_view line) {
      lines_.emplace_back(line);
    });
  }
  ~LogTest() override {
    SetLogSink(nullptr);
    SetLogLevel(LogLevel::kInfo);
  }

  std::vector<std::string> lines_;
};

TEST_F(LogTest, OneLineWithItsFields) {
  LogInfo("task started", {{"task", "T1"},
                           {"attempt", 2},
                           {"ratio", 0.5},
                           {"text", std::string("a=b")}});
  LogError("no fields");
  EXPECT_THAT(lines_,
              ElementsAre("I task started task=T1 attempt=2 ratio=0.5 text=a=b",
                          "E no fields"));
}

TEST_F(LogTest, ValuesStayOneLine) {
  LogWarning("w", {{"a", ""},
                   {"b", "two words"},
                   {"c", "new\nline"},
                   {"d", "quo\"te\\"},
                   {"e", "caf\xc3\xa9"},
                   {"f", std::string("\x1b[31m\0", 6)},
                   {"g", "\x7f"}});
  EXPECT_THAT(lines_, ElementsAre("W w a=\"\" b=\"two words\" c=\"new\\nline\" "
                                  "d=\"quo\\\"te\\\\\" e=caf\xc3\xa9 "
                                  "f=\"\\033[31m\\000\" g=\"\\177\""));
}

TEST_F(LogTest, LinesBelowTheLevelAreDropped) {
  LogDebug("dropped");
  SetLogLevel(LogLevel::kDebug);
  LogDebug("kept");
  SetLogLevel(LogLevel::kError);
  LogWarning("dropped");
  EXPECT_THAT(lines_, ElementsAre("D kept"));
}

// What a child process that passes `point` `times` times comes to.
int ExitOf(const char* fault, const char* point, int times) {
  pid_t child = fork();
  if (child == 0) {
    setenv("MIDWATCH_FAULT", fault, 1);
    EnableFaultPointsFromEnvironment();
    for (int i = 0; i < times; ++i) FaultPoint(point);
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

TEST(FaultPointsTest, KillAtTheNthPass) {
  const struct {
    const char* fault;
    int times;
    int want;
  } cases[] = {
      {"", 5, 0},
      {"store.commit.before", 0, 0},
      {"store.commit.before", 1, -SIGKILL},
      {"store.commit.before:3", 2, 0},
      {"store.commit.before:3", 3, -SIGKILL},
      {"store.commit.after", 5, 0},
      {"no.such.point", 0, 2},
      {"store.commit.before:0", 0, 2},
      {"store.commit.before:x", 0, 2},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(ExitOf(c.fault, "store.commit.before", c.times), c.want)
        << c.fault << " passed " << c.times << " times";
  }
}

TEST(FaultPointsTest, EachHasItsOwnName) {
  std::set<std::string> names(kFaultPoints, kFaultPoints + kFaultPointCount);
  EXPECT_EQ(names.size(), static_cast<size_t>(kFaultPointCount));
}

}  // namespace
}  // namespace midwatch
