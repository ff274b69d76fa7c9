#include "scheduler/retry.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace midwatch {
namespace {

// An ending of each class, charged 10 cents.
v1::Ending EndingOf(v1::FailureClass failure) {
  v1::Ending ending;
  ending.set_kind(v1::Ending::KIND_IDLE);
  ending.set_stop_reason("end_turn");
  ending.set_charged(true);
  ending.set_list_cost_usd_micros(100'000);
  switch (failure) {
    case v1::FAILURE_CLASS_TASK:
      ending.set_kind(v1::Ending::KIND_TERMINATED);
      break;
    case v1::FAILURE_CLASS_REFUSAL:
      ending.set_stop_reason("refusal");
      break;
    case v1::FAILURE_CLASS_UNSPECIFIED:
      break;
    default: {
      ending.set_kind(v1::Ending::KIND_NOT_STARTED);
      int status = failure == v1::FAILURE_CLASS_SERVICE     ? 529
                   : failure == v1::FAILURE_CLASS_ACCOUNT   ? 401
                   : failure == v1::FAILURE_CLASS_SPEND_CAP ? 402
                                                            : 400;
      ending.mutable_failure()->set_http_status(status);
    }
  }
  return ending;
}

// A whole night without an answer must not use up what a task may be started.
TEST(DecideTest, AnOutageInWhichNothingBeganUsesUpNoStart) {
  v1::Ending ending = EndingOf(v1::FAILURE_CLASS_SERVICE);
  ending.set_charged(false);
  Tally tally{.starts = 10, .attempts = 30, .max_cost = 1'000'000};
  Disposition next = Decide(tally, ending, 1.0);
  EXPECT_EQ(next.state, v1::TASK_STATE_QUEUED);
  EXPECT_TRUE(next.excused);
  EXPECT_EQ(next.delay, absl::Minutes(15)) << "by its tries, not its starts";
  tally.has_session = true;
  EXPECT_EQ(Decide(tally, ending, 1.0).state, v1::TASK_STATE_FAILED);
  tally.has_session = false;
  tally.attempts = 100;
  EXPECT_EQ(Decide(tally, ending, 1.0).state, v1::TASK_STATE_FAILED)
      << "not for ever";
}

struct DecideCase {
  const char* name;
  v1::FailureClass failure;
  int32_t starts;    // this one included
  int32_t failures;  // before this one
  int64_t charged;   // before this one
  v1::TaskState want;
  absl::Duration delay;
};

class DecideTest : public ::testing::TestWithParam<DecideCase> {};

TEST_P(DecideTest, MatchesTable) {
  const DecideCase& c = GetParam();
  Tally tally{.starts = c.starts,
              .attempts = c.starts,
              .failures = c.failures,
              .charged = c.charged,
              .max_cost = 1'000'000,
              .reserved = 1'000'000 - c.charged,
              .cancelling = false,
              .spec = {}};
  Disposition next = Decide(tally, EndingOf(c.failure), /*jitter=*/1.0);
  EXPECT_EQ(next.state, c.want) << next.reason;
  EXPECT_EQ(next.delay, c.delay);
  EXPECT_EQ(next.charged, 100'000);
  EXPECT_EQ(next.counts_as_failure, c.failure == v1::FAILURE_CLASS_TASK ||
                                        c.failure == v1::FAILURE_CLASS_REFUSAL);
}

constexpr v1::TaskState kAgain = v1::TASK_STATE_QUEUED;
constexpr v1::TaskState kFailed = v1::TASK_STATE_FAILED;

INSTANTIATE_TEST_SUITE_P(
    Table, DecideTest,
    ::testing::ValuesIn<DecideCase>({
        {"Success", v1::FAILURE_CLASS_UNSPECIFIED, 1, 0, 0,
         v1::TASK_STATE_SUCCEEDED, absl::ZeroDuration()},
        {"OutageIsNotTheTasks", v1::FAILURE_CLASS_SERVICE, 1, 0, 0, kAgain,
         absl::Seconds(10)},
        {"DelayDoubles", v1::FAILURE_CLASS_SERVICE, 3, 0, 0, kAgain,
         absl::Seconds(40)},
        {"DelayIsBounded", v1::FAILURE_CLASS_SERVICE, 9, 0, 0, kAgain,
         absl::Minutes(15)},
        {"StartsAreBounded", v1::FAILURE_CLASS_SERVICE, 10, 0, 0, kFailed,
         absl::ZeroDuration()},
        {"FirstFailureIsTriedAgain", v1::FAILURE_CLASS_TASK, 1, 0, 0, kAgain,
         absl::Seconds(10)},
        {"ThirdFailureFails", v1::FAILURE_CLASS_TASK, 3, 2, 0, kFailed,
         absl::ZeroDuration()},
        {"BadSpecNeverRetries", v1::FAILURE_CLASS_SPEC, 1, 0, 0, kFailed,
         absl::ZeroDuration()},
        {"RefusalNeverRetriesByDefault", v1::FAILURE_CLASS_REFUSAL, 1, 0, 0,
         kFailed, absl::ZeroDuration()},
        {"ItsAccountIsWhatItWaitsFor", v1::FAILURE_CLASS_ACCOUNT, 1, 0, 0,
         kAgain, absl::ZeroDuration()},
        {"ASpendCapToo", v1::FAILURE_CLASS_SPEND_CAP, 1, 0, 0, kAgain,
         absl::ZeroDuration()},
        {"TooLittleIsLeft", v1::FAILURE_CLASS_TASK, 2, 1, 850'000, kFailed,
         absl::ZeroDuration()},
        {"JustEnoughIsLeft", v1::FAILURE_CLASS_TASK, 2, 1, 800'000, kAgain,
         absl::Seconds(20)},
    }),
    [](const auto& test) { return std::string(test.param.name); });

Tally OneStart() {
  Tally tally;
  tally.starts = tally.attempts = 1;
  tally.max_cost = 1'000'000;
  tally.reserved = 1'000'000;
  return tally;
}

v1::ClassRetry Rule(v1::FailureClass failure, int32_t max_failures,
                    int backoff_seconds = 0, int backoff_max_seconds = 0) {
  v1::ClassRetry rule;
  rule.set_failure_class(failure);
  rule.set_max_failures(max_failures);
  if (backoff_seconds > 0) {
    rule.mutable_backoff()->set_seconds(backoff_seconds);
  }
  if (backoff_max_seconds > 0) {
    rule.mutable_backoff_max()->set_seconds(backoff_max_seconds);
  }
  return rule;
}

constexpr v1::FailureClass kByService = v1::FAILURE_CLASS_SERVICE;
constexpr v1::FailureClass kByTask = v1::FAILURE_CLASS_TASK;
constexpr v1::FailureClass kByRefusal = v1::FAILURE_CLASS_REFUSAL;

struct ClassCase {
  const char* name;
  std::vector<v1::ClassRetry> rules;
  v1::FailureClass failure;
  // Attempts before this one.
  int32_t by_service, by_task, by_refusal;
  v1::TaskState want;
  absl::Duration delay;
  const char* reason = "";
};

class DecideByClassTest : public ::testing::TestWithParam<ClassCase> {};

TEST_P(DecideByClassTest, MatchesTable) {
  const ClassCase& c = GetParam();
  Tally tally;
  tally.starts = tally.attempts = 1 + c.by_service + c.by_task + c.by_refusal;
  tally.failures = c.by_task + c.by_refusal;
  tally.max_cost = 10'000'000;
  tally.has_session = true;
  tally.failed_as[v1::FAILURE_CLASS_SERVICE] = c.by_service;
  tally.failed_as[v1::FAILURE_CLASS_TASK] = c.by_task;
  tally.failed_as[v1::FAILURE_CLASS_REFUSAL] = c.by_refusal;
  for (const v1::ClassRetry& rule : c.rules) {
    *tally.spec.mutable_retry()->add_classes() = rule;
  }
  const Disposition next = Decide(tally, EndingOf(c.failure), /*jitter=*/1.0);
  EXPECT_EQ(next.state, c.want) << next.reason;
  EXPECT_EQ(next.delay, c.delay);
  EXPECT_NE(next.reason.find(c.reason), std::string::npos) << next.reason;
}

INSTANTIATE_TEST_SUITE_P(Table, DecideByClassTest,
                         ::testing::ValuesIn<ClassCase>({
                             {"ServiceMayBreakItOnce",
                              {Rule(kByService, 2)},
                              kByService,
                              0,
                              0,
                              0,
                              kAgain,
                              absl::Seconds(10)},
                             {"ServiceBrokeItTwice",
                              {Rule(kByService, 2)},
                              kByService,
                              1,
                              0,
                              0,
                              kFailed,
                              absl::ZeroDuration(),
                              "(the service broke it 2 times)"},
                             {"OthersDoNotCountForIt",
                              {Rule(kByService, 2)},
                              kByService,
                              0,
                              2,
                              0,
                              kAgain,
                              absl::Seconds(40)},
                             {"NorItForOthers",
                              {Rule(kByService, 2)},
                              kByTask,
                              5,
                              1,
                              0,
                              kAgain,
                              absl::Minutes(10) + absl::Seconds(40)},
                             {"OneBound",
                              {Rule(kByTask, 1)},
                              kByTask,
                              0,
                              0,
                              0,
                              kFailed,
                              absl::ZeroDuration(),
                              "(no further try is allowed)"},
                             {"MoreThanTheOthersMay",
                              {Rule(kByTask, 5)},
                              kByTask,
                              0,
                              3,
                              0,
                              kAgain,
                              absl::Seconds(80)},
                             {"ItsOwnBound",
                              {Rule(kByTask, 5)},
                              kByTask,
                              0,
                              4,
                              0,
                              kFailed,
                              absl::ZeroDuration(),
                              "(it failed 5 times)"},
                             {"ABoundForRefusalsTriesThemAgain",
                              {Rule(kByRefusal, 2)},
                              kByRefusal,
                              0,
                              0,
                              0,
                              kAgain,
                              absl::Seconds(10)},
                             {"RefusedTwice",
                              {Rule(kByRefusal, 2)},
                              kByRefusal,
                              0,
                              0,
                              1,
                              kFailed,
                              absl::ZeroDuration(),
                              "(it was refused 2 times)"},
                             {"BoundsOfTheirOwnLeaveTheShared",
                              {Rule(kByRefusal, 9)},
                              kByTask,
                              0,
                              1,
                              4,
                              kAgain,
                              absl::Seconds(320)},
                             {"TheSharedBound",
                              {Rule(kByRefusal, 9)},
                              kByTask,
                              0,
                              2,
                              1,
                              kFailed,
                              absl::ZeroDuration(),
                              "(it failed 3 times)"},
                             {"WithoutABoundTheSharedHolds",
                              {Rule(kByTask, 0, 60)},
                              kByTask,
                              0,
                              2,
                              0,
                              kFailed,
                              absl::ZeroDuration(),
                              "(it failed 3 times)"},
                             {"RefusalsAreNotTriedForADelay",
                              {Rule(kByRefusal, 0, 60)},
                              kByRefusal,
                              0,
                              0,
                              0,
                              kFailed,
                              absl::ZeroDuration(),
                              "refusals are not tried again"},
                             {"ABackoff",
                              {Rule(kByTask, 0, 60)},
                              kByTask,
                              0,
                              1,
                              0,
                              kAgain,
                              absl::Minutes(2)},
                             {"OfItsClassAlone",
                              {Rule(kByTask, 0, 60)},
                              kByService,
                              1,
                              0,
                              0,
                              kAgain,
                              absl::Seconds(20)},
                             {"ABackoffIsBounded",
                              {Rule(kByService, 0, 60, 90)},
                              kByService,
                              4,
                              0,
                              0,
                              kAgain,
                              absl::Seconds(90)},
                             {"BoundedByTheDefault",
                              {Rule(kByService, 0, 60)},
                              kByService,
                              8,
                              0,
                              0,
                              kAgain,
                              absl::Minutes(15)},
                             {"LongerThanTheDefault",
                              {Rule(kByService, 0, 3600)},
                              kByService,
                              8,
                              0,
                              0,
                              kAgain,
                              absl::Hours(1)},
                             {"ABoundAlone",
                              {Rule(kByService, 0, 0, 5)},
                              kByService,
                              0,
                              0,
                              0,
                              kAgain,
                              absl::Seconds(5)},
                             {"StartsAreBoundedAllTheSame",
                              {Rule(kByService, 50)},
                              kByService,
                              9,
                              0,
                              0,
                              kFailed,
                              absl::ZeroDuration(),
                              "(it was started 10 times)"},
                         }),
                         [](const auto& test) {
                           return std::string(test.param.name);
                         });

TEST(DecideTest, WhatAnOutageKeptFromASessionDoesNotCountForItsClass) {
  v1::Ending ending = EndingOf(v1::FAILURE_CLASS_SERVICE);
  ending.set_charged(false);
  Tally tally = OneStart();
  *tally.spec.mutable_retry()->add_classes() = Rule(kByService, 1);
  EXPECT_EQ(Decide(tally, ending, 1.0).state, v1::TASK_STATE_QUEUED);
  tally.has_session = true;
  EXPECT_EQ(Decide(tally, ending, 1.0).state, v1::TASK_STATE_FAILED);
}

TEST(DecideTest, UnknownCostIsTheWholeReservation) {
  v1::Ending ending = EndingOf(v1::FAILURE_CLASS_TASK);
  ending.clear_list_cost_usd_micros();
  EXPECT_EQ(Decide(OneStart(), ending, 1.0).charged, 1'000'000);
  ending.set_charged(false);
  EXPECT_EQ(Decide(OneStart(), ending, 1.0).charged, 0);
}

TEST(DecideTest, WhereACostIsUnknownTheNextAttemptWaitsForIt) {
  v1::Ending ending = EndingOf(v1::FAILURE_CLASS_SERVICE);
  ending.clear_list_cost_usd_micros();
  Tally tally = OneStart();
  EXPECT_EQ(Decide(tally, ending, 1.0).state, v1::TASK_STATE_FAILED)
      << "without a session nobody will ever say";
  tally.has_session = true;
  Disposition next = Decide(tally, ending, 1.0);
  EXPECT_EQ(next.state, v1::TASK_STATE_QUEUED);
  EXPECT_TRUE(next.awaits_cost);
  // Known, and all of it: there is nothing to wait for.
  ending.set_list_cost_usd_micros(1'000'000);
  EXPECT_EQ(Decide(tally, ending, 1.0).state, v1::TASK_STATE_FAILED);
  // An earlier one's.
  tally.charged = 950'000;
  tally.cost_pending = true;
  ending.set_list_cost_usd_micros(50'000);
  EXPECT_EQ(Decide(tally, ending, 1.0).state, v1::TASK_STATE_QUEUED);
  // What may not be tried again waits for nothing.
  v1::Ending refused = EndingOf(v1::FAILURE_CLASS_SPEC);
  EXPECT_EQ(Decide(tally, refused, 1.0).state, v1::TASK_STATE_FAILED);
}

TEST(DecideTest, CancelWinsOverEveryEnding) {
  Tally tally = OneStart();
  tally.cancelling = true;
  for (v1::FailureClass failure :
       {v1::FAILURE_CLASS_UNSPECIFIED, v1::FAILURE_CLASS_TASK,
        v1::FAILURE_CLASS_SERVICE}) {
    Disposition next = Decide(tally, EndingOf(failure), 1.0);
    EXPECT_EQ(next.state, v1::TASK_STATE_CANCELLED);
    EXPECT_FALSE(next.counts_as_failure);
  }
}

TEST(DecideTest, RetryAfterIsKeptForADayAtMost) {
  v1::Ending ending = EndingOf(v1::FAILURE_CLASS_SERVICE);
  ending.mutable_failure()->mutable_retry_after()->set_seconds(INT64_MAX);
  EXPECT_EQ(Decide(OneStart(), ending, 1.0).delay, absl::Hours(24));
}

TEST(DecideTest, ANegativeCostIsNone) {
  v1::Ending ending = EndingOf(v1::FAILURE_CLASS_TASK);
  ending.set_list_cost_usd_micros(-5'000'000);
  EXPECT_EQ(Decide(OneStart(), ending, 1.0).charged, 0);
}

TEST(DecideTest, RetryAfterIsKept) {
  v1::Ending ending = EndingOf(v1::FAILURE_CLASS_SERVICE);
  ending.mutable_failure()->mutable_retry_after()->set_seconds(90);
  EXPECT_EQ(Decide(OneStart(), ending, 1.0).delay, absl::Seconds(90));
}

TEST(DecideTest, ThePolicyOfTheSpecCounts) {
  Tally tally = OneStart();
  tally.spec.mutable_retry()->set_max_failures(1);
  EXPECT_EQ(Decide(tally, EndingOf(v1::FAILURE_CLASS_TASK), 1.0).state,
            v1::TASK_STATE_FAILED);
  tally.spec.mutable_retry()->set_max_failures(5);
  tally.spec.mutable_retry()->set_retry_refusals(true);
  EXPECT_EQ(Decide(tally, EndingOf(v1::FAILURE_CLASS_REFUSAL), 1.0).state,
            v1::TASK_STATE_QUEUED);
}

TEST(DecideAdviceTest, OnlyTheServicesFailuresAreWaitedFor) {
  v1::AdviseRequest request;
  request.mutable_failure()->set_http_status(529);
  EXPECT_EQ(DecideAdvice(request, 1.0),
            (Advice{v1::AdviseResponse::ACTION_RETRY, absl::Seconds(10)}));
  request.set_session_idle(true);
  request.set_earlier_failures(2);
  EXPECT_EQ(DecideAdvice(request, 0.5),
            (Advice{v1::AdviseResponse::ACTION_NUDGE, absl::Seconds(20)}));
  request.set_earlier_failures(6);
  EXPECT_EQ(DecideAdvice(request, 1.0), Advice{});
  request.set_earlier_failures(0);
  request.mutable_failure()->set_http_status(400);
  EXPECT_EQ(DecideAdvice(request, 1.0), Advice{});
}

}  // namespace
}  // namespace midwatch
