#include "scheduler/hook_rules.h"

#include <gtest/gtest.h>

namespace midwatch {
namespace {

TEST(HookRulesTest, DelaysGrow) {
  const int seconds[] = {5, 15, 60, 300, 900, 3600, 7200, 14400, 28800};
  for (int tries = 1; tries < kHookTriesMax; ++tries) {
    EXPECT_EQ(HookDelay(tries, 0), absl::Seconds(seconds[tries - 1]));
    EXPECT_EQ(HookDelay(tries, 1), 1.1 * absl::Seconds(seconds[tries - 1]));
  }
}

HookVerdict Judge(int status, int tries = 1) {
  HttpResponse response;
  response.status = status;
  return JudgeHookTry(response, tries, 0);
}

TEST(HookRulesTest, Verdicts) {
  EXPECT_EQ(Judge(200).end, HookEnd::kDelivered);
  EXPECT_EQ(Judge(204, kHookTriesMax).end, HookEnd::kDelivered);
  for (int status : {301, 400, 401, 404, 429, 500, 503}) {
    EXPECT_EQ(Judge(status).end, HookEnd::kAgain) << status;
    EXPECT_EQ(Judge(status, kHookTriesMax - 1).end, HookEnd::kAgain) << status;
    EXPECT_EQ(Judge(status, kHookTriesMax).end, HookEnd::kGivenUp) << status;
  }
  EXPECT_EQ(Judge(410).end, HookEnd::kGivenUp);
  EXPECT_EQ(Judge(500).why, "answered 500");
  EXPECT_EQ(Judge(500, 2).delay, absl::Seconds(15));

  const HookVerdict lost =
      JudgeHookTry(absl::UnavailableError("no\nconnection"), 1, 0);
  EXPECT_EQ(lost.end, HookEnd::kAgain);
  EXPECT_EQ(lost.why, "no connection");
}

}  // namespace
}  // namespace midwatch
