// The one thing that a task waits for: each reason, which of several it is, and
// when the task starts.
#include "scheduler/why.h"

#include <gtest/gtest.h>

#include <functional>

namespace midwatch {
namespace {

const absl::Time kEightOClock =
    absl::FromUnixSeconds(1'800'000'000);  // 08:00:00 UTC

// A queued task that nothing holds back, and a worker for it.
TaskStanding ReadyStanding() {
  TaskStanding is;
  is.task.state = v1::TASK_STATE_QUEUED;
  is.task.queue = "nightly";
  is.task.max_cost = 1'000'000;
  is.task.forecast = {.samples = 20,
                      .cost_p50 = 0,
                      .cost_p90 = 0,
                      .time_p50 = absl::Minutes(10),
                      .time_p90 = absl::Minutes(20)};
  is.tenant = "acme";
  is.account = "default";
  is.batch_name = "docs";
  is.batch_state = v1::BATCH_STATE_SEALED;
  is.ready = true;
  is.lane_wants = 1'000'000;
  is.is_first = true;
  return is;
}

ServingFacts IdleServing() {
  return {.workers = 2,
          .capacity = 10,
          .free = 4,
          .creates_per_minute = 300,
          .until_create = absl::ZeroDuration(),
          .resting = false};
}

struct WhyCase {
  const char* name;
  std::function<void(TaskStanding&, ServingFacts&)> change;
  v1::WaitReason reason;
  std::string sentence, prediction;
};

std::ostream& operator<<(std::ostream& out, const WhyCase& c) {
  return out << c.name;
}

class WhyTest : public ::testing::TestWithParam<WhyCase> {};

TEST_P(WhyTest, MatchesTable) {
  const WhyCase& c = GetParam();
  TaskStanding is = ReadyStanding();
  ServingFacts serving = IdleServing();
  c.change(is, serving);
  const Why why = Explain(is, serving, kEightOClock, absl::UTCTimeZone());
  EXPECT_EQ(v1::WaitReason_Name(why.reason), v1::WaitReason_Name(c.reason));
  EXPECT_EQ(why.sentence, c.sentence);
  EXPECT_EQ(why.prediction, c.prediction);
}

void MakeRunning(TaskStanding& is) {
  is.task.state = v1::TASK_STATE_RUNNING;
  is.task.attempts = 2;
  is.task.session_id = "sesn_7";
  is.granted_at = kEightOClock - absl::Seconds(75);
  is.worker = "w1";
}

void MakeWaiting(TaskStanding& is, const char* tool, bool wants_result) {
  is.task.state = v1::TASK_STATE_WAITING;
  is.task.answer_by = kEightOClock + absl::Hours(12);
  v1::Question& question = is.task.questions.emplace_back();
  question.set_tool(tool);
  question.set_wants_result(wants_result);
}

StandingBudget BatchBudget(int64_t charged, int64_t reserved) {
  return {.scope = v1::BUDGET_SCOPE_BATCH,
          .name = "docs",
          .window = v1::BUDGET_WINDOW_TOTAL,
          .limit = 20'000'000,
          .charged = charged,
          .reserved = reserved};
}

INSTANTIATE_TEST_SUITE_P(
    WhereItStands, WhyTest,
    ::testing::ValuesIn<WhyCase>({
        {"Succeeded",
         [](auto& is, auto&) {
           is.task.state = v1::TASK_STATE_SUCCEEDED;
           is.task.ended_at = kEightOClock - absl::Minutes(3);
           is.task.attempts = 1;
           is.task.charged = 120'000;
         },
         v1::WAIT_REASON_FINAL,
         "It succeeded at 07:57:00 UTC, after 1 attempt and for $0.12.", ""},
        {"Failed",
         [](auto& is, auto&) {
           is.task.state = v1::TASK_STATE_FAILED;
           is.task.ended_at = kEightOClock - absl::Hours(24);
           is.task.reason = "timed out.";
         },
         v1::WAIT_REASON_FINAL,
         "It failed at 2027-01-14 08:00:00 UTC: timed out.", ""},
        {"Runs", [](auto& is, auto&) { MakeRunning(is); },
         v1::WAIT_REASON_RUNNING,
         "Attempt 2 runs since 07:58:45 UTC on worker w1 (session sesn_7).",
         ""},
        {"IsBeingStarted",
         [](auto& is, auto&) {
           MakeRunning(is);
           is.task.session_id = "";
         },
         v1::WAIT_REASON_RUNNING,
         "Attempt 2 is being started since 07:58:45 UTC by worker w1; it has "
         "no "
         "session yet.",
         ""},
        {"IsHeldByNobody",
         [](auto& is, auto&) {
           MakeRunning(is);
           is.worker = "";
         },
         v1::WAIT_REASON_RUNNING,
         "Attempt 2 is on since 07:58:45 UTC (session sesn_7); no worker holds "
         "it now, and the next that has a place takes it up.",
         ""},
        {"KeepsItsSession",
         [](auto& is, auto&) {
           MakeRunning(is);
           is.held = true;
           is.account_standing.why = "the key was revoked";
         },
         v1::WAIT_REASON_ACCOUNT_SHUT,
         "Attempt 2 keeps its session until account default opens: the key was "
         "revoked.",
         ""},
        {"IsBeingCancelled",
         [](auto& is, auto&) { is.task.state = v1::TASK_STATE_CANCELLING; },
         v1::WAIT_REASON_CANCELLING,
         "It is being cancelled: its session is brought to a rest.", ""},
        {"AsksForLeave",
         [](auto& is, auto&) { MakeWaiting(is, "Bash", false); },
         v1::WAIT_REASON_PERSON,
         "It waits for a person to give it leave to use Bash, until 20:00:00 "
         "UTC.",
         "unknown: it has started, and goes on once it is answered"},
        {"AsksForResults",
         [](auto& is, auto&) {
           MakeWaiting(is, "lookup", true);
           MakeWaiting(is, "lookup", true);
         },
         v1::WAIT_REASON_PERSON,
         "It waits for a person to give it the result of lookup (and 1 more), "
         "until 20:00:00 UTC.",
         "unknown: it has started, and goes on once it is answered"},
        {"NeedsOthers",
         [](auto& is, auto&) {
           is.task.state = v1::TASK_STATE_BLOCKED;
           is.task.waits_for = {"fetch", "build"};
           // Later, and so of no matter now.
           is.queue_pause = PauseRecord{.why = "", .since = kEightOClock};
         },
         v1::WAIT_REASON_NEEDS, "It needs fetch, build, which are not done.",
         "unknown: it is ready once what it needs is done"},
    }),
    [](const auto& each) { return std::string(each.param.name); });

INSTANTIATE_TEST_SUITE_P(
    WhatAPersonEnds, WhyTest,
    ::testing::ValuesIn<WhyCase>({
        {"AccountPaused",
         [](auto& is, auto& serving) {
           is.account_standing.state = v1::ACCOUNT_STATE_PAUSED;
           is.account_standing.why = "moving house";
           serving.workers = 0;
         },
         v1::WAIT_REASON_ACCOUNT_SHUT,
         "Account default is paused until somebody resumes it: moving house.",
         "unknown: somebody has to resume it"},
        {"QueuePaused",
         [](auto& is, auto&) {
           is.queue_pause = PauseRecord{.why = "", .since = kEightOClock};
           // Over sooner, whoever resumes it.
           is.batch_pause = PauseRecord{.why = "",
                                        .since = kEightOClock,
                                        .until = kEightOClock + absl::Hours(1)};
         },
         v1::WAIT_REASON_QUEUE_PAUSED,
         "Queue nightly is paused until somebody resumes it.",
         "unknown: somebody has to resume it"},
        {"BatchPaused",
         [](auto& is, auto&) {
           is.batch_pause =
               PauseRecord{.why = "look first", .since = kEightOClock};
         },
         v1::WAIT_REASON_BATCH_PAUSED,
         "Batch docs is paused until somebody resumes it: look first.",
         "unknown: somebody has to resume it"},
        {"NoWorker",
         [](auto& is, auto& serving) {
           serving = {};
           is.before = 7;
         },
         v1::WAIT_REASON_NO_WORKER,
         "No worker for account default is connected.",
         "unknown: a worker has to be started"},
        {"BudgetIsSpent",
         [](auto& is, auto& serving) {
           is.budgets = {BatchBudget(19'800'000, 0)};
           serving.free = 0;
         },
         v1::WAIT_REASON_BUDGET,
         "The budget of batch docs, $20.00, has $0.20 left, and it needs $1.00 "
         "of it to start.",
         "unknown: what runs has to leave room in the budget, or it has to be "
         "raised"},
    }),
    [](const auto& each) { return std::string(each.param.name); });

INSTANTIATE_TEST_SUITE_P(
    WhatEndsAtATime, WhyTest,
    ::testing::ValuesIn<WhyCase>({
        {"Backoff",
         [](auto& is, auto&) {
           is.ready = false;
           is.task.attempts = 1;
           is.task.reason = "the session was terminated";
           is.task.not_before = kEightOClock + absl::Seconds(40);
         },
         v1::WAIT_REASON_DELAY,
         "It is tried again at 08:00:40 UTC, since attempt 1 ended: the "
         "session "
         "was terminated.",
         "not before 08:00:40 UTC"},
        {"DelayOfANewOne",
         [](auto& is, auto&) {
           is.ready = false;
           is.task.not_before = kEightOClock + absl::Hours(2);
         },
         v1::WAIT_REASON_DELAY, "It is not to start before 10:00:00 UTC.",
         "not before 10:00 UTC"},
        {"TheLatestOfTwo",
         [](auto& is, auto&) {
           is.ready = false;
           is.task.not_before = kEightOClock + absl::Hours(2);
           is.queue_pause = PauseRecord{.why = "",
                                        .since = kEightOClock,
                                        .until = kEightOClock + absl::Hours(3)};
         },
         v1::WAIT_REASON_QUEUE_PAUSED,
         "Queue nightly is paused until 11:00:00 UTC.", "not before 11:00 UTC"},
        {"AccountRefused",
         [](auto& is, auto&) {
           is.account_standing.state = v1::ACCOUNT_STATE_REFUSED;
           is.account_standing.why = "invalid x-api-key";
           is.account_standing.next_probe = kEightOClock + absl::Minutes(5);
         },
         v1::WAIT_REASON_ACCOUNT_SHUT,
         "Account default is refused by the service, and tried again at "
         "08:05:00 UTC: invalid x-api-key.",
         "unknown: its account has to open"},
        {"BudgetOfTheDayIsSpent",
         [](auto& is, auto&) {
           is.budgets = {{.scope = v1::BUDGET_SCOPE_TENANT,
                          .name = "acme",
                          .window = v1::BUDGET_WINDOW_DAY,
                          .limit = 5'000'000,
                          .charged = 4'999'000,
                          .reserved = 0,
                          .window_end = kEightOClock + absl::Hours(16)}};
           is.is_first = false;
         },
         v1::WAIT_REASON_BUDGET,
         "The budget of tenant acme, $5.00 a day, has $0.001000 left, and the "
         "task before it needs $1.00 of it to start.",
         "not before 2027-01-16 00:00 UTC"},
    }),
    [](const auto& each) { return std::string(each.param.name); });

INSTANTIATE_TEST_SUITE_P(
    WhatOthersEnd, WhyTest,
    ::testing::ValuesIn<WhyCase>({
        {"ItsCanary",
         [](auto& is, auto&) {
           is.canary_tasks = 5;
           is.canary_over = 3;
           is.caps = {{v1::CAP_SCOPE_BATCH, "docs", 2, 2}};
         },
         v1::WAIT_REASON_CANARY,
         "Of the canary of batch docs 3 of 5 tasks are done, and it has no "
         "verdict yet.",
         "unknown: the canary has to pass, or somebody has to go on"},
        {"ItsKeysCap",
         [](auto& is, auto&) {
           is.concurrency_key = "deploy";
           is.key_max = 3;
           is.key_holder = "first";
         },
         v1::WAIT_REASON_KEY,
         "As many tasks of its concurrency key (deploy) are on as may be, 3 of "
         "them, task first among them.",
         "about 08:03:20 UTC"},
        {"Key",
         [](auto& is, auto& serving) {
           is.concurrency_key = "deploy";
           is.key_holder = "first";
           is.before = 2;
           serving.free = 0;
         },
         v1::WAIT_REASON_KEY,
         "Task first is on, which has the same concurrency key (deploy), and 2 "
         "ready tasks go before it.",
         "about 08:30 UTC"},
        {"Cap",
         [](auto& is, auto& serving) {
           is.caps = {{v1::CAP_SCOPE_BATCH, "docs", 1, 8},
                      {v1::CAP_SCOPE_QUEUE, "nightly", 5, 5}};
           serving.free = 0;
         },
         v1::WAIT_REASON_CAP,
         "Queue nightly runs as many tasks as it may, 5 of 5.",
         "about 08:02:00 UTC"},
        {"BudgetIsSetAside",
         [](auto& is, auto&) {
           is.budgets = {BatchBudget(2'000'000, 17'500'000)};
         },
         v1::WAIT_REASON_BUDGET,
         "The budget of batch docs, $20.00, has $0.50 left beside $17.50 set "
         "aside for what runs, and it needs $1.00 of it to start.",
         "unknown: what runs has to leave room in the budget, or it has to be "
         "raised"},
        {"Capacity",
         [](auto& is, auto& serving) {
           serving.free = 0;
           is.before = 29;
         },
         v1::WAIT_REASON_CAPACITY,
         "All 10 places at the 2 workers for account default are taken, and 29 "
         "ready tasks go before it.",
         "about 08:30 UTC"},
        {"CapacityForAKindThatNeverRan",
         [](auto& is, auto& serving) {
           serving = {.workers = 1,
                      .capacity = 1,
                      .free = 0,
                      .creates_per_minute = 0,
                      .until_create = absl::ZeroDuration(),
                      .resting = false};
           is.task.forecast = {};
         },
         v1::WAIT_REASON_CAPACITY,
         "The one place at the worker for account default is taken.",
         "unknown: no task of its kind has succeeded yet"},
        {"Rate",
         [](auto& is, auto& serving) {
           serving.until_create = absl::Milliseconds(200);
           is.before = 600;
         },
         v1::WAIT_REASON_RATE,
         "The service lets 300 sessions a minute begin, and the next ones are "
         "taken, and 600 ready tasks go before it.",
         "about 08:02:00 UTC"},
        {"Resting",
         [](auto&, auto& serving) {
           serving.until_create = absl::Seconds(15);
           serving.resting = true;
         },
         v1::WAIT_REASON_RATE,
         "The service refused requests: no session is created before 08:00:15 "
         "UTC.",
         "not before 08:00:15 UTC"},
        {"Order",
         [](auto& is, auto&) {
           is.before = kStandingCountMax;
           is.more_before = true;
           is.other_queues = 2;
         },
         v1::WAIT_REASON_ORDER,
         "More than 10000 ready tasks of its queue go before it, and 2 other "
         "queues take turns with it.",
         "about 09:40 UTC"},
        {"OtherQueues", [](auto& is, auto&) { is.other_queues = 1; },
         v1::WAIT_REASON_ORDER,
         "It is the first of its queue, and 1 other queue takes turns with it.",
         "at once"},
        {"Nothing", [](auto&, auto&) {}, v1::WAIT_REASON_NOTHING,
         "Nothing holds it back: it starts at once.", "at once"},
    }),
    [](const auto& each) { return std::string(each.param.name); });

TEST(WhyTimesTest, TimesAreTheReaders) {
  TaskStanding is = ReadyStanding();
  is.ready = false;
  is.task.not_before = kEightOClock + absl::Minutes(30);
  const Why why = Explain(is, IdleServing(), kEightOClock,
                          absl::FixedTimeZone(2 * 60 * 60));
  EXPECT_EQ(why.sentence, "It is not to start before 10:30:00.");
  EXPECT_EQ(why.until, kEightOClock + absl::Minutes(30));
  EXPECT_EQ(why.start, kEightOClock + absl::Minutes(30));
}

}  // namespace
}  // namespace midwatch
