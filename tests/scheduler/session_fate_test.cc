// What a session that carries a mark is to the queue.
#include "scheduler/session_fate.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>

namespace midwatch {
namespace {

const absl::Time kThen = absl::FromUnixSeconds(1'795'478'400);

struct FateCase {
  const char* name;
  const char* cluster;
  bool recorded, live;
  std::optional<absl::Duration> begun_ago;
  v1::SessionFate want;
  bool awaited = false;
};

class DecideFateTest : public ::testing::TestWithParam<FateCase> {};

TEST_P(DecideFateTest, MatchesTable) {
  const FateCase& c = GetParam();
  SessionFacts facts;
  facts.cluster = c.cluster;
  facts.recorded = c.recorded;
  facts.attempt_live = c.live;
  facts.awaited = c.awaited;
  if (c.begun_ago) facts.begun_at = kThen - *c.begun_ago;
  EXPECT_EQ(DecideFate(facts, "1f2e.2", kThen), c.want);
}

constexpr char kOurs[] = "1f2e.2";
constexpr std::nullopt_t kUnbegun = std::nullopt;

INSTANTIATE_TEST_SUITE_P(
    Table, DecideFateTest,
    ::testing::ValuesIn<FateCase>({
        {"AnotherQueues", "1f2f", true, true, kUnbegun,
         v1::SESSION_FATE_FOREIGN},
        {"OfAnEarlierLife", "1f2e", true, false, absl::Hours(1),
         v1::SESSION_FATE_UNEXPLAINED},
        {"OfALaterLife", "1f2e.3", false, false, absl::Hours(1),
         v1::SESSION_FATE_UNEXPLAINED},
        {"RecordedAndOn", kOurs, true, true, kUnbegun, v1::SESSION_FATE_LIVE},
        {"RecordedAndOver", kOurs, true, false, kUnbegun,
         v1::SESSION_FATE_SETTLED},
        {"BegunAMomentAgo", kOurs, false, true, absl::Minutes(2),
         v1::SESSION_FATE_PENDING},
        {"BegunTooLongAgo", kOurs, false, true, absl::Minutes(3),
         v1::SESSION_FATE_SUPERSEDED},
        {"BegunLongAgoAndLookedFor", kOurs, false, true, absl::Hours(1),
         v1::SESSION_FATE_PENDING, true},
        {"BegunByAnAttemptThatIsOver", kOurs, false, false, absl::Seconds(1),
         v1::SESSION_FATE_SUPERSEDED},
        {"NobodyBeganIt", kOurs, false, true, kUnbegun,
         v1::SESSION_FATE_UNEXPLAINED},
    }),
    [](const auto& test) { return std::string(test.param.name); });

}  // namespace
}  // namespace midwatch
