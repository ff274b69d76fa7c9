// What followers of a task's events see, whenever they come.
#include "scheduler/event_feeds.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/testing/store_fixture.h"

namespace midwatch {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Optional;
using testing::StatusIs;

// A client's end of a feed: what it saw as "attempt:event".
struct Reader final : StreamSink<v1::FollowTaskEventsResponse> {
  explicit Reader(Executor& on) : executor(on) {}
  void Send(v1::FollowTaskEventsResponse message,
            absl::AnyInvocable<void()> written) override {
    EXPECT_FALSE(end.has_value()) << "sent after its end";
    for (const v1::TaskEvent& event : message.events()) {
      seen.push_back(absl::StrCat(message.attempt(), ":", event.json()));
    }
    token = message.resume_token();
    state = message.state();
    executor.Post(std::move(written));
  }
  void Finish(absl::Status status) override {
    EXPECT_FALSE(end.has_value()) << "ended twice";
    end = std::move(status);
  }

  Executor& executor;
  std::vector<std::string> seen;
  std::string token;
  v1::TaskState state = v1::TASK_STATE_UNSPECIFIED;
  std::optional<absl::Status> end;
};

class EventFeedsTest : public testing::StoreFixture {
 protected:
  EventFeedsTest() : feeds_(*executor_, *store_) {}
  ~EventFeedsTest() override { executor_->Stop(); }

  std::shared_ptr<Reader> Follow(RowKey task, int attempt = 0,
                                 const std::string& token = "") {
    auto reader = std::make_shared<Reader>(*executor_);
    v1::FollowTaskEventsRequest request;
    request.set_task_id(Ids(store_->cluster()).Format(task));
    request.set_attempt(attempt);
    request.set_resume_token(token);
    feeds_.Follow(request, reader);
    time_.RunUntilIdle();
    return reader;
  }

  GrantRecord Grant(int64_t worker) {
    GrantRecord grant = AdmitTo(worker, 1).at(0);
    EXPECT_OK(Apply(BeginCreate{grant.lease, "nonce-0123456789"}));
    EXPECT_OK(Apply(RecordSession{grant.lease, "nonce-0123456789", "sesn"}));
    return grant;
  }

  void Store(const GrantRecord& grant, int64_t first,
             std::vector<std::string> events) {
    EXPECT_OK(Append(grant.grant_seq, first, std::move(events)));
    feeds_.Notify(grant.task.row);
    time_.RunUntilIdle();
  }

  // Fails the attempt, and lets the delay before the next one pass.
  void FailAndComeBack(const GrantRecord& grant) {
    v1::Ending ending;
    ending.set_kind(v1::Ending::KIND_IDLE);
    ending.set_stop_reason("retries_exhausted");
    ASSERT_OK(SettleWith(grant.lease, ending));
    time_.Advance(absl::Minutes(20));
    ASSERT_OK(Apply(FireTimers{}));
  }

  EventFeeds feeds_;
};

TEST_F(EventFeedsTest, EventsComeAsTheyAreStoredUntilTheTaskEnds) {
  RowKey task = SubmitOne();
  auto reader = Follow(task);
  EXPECT_EQ(reader->state, v1::TASK_STATE_QUEUED);
  GrantRecord grant = Grant(Register());
  Store(grant, 0, {"a", "b"});
  EXPECT_THAT(reader->seen, ElementsAre("1:a", "1:b"));
  Store(grant, 2, {"c"});
  EXPECT_THAT(reader->seen, ElementsAre("1:a", "1:b", "1:c"));
  EXPECT_FALSE(reader->end.has_value());
  ASSERT_OK(SettleWith(grant.lease, Success()));
  // Nobody says so, and it is seen all the same.
  time_.Advance(absl::Seconds(3));
  EXPECT_THAT(reader->end, Optional(testing::IsOk()));
  EXPECT_EQ(reader->state, v1::TASK_STATE_SUCCEEDED);
}

TEST_F(EventFeedsTest, ATokenFromAnyMomentMissesNothing) {
  RowKey task = SubmitOne();
  GrantRecord grant = Grant(Register());
  auto first = Follow(task);
  Store(grant, 0, {"a"});
  std::string after_a = first->token;
  Store(grant, 1, {"b"});
  ASSERT_OK(SettleWith(grant.lease, Success()));
  auto again = Follow(task, 0, after_a);
  EXPECT_THAT(again->seen, ElementsAre("1:b"));
  EXPECT_THAT(again->end, Optional(testing::IsOk()));
  auto nothing_left = Follow(task, 0, again->token);
  EXPECT_THAT(nothing_left->seen, IsEmpty());
  EXPECT_THAT(nothing_left->end, Optional(testing::IsOk()));
}

TEST_F(EventFeedsTest, TheNextAttemptFollowsUnlessOneWasNamed) {
  RowKey task = SubmitOne();
  int64_t worker = Register();
  GrantRecord first = Grant(worker);
  auto all = Follow(task), one = Follow(task, 1);
  Store(first, 0, {"a"});
  FailAndComeBack(first);
  EXPECT_THAT(one->end, Optional(testing::IsOk()));
  EXPECT_FALSE(all->end.has_value());
  GrantRecord second = Grant(worker);
  Store(second, 0, {"b"});
  EXPECT_THAT(one->seen, ElementsAre("1:a"));
  EXPECT_THAT(all->seen, ElementsAre("1:a", "2:b"));
  EXPECT_THAT(Follow(task)->seen, ElementsAre("2:b"));
  EXPECT_THAT(Follow(task, 1)->seen, ElementsAre("1:a"));
}

TEST_F(EventFeedsTest, ALostFollowerIsForgotten) {
  RowKey task = SubmitOne();
  auto reader = Follow(task);
  feeds_.Lose(reader.get());
  GrantRecord grant = Grant(Register());
  Store(grant, 0, {"a"});
  time_.Advance(absl::Seconds(10));
  EXPECT_THAT(reader->seen, IsEmpty());
  EXPECT_EQ(reader.use_count(), 1);
}

TEST_F(EventFeedsTest, WhatCannotBeFollowedIsRefused) {
  RowKey task = SubmitOne();
  EXPECT_THAT(Follow(task, 7)->end,
              Optional(StatusIs(absl::StatusCode::kNotFound)));
  EXPECT_THAT(Follow(task, -1)->end,
              Optional(StatusIs(absl::StatusCode::kInvalidArgument)));
  for (const char* token : {"x", "1", "1.x", "1.-1", "-1.1", "1.1.1", "2.0"}) {
    EXPECT_THAT(Follow(task, 1, token)->end,
                Optional(StatusIs(absl::StatusCode::kInvalidArgument)))
        << token;
  }
  task.row += 1;
  EXPECT_THAT(Follow(task)->end,
              Optional(StatusIs(absl::StatusCode::kNotFound)));
}

}  // namespace
}  // namespace midwatch
