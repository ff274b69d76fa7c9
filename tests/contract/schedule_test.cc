// What a store keeps of schedules.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/contract/store_contract.h"

namespace midwatch {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using testing::StatusIs;

class ScheduleTest : public testing::ContractTest {
 protected:
  static PutSchedule Nightly(const std::string& prompt = "do it") {
    PutSchedule put;
    put.name = "nightly";
    put.timing.set_cron("0 2 * * *");
    put.timing.set_time_zone("UTC");
    put.steps.resize(3);
    v1::OpenBatch& open = *put.steps[0].mutable_open();
    open.set_tenant("acme");
    open.set_queue("slow");
    open.set_account("main");
    *open.mutable_spec() = Spec();
    open.mutable_spec()->set_prompt(prompt);
    put.steps[1].mutable_chunk()->add_lines()->set_name("one");
    put.steps[2].mutable_seal()->set_lines(1);
    put.lines = 1;
    return put;
  }

  int64_t Put(const PutSchedule& put) {
    auto set = Apply(put);
    EXPECT_OK(set);
    return set.ok() ? set->schedule.row : 0;
  }

  ScheduleRecord Find(const std::string& name = "nightly") {
    auto found = Read<ScheduleRecord>(
        [&](StoreReader& reader) { return reader.FindSchedule(name, 200); });
    EXPECT_OK(found);
    return found.ok() ? *std::move(found) : ScheduleRecord();
  }

  std::vector<int64_t> Awake() {
    auto awake = Read<std::vector<int64_t>>(
        [](StoreReader& reader) { return reader.ListAwakeSchedules(); });
    EXPECT_OK(awake);
    return *std::move(awake);
  }

  std::string Prompt(int64_t schedule, int64_t revision) {
    auto step = Read<v1::SubmitBatchRequest>([&](StoreReader& reader) {
      return reader.ReadScheduleStep(schedule, revision, 0);
    });
    return step.ok() ? step->open().spec().prompt() : "gone";
  }

  // Plans with a decision that is made already.
  absl::StatusOr<FiringPlan> Plan(int64_t schedule, FiringDecision decision) {
    decision.since = clock_.Now();
    return Apply(PlanFirings{schedule, [&](const FiringView& view, absl::Time) {
                               view_ = view;
                               return decision;
                             }});
  }
  NewFiring Firing(v1::FiringState state, absl::Duration after = {}) {
    return {.due = clock_.Now() + after,
            .state = state,
            .batch_name = "nightly-x",
            .why = ""};
  }

  FiringView view_;  // of the last plan
};
TEST_P(ScheduleTest, RunsOfOneSecondHaveNamesOfTheirOwn) {
  Put(Nightly());
  std::vector<std::string> names;
  for (const char* request : {"r1", "r2", "r1", "r3"}) {
    auto run =
        Apply(BeginRun{"nightly", request, [](const FiringView&, absl::Time) {
                         return std::string("nightly-run-now");
                       }});
    ASSERT_OK(run);
    names.push_back(run->firing.batch_name);
  }
  EXPECT_THAT(names, ElementsAre("nightly-run-now", "nightly-run-now-2",
                                 "nightly-run-now", "nightly-run-now-3"));
}

MIDWATCH_ON_EVERY_STORE(ScheduleTest);

TEST_P(ScheduleTest, PuttingTheSameAgainChangesNothing) {
  const int64_t id = Put(Nightly());
  const ScheduleRecord first = Find();
  EXPECT_EQ(first.tenant, "acme");
  EXPECT_EQ(first.queue, "slow");
  EXPECT_EQ(first.account, "main");
  EXPECT_EQ(first.lines, 1);
  EXPECT_EQ(first.timing.cron(), "0 2 * * *");
  EXPECT_EQ(first.since, clock_.Now());
  time_.Advance(absl::Hours(1));
  EXPECT_EQ(Put(Nightly()), id);
  EXPECT_EQ(Find().changed_at, first.changed_at);
  EXPECT_EQ(Find().since, first.since);
}

TEST_P(ScheduleTest, AnotherOfTheNameIsRefusedUnlessItReplaces) {
  const int64_t id = Put(Nightly());
  EXPECT_THAT(
      Apply(Nightly("other")).status(),
      StatusIs(absl::StatusCode::kAlreadyExists, HasSubstr("named 'nightly'")));
  const absl::Time before = Find().since;
  time_.Advance(absl::Hours(1));
  PutSchedule other = Nightly("other");
  other.replace = true;
  EXPECT_EQ(Put(other), id);
  // Other work at the same times: those that are still to come stay so.
  EXPECT_EQ(Find().since, before);
  EXPECT_EQ(Prompt(id, 1), "gone");
  EXPECT_EQ(Prompt(id, 2), "other");
  other.timing.set_cron("0 3 * * *");
  EXPECT_EQ(Put(other), id);
  EXPECT_EQ(Find().since, clock_.Now());
}

TEST_P(ScheduleTest, WhatIsFiredIsWhatItWasPlannedWith) {
  const int64_t id = Put(Nightly());
  auto plan = Plan(id, {.firings = {Firing(v1::FIRING_STATE_OPENING)}});
  ASSERT_OK(plan);
  ASSERT_THAT(plan->opening, SizeIs(1));
  PutSchedule other = Nightly("other");
  other.replace = true;
  Put(other);
  EXPECT_EQ(Prompt(id, plan->opening[0].revision), "do it");
  ASSERT_OK(Apply(EndFiring{plan->opening[0].id, SubmitBatch(1), ""}));
  ASSERT_OK(Plan(id, {}));
  EXPECT_EQ(Prompt(id, plan->opening[0].revision), "gone");
}

TEST_P(ScheduleTest, ATimeFiresOnce) {
  const int64_t id = Put(Nightly());
  const NewFiring firing = Firing(v1::FIRING_STATE_OPENING);
  ASSERT_OK(Plan(id, {.firings = {firing}}));
  // Also after the clock was set back, which stopped a schedule for good.
  ASSERT_OK(Plan(id, {.firings = {firing}}));
  EXPECT_THAT(Find().firings, SizeIs(1));
}

TEST_P(ScheduleTest, AFiringThatWasPlannedIsPlannedStillAfterACrash) {
  const int64_t id = Put(Nightly());
  ASSERT_OK(Plan(id, {.firings = {Firing(v1::FIRING_STATE_OPENING)}}));
  Restart();
  EXPECT_THAT(Awake(), ElementsAre(id));
  auto plan = Plan(id, {});
  ASSERT_OK(plan);
  ASSERT_THAT(plan->opening, SizeIs(1));
  EXPECT_EQ(view_.unfinished, 1);
  const RowKey batch = SubmitBatch(1);
  const EndFiring end{plan->opening[0].id, batch, ""};
  auto ended = Apply(end);
  ASSERT_OK(ended);
  EXPECT_EQ(ended->firing.state, v1::FIRING_STATE_FIRED);
  EXPECT_EQ(ended->firing.batch, batch);
  EXPECT_EQ(Apply(end)->firing.batch, batch);
  // Its batch runs still.
  plan = Plan(id, {});
  EXPECT_THAT(plan->opening, IsEmpty());
  EXPECT_THAT(plan->unfinished, ElementsAre(batch));
  EXPECT_THAT(Awake(), IsEmpty());
  ASSERT_OK(Apply(CancelBatch{batch, ""}));
  ASSERT_OK(Plan(id, {}));
  EXPECT_EQ(view_.unfinished, 0);
}

TEST_P(ScheduleTest, TheTimerWakesIt) {
  const int64_t id = Put(Nightly());
  ASSERT_OK(Plan(id, {.wake = clock_.Now() + absl::Hours(1)}));
  EXPECT_THAT(Awake(), IsEmpty());
  EXPECT_THAT(Apply(FireTimers{})->schedules, IsEmpty());
  time_.Advance(absl::Hours(1));
  EXPECT_THAT(Apply(FireTimers{})->schedules, ElementsAre(id));
  Restart();
  EXPECT_THAT(Awake(), ElementsAre(id));
  EXPECT_THAT(Apply(FireTimers{})->schedules, IsEmpty());
  // A new time takes the place of the old one.
  ASSERT_OK(Plan(id, {.wake = clock_.Now() + absl::Hours(1)}));
  ASSERT_OK(Plan(id, {.wake = clock_.Now() + absl::Hours(2)}));
  time_.Advance(absl::Hours(1));
  EXPECT_THAT(Apply(FireTimers{})->schedules, IsEmpty());
}

TEST_P(ScheduleTest, AQueuedFiringBeginsWithTheContentOfThen) {
  const int64_t id = Put(Nightly());
  auto plan = Plan(id, {.firings = {Firing(v1::FIRING_STATE_QUEUED)}});
  EXPECT_TRUE(plan->queued);
  EXPECT_THAT(Awake(), ElementsAre(id));
  PutSchedule other = Nightly("other");
  other.replace = true;
  Put(other);
  plan = Plan(id, {.begin_queued = true});
  EXPECT_EQ(view_.queued, 1);
  ASSERT_THAT(plan->opening, SizeIs(1));
  EXPECT_FALSE(plan->queued);
  EXPECT_EQ(Prompt(id, plan->opening[0].revision), "other");
}

TEST_P(ScheduleTest, PausedItHasNoTimerAndResumedItCountsFromThen) {
  const int64_t id = Put(Nightly());
  ASSERT_OK(Plan(id, {.wake = clock_.Now() + absl::Hours(1)}));
  ASSERT_OK(Apply(PauseSchedule{"nightly", true, "holidays"}));
  EXPECT_TRUE(Find().paused);
  EXPECT_EQ(Find().pause_reason, "holidays");
  time_.Advance(absl::Hours(2));
  EXPECT_THAT(Apply(FireTimers{})->schedules, IsEmpty());
  ASSERT_OK(Apply(PauseSchedule{"nightly", false, ""}));
  EXPECT_FALSE(Find().paused);
  EXPECT_EQ(Find().since, clock_.Now());
  EXPECT_THAT(Awake(), ElementsAre(id));
  const absl::Time since = Find().since;
  time_.Advance(absl::Hours(1));
  ASSERT_OK(Apply(PauseSchedule{"nightly", false, ""}));
  EXPECT_EQ(Find().since, since);
}

TEST_P(ScheduleTest, APauseEndsByItselfAtItsTime) {
  const int64_t id = Put(Nightly());
  ASSERT_OK(Plan(id, {.wake = clock_.Now() + absl::Hours(1)}));
  const absl::Time until = clock_.Now() + absl::Hours(3);
  ASSERT_OK(Apply(PauseSchedule{"nightly", true, "moving", until}));
  EXPECT_EQ(Find().pause_until, until);
  time_.Advance(absl::Hours(2));
  EXPECT_THAT(Apply(FireTimers{})->schedules, IsEmpty());
  // It is looked at meanwhile, which changes nothing.
  ASSERT_OK(Plan(id, {.wake = until}));
  EXPECT_TRUE(view_.paused);
  EXPECT_EQ(view_.pause_until, until);
  Restart();
  time_.Advance(absl::Hours(2));
  EXPECT_THAT(Apply(FireTimers{})->schedules, ElementsAre(id));
  EXPECT_FALSE(Find().paused);
  EXPECT_EQ(Find().pause_reason, "");
  EXPECT_EQ(Find().pause_until, absl::InfiniteFuture());
  // What is due at that very time is still to be dealt with.
  EXPECT_EQ(Find().since, until - absl::Microseconds(1));
  EXPECT_THAT(Awake(), ElementsAre(id));
}

TEST_P(ScheduleTest, APauseSaidAgainHasTheNewTime) {
  Put(Nightly());
  const absl::Time now = clock_.Now();
  ASSERT_OK(Apply(PauseSchedule{"nightly", true, "", now + absl::Hours(1)}));
  ASSERT_OK(Apply(PauseSchedule{"nightly", true, "", now + absl::Hours(3)}));
  time_.Advance(absl::Hours(2));
  EXPECT_THAT(Apply(FireTimers{})->schedules, IsEmpty());
  ASSERT_OK(Apply(PauseSchedule{"nightly", true, ""}));
  time_.Advance(absl::Hours(2));
  EXPECT_THAT(Apply(FireTimers{})->schedules, IsEmpty());
  EXPECT_TRUE(Find().paused);
  ASSERT_OK(
      Apply(PauseSchedule{"nightly", true, "", clock_.Now() + absl::Hours(1)}));
  ASSERT_OK(Apply(PauseSchedule{"nightly", false, ""}));
  const absl::Time since = Find().since;
  time_.Advance(absl::Hours(2));
  EXPECT_THAT(Apply(FireTimers{})->schedules, IsEmpty());
  EXPECT_EQ(Find().since, since);
}

TEST_P(ScheduleTest, ARunByHandIsMadeOnce) {
  const int64_t id = Put(Nightly());
  const BeginRun run{"nightly", "r1", [](const FiringView& view, absl::Time) {
                       return view.schedule + "-run";
                     }};
  auto begun = Apply(run);
  ASSERT_OK(begun);
  EXPECT_EQ(begun->schedule, id);
  EXPECT_TRUE(begun->firing.by_hand);
  EXPECT_EQ(begun->firing.batch_name, "nightly-run");
  time_.Advance(absl::Hours(1));
  EXPECT_EQ(Apply(run)->firing.id, begun->firing.id);
  EXPECT_EQ(Apply(run)->firing.due, begun->firing.due);
  EXPECT_THAT(Apply(BeginRun{"other", "r1", run.batch_name}).status(),
              StatusIs(absl::StatusCode::kNotFound));
}

TEST_P(ScheduleTest, ItIsNotDeletedUnderAFiring) {
  const int64_t id = Put(Nightly());
  auto plan = Plan(id, {.firings = {Firing(v1::FIRING_STATE_OPENING)},
                        .wake = clock_.Now() + absl::Hours(1)});
  EXPECT_THAT(
      Apply(DeleteSchedule{"nightly"}).status(),
      StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("nightly-x")));
  ASSERT_OK(Apply(EndFiring{plan->opening[0].id, std::nullopt, "refused"}));
  EXPECT_EQ(Find().firings[0].state, v1::FIRING_STATE_FAILED);
  EXPECT_EQ(Find().firings[0].why, "refused");
  ASSERT_OK(Apply(DeleteSchedule{"nightly"}));
  EXPECT_THAT(Apply(DeleteSchedule{"nightly"}).status(),
              StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(Plan(id, {}).status(), StatusIs(absl::StatusCode::kNotFound));
  time_.Advance(absl::Hours(2));
  EXPECT_THAT(Apply(FireTimers{})->schedules, IsEmpty());
  EXPECT_EQ(Prompt(id, 1), "gone");
  // The name is free.
  Put(Nightly());
  EXPECT_THAT(Find().firings, IsEmpty());
}

TEST_P(ScheduleTest, OldFiringsGoAndOpenOnesStay) {
  const int64_t id = Put(Nightly());
  FiringDecision decision{.firings = {Firing(v1::FIRING_STATE_QUEUED)}};
  for (int i = 1; i <= 130; ++i) {
    decision.firings.push_back(
        Firing(v1::FIRING_STATE_MISSED, absl::Minutes(i)));
  }
  ASSERT_OK(Plan(id, decision));
  const std::vector<FiringRecord> firings = Find().firings;
  ASSERT_THAT(firings, SizeIs(101));
  EXPECT_EQ(firings.front().due, decision.firings.back().due);
  EXPECT_EQ(firings.back().state, v1::FIRING_STATE_QUEUED);
}

// A batch that ran beside a hundred skipped times was forgotten, and the next
// time fired beside it.
TEST_P(ScheduleTest, AFiringWhoseBatchRunsIsKept) {
  const int64_t id = Put(Nightly());
  auto plan = Plan(id, {.firings = {Firing(v1::FIRING_STATE_OPENING)}});
  ASSERT_OK(plan);
  const RowKey batch = SubmitBatch(1);
  FiringDecision skips;
  for (int i = 1; i <= 130; ++i) {
    skips.firings.push_back(Firing(v1::FIRING_STATE_SKIPPED, absl::Minutes(i)));
  }
  // It is ended with a hundred newer ones there already, too.
  ASSERT_OK(Plan(id, skips));
  auto ended = Apply(EndFiring{plan->opening[0].id, batch, ""});
  ASSERT_OK(ended);
  EXPECT_EQ(ended->firing.state, v1::FIRING_STATE_FIRED);
  ASSERT_OK(Plan(id, {}));
  ASSERT_OK(Plan(id, {}));
  EXPECT_EQ(view_.unfinished, 1);
  ASSERT_OK(Apply(CancelBatch{batch, ""}));
  ASSERT_OK(Plan(id, {}));
  EXPECT_EQ(view_.unfinished, 0);
  EXPECT_THAT(Find().firings, SizeIs(100));
}

TEST_P(ScheduleTest, TheyAreListedInPages) {
  PutSchedule put = Nightly();
  for (const char* name : {"c", "a", "b"}) {
    put.name = name;
    Put(put);
  }
  auto list = [&](int64_t after) {
    auto page = Read<RowPage<ScheduleRecord>>(
        [&](StoreReader& reader) { return reader.ListSchedules(after, 2); });
    EXPECT_OK(page);
    return *std::move(page);
  };
  auto page = list(0);
  ASSERT_THAT(page.rows, SizeIs(2));
  EXPECT_EQ(page.rows[0].name, "c");
  EXPECT_EQ(page.rows[1].name, "a");
  page = list(*page.next);
  ASSERT_THAT(page.rows, SizeIs(1));
  EXPECT_EQ(page.rows[0].name, "b");
  EXPECT_FALSE(page.next.has_value());
}

TEST_P(ScheduleTest, ThereIsABoundOnThem) {
  PutSchedule put = Nightly();
  for (int64_t i = 0; i < kSchedulesMax; ++i) {
    put.name = absl::StrCat("s", i);
    ASSERT_OK(Apply(put));
  }
  put.name = "one more";
  EXPECT_THAT(
      Apply(put).status(),
      StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("delete one")));
}

TEST_P(ScheduleTest, TheJournalSaysWhatBecameOfIt) {
  const int64_t id = Put(Nightly());
  auto plan = Plan(
      id, {.firings = {Firing(v1::FIRING_STATE_MISSED),
                       Firing(v1::FIRING_STATE_OPENING, absl::Minutes(1))}});
  const RowKey batch = SubmitBatch(1);
  ASSERT_OK(Apply(EndFiring{plan->opening[0].id, batch, ""}));
  auto rows = Read<RowPage<JournalRecord>>([&](StoreReader& reader) {
    return reader.ListMoney(
        {.kinds = {JournalKind::kScheduleSet, JournalKind::kNotFired,
                   JournalKind::kFired}},
        0, 10);
  });
  ASSERT_OK(rows);
  ASSERT_THAT(rows->rows, SizeIs(3));
  EXPECT_EQ(rows->rows[0].why, "schedule nightly");
  EXPECT_THAT(rows->rows[1].why, HasSubstr("nightly-x missed"));
  EXPECT_EQ(rows->rows[2].kind, JournalKind::kFired);
  EXPECT_EQ(rows->rows[2].batch_key, batch);
}

}  // namespace
}  // namespace midwatch
