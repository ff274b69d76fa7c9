// Hooks: what is to be told is there as soon as what it tells of is.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/contract/store_contract.h"

namespace midwatch {
namespace {

using testing::ContractTest;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using testing::StatusIs;

class HookTest : public ContractTest {
 protected:
  static OpenBatch HookedOpening() {
    OpenBatch open = Opening("batch-1");
    open.on_finish.set_url("https://example.com/finish");
    open.on_finish.set_secret("nightly");
    open.on_failure.set_url("https://example.com/failure");
    return open;
  }
  // Of so many tasks, sealed.
  RowKey SubmitHooked(int n) {
    auto batch = Apply(HookedOpening());
    EXPECT_OK(batch);
    AddTasks add{.request_id = "batch-1", .first_line = 0, .tasks = {}};
    for (int i = 0; i < n; ++i) add.tasks.push_back(Line(absl::StrCat("t", i)));
    if (n > 0) {
      EXPECT_OK(Apply(add));
    }
    auto sealed = Apply(SealBatch{"batch-1", n});
    EXPECT_OK(sealed);
    needs_met_ = sealed->needs_met;
    return batch->batch;
  }
  Settled SettleNext(v1::Ending ending) {
    const GrantRecord grant = GrantAndRecord(Register());
    auto settled = SettleWith(grant.lease, std::move(ending));
    EXPECT_OK(settled);
    return settled.ok() ? *settled : Settled();
  }
  static v1::Ending Refusal() {
    v1::Ending ending = Success();
    ending.set_stop_reason("refusal");
    return ending;
  }
  std::vector<DueHook> Due() {
    auto due = Read<std::vector<DueHook>>([&](StoreReader& reader) {
      return reader.ListDueHooks(clock_.Now(), 100);
    });
    EXPECT_OK(due);
    return due.ok() ? *std::move(due) : std::vector<DueHook>();
  }
  std::vector<JournalKind> Told(RowKey batch) {
    std::vector<JournalKind> kinds;
    auto rows = Read<std::vector<JournalRecord>>([&](StoreReader& reader) {
      return reader.ListJournal(batch.row, 0, 1000);
    });
    EXPECT_OK(rows);
    for (const JournalRecord& row : *rows) {
      if (row.kind >= JournalKind::kHookDue) kinds.push_back(row.kind);
    }
    return kinds;
  }
  NoteHookTry Try(const DueHook& hook, HookEnd end) {
    return {.hook = hook.id,
            .tries = hook.tries + 1,
            .end = end,
            .due = clock_.Now() + absl::Minutes(1),
            .why = end == HookEnd::kDelivered ? "" : "answered 500"};
  }

  bool needs_met_ = false;
};
MIDWATCH_ON_EVERY_STORE(HookTest);

TEST_P(HookTest, TheEndOfABatchIsTold) {
  const RowKey batch = SubmitHooked(2);
  EXPECT_FALSE(SettleNext(Success()).needs_met);
  EXPECT_THAT(Due(), IsEmpty());
  EXPECT_TRUE(SettleNext(Success()).needs_met);

  const std::vector<DueHook> due = Due();
  ASSERT_THAT(due, SizeIs(1));
  EXPECT_EQ(due[0].batch, batch);
  EXPECT_FALSE(due[0].task.has_value());
  EXPECT_EQ(due[0].url, "https://example.com/finish");
  EXPECT_EQ(due[0].secret, "nightly");
  EXPECT_EQ(due[0].tries, 0);
  const v1::HookNews& news = due[0].news;
  EXPECT_EQ(news.event(), v1::HOOK_EVENT_FINISH);
  EXPECT_EQ(news.batch().name(), "b");
  EXPECT_EQ(news.batch().state(), v1::BATCH_STATE_DONE);
  EXPECT_EQ(news.batch().counts().succeeded(), 2);
  EXPECT_EQ(news.batch().charged_usd_micros(), 60'000);
  EXPECT_TRUE(news.batch().has_ended_at());
  auto fired = Apply(FireTimers{});
  ASSERT_OK(fired);
  EXPECT_TRUE(fired->hooks_due);

  const std::vector<HookRecord> hooks = Batch(batch).hooks;
  ASSERT_THAT(hooks, SizeIs(2));
  EXPECT_EQ(hooks[0].state, v1::HOOK_STATE_DUE);
  EXPECT_EQ(hooks[1].state, v1::HOOK_STATE_ARMED);
}

TEST_P(HookTest, AnEmptyBatchIsDoneWhenItIsSealed) {
  SubmitHooked(0);
  EXPECT_TRUE(needs_met_);
  EXPECT_THAT(Due(), SizeIs(1));
}

TEST_P(HookTest, OnlyTheFirstFailureIsTold) {
  const RowKey batch = SubmitHooked(3);
  EXPECT_TRUE(SettleNext(Refusal()).needs_met);
  std::vector<DueHook> due = Due();
  ASSERT_THAT(due, SizeIs(1));
  const v1::HookNews& news = due[0].news;
  EXPECT_EQ(news.event(), v1::HOOK_EVENT_FAILURE);
  EXPECT_EQ(news.batch().counts().failed(), 1);
  EXPECT_EQ(news.batch().counts().queued(), 2);
  EXPECT_EQ(news.task().name(), "t0");
  EXPECT_EQ(news.task().failure_class(), v1::FAILURE_CLASS_REFUSAL);
  EXPECT_EQ(due[0].task, Tasks()[0].key);

  EXPECT_FALSE(SettleNext(Refusal()).needs_met);
  EXPECT_THAT(Due(), SizeIs(1));
  EXPECT_TRUE(SettleNext(Success()).needs_met);
  EXPECT_THAT(Due(), SizeIs(2));
  EXPECT_EQ(Told(batch), (std::vector<JournalKind>(2, JournalKind::kHookDue)));
}

TEST_P(HookTest, ACancelIsNoFailure) {
  const RowKey batch = SubmitHooked(2);
  auto cancelled = Apply(CancelBatch{batch, "no more"});
  ASSERT_OK(cancelled);
  EXPECT_TRUE(cancelled->needs_met);
  const std::vector<DueHook> due = Due();
  ASSERT_THAT(due, SizeIs(1));
  EXPECT_EQ(due[0].news.event(), v1::HOOK_EVENT_FINISH);
  EXPECT_EQ(due[0].news.batch().counts().cancelled(), 2);
}

TEST_P(HookTest, AFailedTryIsDueAgain) {
  const RowKey batch = SubmitHooked(0);
  const DueHook hook = Due().at(0);
  EXPECT_OK(Apply(Try(hook, HookEnd::kAgain)));
  EXPECT_THAT(Due(), IsEmpty());
  // The answer was lost: said again.
  EXPECT_OK(Apply(Try(hook, HookEnd::kAgain)));
  EXPECT_EQ(Batch(batch).hooks.at(0).tries, 1);
  EXPECT_EQ(Batch(batch).hooks.at(0).why, "answered 500");

  time_.Advance(absl::Minutes(1));
  auto fired = Apply(FireTimers{});
  ASSERT_OK(fired);
  EXPECT_TRUE(fired->hooks_due);
  const DueHook again = Due().at(0);
  EXPECT_EQ(again.id, hook.id);
  EXPECT_EQ(again.tries, 1);
  EXPECT_EQ(again.news.SerializeAsString(), hook.news.SerializeAsString());

  EXPECT_OK(Apply(Try(again, HookEnd::kDelivered)));
  EXPECT_THAT(Due(), IsEmpty());
  EXPECT_EQ(Batch(batch).hooks.at(0).state, v1::HOOK_STATE_DELIVERED);
  // An earlier try that is heard of late changes nothing.
  EXPECT_OK(Apply(Try(hook, HookEnd::kGivenUp)));
  EXPECT_EQ(Batch(batch).hooks.at(0).state, v1::HOOK_STATE_DELIVERED);
  EXPECT_EQ(Told(batch),
            (std::vector<JournalKind>{JournalKind::kHookDue,
                                      JournalKind::kHookDelivered}));
}

TEST_P(HookTest, GivenUpItIsInTheJournal) {
  const RowKey batch = SubmitHooked(0);
  EXPECT_OK(Apply(Try(Due().at(0), HookEnd::kGivenUp)));
  EXPECT_THAT(Due(), IsEmpty());
  const HookRecord hook = Batch(batch).hooks.at(0);
  EXPECT_EQ(hook.state, v1::HOOK_STATE_GIVEN_UP);
  EXPECT_EQ(hook.why, "answered 500");
  EXPECT_EQ(Told(batch), (std::vector<JournalKind>{JournalKind::kHookDue,
                                                   JournalKind::kHookGivenUp}));
}

TEST_P(HookTest, NoSuchHook) {
  EXPECT_THAT(Apply(NoteHookTry{.hook = 7, .tries = 1}),
              StatusIs(absl::StatusCode::kNotFound));
}

TEST_P(HookTest, HooksArePartOfWhatWasOpened) {
  EXPECT_OK(Apply(HookedOpening()));
  EXPECT_OK(Apply(HookedOpening()));
  OpenBatch other = HookedOpening();
  other.on_finish.set_url("https://example.com/other");
  EXPECT_THAT(Apply(other), StatusIs(absl::StatusCode::kAlreadyExists));
  EXPECT_THAT(Apply(Opening("batch-1")),
              StatusIs(absl::StatusCode::kAlreadyExists));
}

TEST_P(HookTest, WhatIsDueOutlivesTheProcess) {
  SubmitHooked(0);
  Restart();
  EXPECT_THAT(Due(), SizeIs(1));
}

}  // namespace
}  // namespace midwatch
