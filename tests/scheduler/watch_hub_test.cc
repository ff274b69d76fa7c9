// What watchers of a batch see, whenever they come and however slow they are.
#include "scheduler/watch_hub.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/testing/faulty_store.h"
#include "tests/testing/store_fixture.h"

namespace midwatch {
namespace {

using ::testing::ElementsAre;
using ::testing::ElementsAreArray;
using ::testing::IsEmpty;
using testing::StatusIs;

// A client's end of a watch. A slow one takes the next message only when told.
struct Watch final : StreamSink<v1::WatchBatchResponse> {
  explicit Watch(Executor& on, bool is_slow = false)
      : executor(on), slow(is_slow) {}
  void Send(v1::WatchBatchResponse message,
            absl::AnyInvocable<void()> written) override {
    EXPECT_FALSE(end.has_value()) << "sent after its end";
    EXPECT_GE(message.resume_token(), token);
    token = message.resume_token();
    if (message.has_change()) {
      changes.push_back(message.resume_token());
    } else {
      batches.push_back(message.batch().state());
    }
    if (slow) {
      waiting.push_back(std::move(written));
    } else {
      executor.Post(std::move(written));
    }
  }
  void Finish(absl::Status status) override {
    EXPECT_FALSE(end.has_value()) << "ended twice";
    end = std::move(status);
  }
  void TakeAll() {
    for (auto& written : std::exchange(waiting, {})) {
      executor.Post(std::move(written));
    }
  }

  Executor& executor;
  bool slow;
  int64_t token = 0;
  std::vector<int64_t> changes;  // their places in the journal
  std::vector<v1::BatchState> batches;
  std::vector<absl::AnyInvocable<void()>> waiting;
  std::optional<absl::Status> end;
};

class WatchHubTest : public testing::StoreFixture {
 protected:
  WatchHubTest() : counted_(*executor_, *store_), hub_(counted_, estimates_) {
    store_->SetCommitListener(
        [this](const std::vector<int64_t>& batches) { hub_.Notify(batches); });
  }
  // The hub goes before the fixture's executor.
  ~WatchHubTest() override { executor_->Stop(); }

  std::shared_ptr<Watch> Start(RowKey batch, int64_t token, bool slow = false) {
    auto watch = std::make_shared<Watch>(*executor_, slow);
    watch->token = token;
    v1::WatchBatchRequest request;
    request.set_batch_id(Ids(store_->cluster()).Format(batch));
    request.set_resume_token(token);
    hub_.Watch(request, watch);
    time_.RunUntilIdle();
    return watch;
  }

  // One task from grant to settle.
  void RunOne(int64_t worker) {
    GrantRecord grant = AdmitTo(worker, 1).at(0);
    ASSERT_OK(Apply(BeginCreate{grant.lease, "nonce-0123456789"}));
    ASSERT_OK(Apply(RecordSession{grant.lease, "nonce-0123456789", "sesn"}));
    ASSERT_OK(SettleWith(grant.lease, Success()));
  }

  // Places in the journal of the batch's task changes after `after`.
  std::vector<int64_t> ChangesAfter(RowKey batch, int64_t after) {
    auto journal = Read<std::vector<JournalRecord>>([&](StoreReader& reader) {
      return reader.ListJournal(batch.row, after, 1'000'000);
    });
    std::vector<int64_t> result;
    for (const JournalRecord& entry : *journal) {
      if (entry.task.has_value()) result.push_back(entry.seq);
    }
    return result;
  }

  CostEstimates estimates_;
  testing::FaultyStore counted_;
  WatchHub hub_;
};

TEST_F(WatchHubTest, BeginsWithTheBatchAndFollowsItToItsEnd) {
  RowKey batch = SubmitBatch(2);
  int64_t worker = Register();
  RunOne(worker);
  auto watch = Start(batch, 0);
  EXPECT_THAT(watch->batches, ElementsAre(v1::BATCH_STATE_SEALED));
  EXPECT_THAT(watch->changes, IsEmpty());
  int64_t from = watch->token;
  RunOne(worker);
  EXPECT_THAT(watch->changes, ElementsAreArray(ChangesAfter(batch, from)));
  EXPECT_EQ(watch->batches.back(), v1::BATCH_STATE_DONE);
  ASSERT_TRUE(watch->end.has_value());
  EXPECT_OK(*watch->end);
}

TEST_F(WatchHubTest, ATokenFromAnyMomentMissesNothing) {
  RowKey batch = SubmitBatch(3);
  int64_t worker = Register();
  auto whole = Start(batch, 1);
  for (int i = 0; i < 3; ++i) RunOne(worker);
  ASSERT_TRUE(whole->end.has_value());
  EXPECT_THAT(whole->changes, ElementsAreArray(ChangesAfter(batch, 1)));
  for (int64_t token : whole->changes) {
    auto resumed = Start(batch, token);
    EXPECT_THAT(resumed->changes, ElementsAreArray(ChangesAfter(batch, token)));
    ASSERT_TRUE(resumed->end.has_value());
    EXPECT_OK(*resumed->end);
  }
}

TEST_F(WatchHubTest, AFinishedBatchEndsAtOnce) {
  RowKey batch = SubmitBatch(1);
  auto watch = Start(batch, 0);
  RunOne(Register());
  ASSERT_TRUE(watch->end.has_value());
  for (int64_t token : {int64_t{0}, watch->token}) {
    auto late = Start(batch, token);
    EXPECT_THAT(late->changes, IsEmpty());
    EXPECT_THAT(late->batches, ElementsAre(v1::BATCH_STATE_DONE));
    ASSERT_TRUE(late->end.has_value());
    EXPECT_OK(*late->end);
  }
}

TEST_F(WatchHubTest, ASlowWatcherGetsAllOfItLater) {
  RowKey batch = SubmitBatch(700);
  auto watch = Start(batch, 1, /*slow=*/true);
  int64_t worker = Register();
  for (int i = 0; i < 700; ++i) RunOne(worker);
  EXPECT_THAT(watch->changes, IsEmpty());
  for (int i = 0; i < 20 && !watch->end.has_value(); ++i) {
    watch->TakeAll();
    time_.RunUntilIdle();
    // A page at a time.
    EXPECT_LE(watch->waiting.size(), 501u);
  }
  EXPECT_THAT(watch->changes, ElementsAreArray(ChangesAfter(batch, 1)));
  EXPECT_TRUE(watch->end.has_value());
}

TEST_F(WatchHubTest, HoweverManyWatchABatchItIsReadOnce) {
  RowKey batch = SubmitBatch(20);
  int64_t worker = Register();
  constexpr int kWatches = 200;
  std::vector<std::shared_ptr<Watch>> watches;
  for (int i = 0; i < kWatches; ++i) {
    // Those that came with a token, and those that begin.
    watches.push_back(Start(batch, i % 2));
  }
  const int64_t before = counted_.reads();
  for (int i = 0; i < 20; ++i) RunOne(worker);
  // Four commits a task; the readers of each share one read, and those that
  // were busy another.
  EXPECT_LE(counted_.reads() - before, 2 * 4 * 20 + 8);
  const std::vector<int64_t> all = ChangesAfter(batch, 1);
  for (int i = 0; i < kWatches; ++i) {
    ASSERT_TRUE(watches[i]->end.has_value()) << i;
    if (i % 2 == 0) continue;
    EXPECT_THAT(watches[i]->changes, ElementsAreArray(all));
  }
}

TEST_F(WatchHubTest, OtherBatchesAreNotItsConcern) {
  RowKey batch = SubmitBatch(1);
  auto watch = Start(batch, 0);
  SubmitBatch(1, 0, "batch-2");
  EXPECT_THAT(watch->batches, ElementsAre(v1::BATCH_STATE_SEALED));
}

TEST_F(WatchHubTest, ALostWatcherIsForgotten) {
  RowKey batch = SubmitBatch(1);
  auto watch = Start(batch, 0);
  hub_.Lose(watch.get());
  RunOne(Register());
  EXPECT_THAT(watch->batches, ElementsAre(v1::BATCH_STATE_SEALED));
  EXPECT_EQ(watch.use_count(), 1);
}

TEST_F(WatchHubTest, WhatCannotBeWatchedIsRefused) {
  RowKey none = SubmitBatch(1);
  none.row += 1;
  EXPECT_THAT(Start(none, 0)->end,
              ::testing::Optional(StatusIs(absl::StatusCode::kNotFound)));
  none.row -= 1;
  EXPECT_THAT(
      Start(none, -1)->end,
      ::testing::Optional(StatusIs(absl::StatusCode::kInvalidArgument)));
}

}  // namespace
}  // namespace midwatch
