// What a scheduler that starts goes on with, and what it does not give up.
#include "scheduler/scheduler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "absl/strings/str_cat.h"
#include "google/rpc/error_details.pb.h"
#include "tests/testing/faulty_store.h"
#include "tests/testing/store_fixture.h"

namespace midwatch {
namespace {

using ::testing::SizeIs;
using testing::StatusIs;

struct Grants final : StreamSink<v1::StreamLeasesResponse> {
  void Send(v1::StreamLeasesResponse message,
            absl::AnyInvocable<void()>) override {
    if (message.has_grant()) leases.push_back(message.grant());
  }
  void Finish(absl::Status) override {}
  std::vector<v1::Lease> leases;
};

class SchedulerTest : public testing::StoreFixture {
 protected:
  SchedulerTest() { StartScheduler(); }
  ~SchedulerTest() override { CrashScheduler(); }

  void StartScheduler(SchedulerOptions options = {}) {
    faulty_ = std::make_unique<testing::FaultyStore>(*executor_, *store_);
    scheduler_ = std::make_unique<Scheduler>(*executor_, clock_, random_,
                                             *faulty_, options);
    bool ready = false;
    scheduler_->Start([&](absl::Status status) {
      EXPECT_OK(status);
      ready = true;
    });
    time_.RunUntilIdle();
    EXPECT_TRUE(ready);
  }
  void CrashScheduler() {
    executor_->Stop();
    scheduler_.reset();
    faulty_.reset();
  }
  void RestartScheduler(SchedulerOptions options = {}) {
    CrashScheduler();
    Restart();
    StartScheduler(options);
  }

  std::shared_ptr<Grants> StartWorker(const char* incarnation) {
    v1::RegisterWorkerRequest request;
    request.set_incarnation(incarnation);
    request.add_accounts("default");
    request.set_capacity(5);
    auto grants = std::make_shared<Grants>();
    scheduler_->leases().RegisterWorker(
        request, [&](absl::StatusOr<v1::RegisterWorkerResponse> response) {
          EXPECT_OK(response);
          v1::StreamLeasesRequest stream;
          stream.set_worker_id(response->worker_id());
          scheduler_->leases().StreamLeases(stream, grants);
        });
    time_.RunUntilIdle();
    return grants;
  }

  std::optional<absl::Status> CancelBatch(RowKey batch) {
    cancelled_ = std::nullopt;
    v1::CancelBatchRequest request;
    request.set_batch_id(Ids(store_->cluster()).Format(batch));
    scheduler_->CancelBatch(request,
                            [this](absl::StatusOr<v1::CancelBatchResponse> r) {
                              cancelled_ = r.status();
                            });
    time_.RunUntilIdle();
    return cancelled_;
  }

  // A batch whose tasks are all cancelled.
  RowKey EndedBatchOf(int tasks, const std::string& request) {
    RowKey batch = SubmitBatch(tasks, 0, request);
    for (bool more = true; more;) {
      more = Apply(midwatch::CancelBatch{batch, ""})->more;
    }
    return batch;
  }
  // What is answered meanwhile, or nothing yet.
  std::shared_ptr<std::optional<absl::StatusOr<v1::DeleteBatchResponse>>>
  DeleteBatch(RowKey batch) {
    v1::DeleteBatchRequest request;
    request.set_batch_id(Ids(store_->cluster()).Format(batch));
    auto answer = std::make_shared<
        std::optional<absl::StatusOr<v1::DeleteBatchResponse>>>();
    scheduler_->DeleteBatch(request, [answer](auto r) { *answer = r; });
    time_.RunUntilIdle();
    return answer;
  }
  std::vector<RowKey> Deleting() {
    return *Read<std::vector<RowKey>>(
        [](StoreReader& reader) { return reader.ListDeletingBatches(); });
  }

  absl::StatusOr<v1::ListLastEventsResponse> ListLastEvents(
      const std::vector<std::string>& ids) {
    v1::ListLastEventsRequest request;
    for (const std::string& id : ids) request.add_task_ids(id);
    absl::StatusOr<v1::ListLastEventsResponse> result =
        absl::InternalError("no answer");
    scheduler_->ListLastEvents(request, [&](auto r) { result = std::move(r); });
    time_.RunUntilIdle();
    return result;
  }

  // The id of a task alone, made over the interface.
  absl::StatusOr<std::string> SubmitWith(
      const std::string& request_id,
      const std::function<void(v1::TaskSpec&)>& change) {
    v1::SubmitTaskRequest request;
    request.set_request_id(request_id);
    request.mutable_line()->set_name(request_id);
    *request.mutable_spec() = Spec();
    change(*request.mutable_spec());
    absl::StatusOr<std::string> id = absl::InternalError("no answer");
    scheduler_->SubmitTask(request, [&](auto response) {
      id = response.ok() ? absl::StatusOr<std::string>(response->task_id())
                         : response.status();
    });
    time_.RunUntilIdle();
    return id;
  }

  std::optional<absl::Status> cancelled_;
  std::unique_ptr<testing::FaultyStore> faulty_;
  std::unique_ptr<Scheduler> scheduler_;
};

TEST_F(SchedulerTest, ACancelThatWasBegunGoesOnAfterARestart) {
  RowKey batch = SubmitBatch(450);
  ASSERT_TRUE(Apply(midwatch::CancelBatch{batch, "enough"})->more);
  RestartScheduler();
  EXPECT_EQ(Batch(batch).state, v1::BATCH_STATE_DONE);
  EXPECT_EQ(Batch(batch).counts[v1::TASK_STATE_CANCELLED], 450);
}

// Half of the batch's tasks stayed queued, and ran.
TEST_F(SchedulerTest, ACancelThatWasBegunGoesOnThoughTheDiskWasFull) {
  RowKey batch = SubmitBatch(450);
  int writes = 0;
  faulty_->on_write = [&](const Write& write) {
    bool fails = std::holds_alternative<midwatch::CancelBatch>(write) &&
                 ++writes > 1 && writes < 4;
    return fails ? absl::ResourceExhaustedError("disk full") : absl::OkStatus();
  };
  EXPECT_EQ(CancelBatch(batch), std::nullopt);
  time_.Advance(absl::Seconds(2));
  ASSERT_TRUE(cancelled_.has_value());
  EXPECT_OK(*cancelled_);
  EXPECT_EQ(Batch(batch).counts[v1::TASK_STATE_CANCELLED], 450);
}

TEST_F(SchedulerTest, ACancelThatDidNotBeginIsRefused) {
  RowKey batch = SubmitBatch(1);
  faulty_->on_write = [](const Write&) {
    return absl::ResourceExhaustedError("disk full");
  };
  EXPECT_THAT(*CancelBatch(batch),
              StatusIs(absl::StatusCode::kResourceExhausted));
  faulty_->on_write = nullptr;
  EXPECT_EQ(Batch(batch).state, v1::BATCH_STATE_SEALED);
}

TEST_F(SchedulerTest, ADeletionLeavesRoomForOtherWritesAndAnswersAtItsEnd) {
  RowKey batch = EndedBatchOf(450, "batch-1");
  auto first = DeleteBatch(batch), again = DeleteBatch(batch);
  EXPECT_FALSE(first->has_value());
  EXPECT_EQ(Tasks({.batch = batch.row}).size(), 0);
  int64_t beside = 0;
  faulty_->on_write = [&](const Write& write) {
    if (std::holds_alternative<midwatch::DeleteBatch>(write)) ++beside;
    return absl::OkStatus();
  };
  time_.Advance(Retention::kPause);
  EXPECT_EQ(beside, 1) << "two calls are one deletion";
  SubmitOne();
  time_.Advance(absl::Seconds(5));
  ASSERT_TRUE(first->has_value() && again->has_value());
  ASSERT_OK(**first);
  EXPECT_EQ((**first)->tasks(), 450);
  EXPECT_FALSE((**first)->more());
  EXPECT_OK(**again);
  EXPECT_THAT(Deleting(), SizeIs(0));
  auto late = DeleteBatch(batch);
  EXPECT_THAT(**late, StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(SchedulerTest, ADeletionThatTakesLongSaysSo) {
  RowKey batch = EndedBatchOf(450, "batch-1");
  bool full = false;
  faulty_->on_write = [&](const Write& write) {
    bool fails = full && std::holds_alternative<midwatch::DeleteBatch>(write);
    return fails ? absl::ResourceExhaustedError("disk full") : absl::OkStatus();
  };
  auto first = DeleteBatch(batch);
  full = true;
  time_.Advance(absl::Seconds(21));
  ASSERT_TRUE(first->has_value());
  EXPECT_TRUE((**first)->more());
  auto again = DeleteBatch(batch);
  full = false;
  time_.Advance(absl::Seconds(10));
  ASSERT_TRUE(again->has_value());
  EXPECT_EQ((**again)->tasks(), 450);
}

TEST_F(SchedulerTest, ADeletionThatWasBegunGoesOnAfterARestart) {
  RowKey batch = EndedBatchOf(450, "batch-1");
  DeleteBatch(batch);
  time_.Advance(2 * Retention::kPause);
  ASSERT_THAT(Deleting(), SizeIs(1));
  RestartScheduler();
  time_.Advance(absl::Seconds(5));
  EXPECT_THAT(Deleting(), SizeIs(0));
}

TEST_F(SchedulerTest, OldBatchesAreDeletedHourByHour) {
  RestartScheduler({.retention = {.batches = {.keep_for = absl::Hours(24)}}});
  RowKey old = EndedBatchOf(3, "batch-1");
  RowKey open = SubmitBatch(1, 0, "batch-2");
  time_.Advance(absl::Hours(23));
  RowKey young = EndedBatchOf(1, "batch-3");
  EXPECT_EQ(Batch(old).state, v1::BATCH_STATE_DONE);
  time_.Advance(absl::Hours(3));
  EXPECT_THAT(Read<BatchRecord>(
                  [&](StoreReader& reader) { return reader.GetBatch(old); }),
              StatusIs(absl::StatusCode::kNotFound));
  EXPECT_EQ(Batch(young).state, v1::BATCH_STATE_DONE);
  EXPECT_EQ(Batch(open).state, v1::BATCH_STATE_SEALED);
  EXPECT_THAT(Deleting(), SizeIs(0));
}

TEST_F(SchedulerTest, OldTasksOfNoBatchAreDeletedToo) {
  RestartScheduler(
      {.retention = {.batches = {}, .tasks = {.keep_for = absl::Hours(24)}}});
  // More than go with one write.
  for (int i = 0; i < 2 * kDeletedTasksMax + 3; ++i) {
    ASSERT_OK(Apply(midwatch::CancelTask{SubmitOne(absl::StrCat("t", i)), ""}));
  }
  const RowKey open = SubmitOne("open");
  RowKey batch = EndedBatchOf(1, "batch-1");
  time_.Advance(absl::Hours(23));
  EXPECT_THAT(Tasks(), SizeIs(2 * kDeletedTasksMax + 5));
  time_.Advance(absl::Hours(2));
  ASSERT_THAT(Tasks(), SizeIs(2));
  EXPECT_EQ(Tasks()[0].key, open);
  EXPECT_EQ(Batch(batch).state, v1::BATCH_STATE_DONE);
}

TEST_F(SchedulerTest, ABatchThatIsNeededIsDeletedOnceItIsNot) {
  RestartScheduler({.retention = {.batches = {.keep_newest = 0}}});
  RowKey batch = EndedBatchOf(1, "batch-1");
  auto again = Apply(midwatch::RetryBatch{batch, "again", true});
  ASSERT_OK(again);
  time_.Advance(absl::Hours(2));
  EXPECT_EQ(Batch(batch).state, v1::BATCH_STATE_DONE);
  ASSERT_FALSE(Apply(midwatch::CancelBatch{again->batch, ""})->more);
  time_.Advance(absl::Hours(2));
  for (RowKey each : {batch, again->batch}) {
    EXPECT_THAT(Read<BatchRecord>(
                    [&](StoreReader& reader) { return reader.GetBatch(each); }),
                StatusIs(absl::StatusCode::kNotFound));
  }
}

TEST_F(SchedulerTest, ADelayThatEndedMeanwhileEndsAtTheStart) {
  SubmitBatch(1);
  auto grants = StartWorker("worker-incarnation-1");
  ASSERT_THAT(grants->leases, SizeIs(1));
  const v1::LeaseToken& token = grants->leases[0].token();
  v1::SettleRequest settle;
  *settle.mutable_token() = token;
  settle.mutable_ending()->set_kind(v1::Ending::KIND_TERMINATED);
  std::optional<v1::TaskState> state;
  scheduler_->Settle(settle, [&](absl::StatusOr<v1::SettleResponse> response) {
    ASSERT_OK(response);
    state = response->state();
  });
  time_.RunUntilIdle();
  EXPECT_EQ(state, v1::TASK_STATE_QUEUED);

  RestartScheduler();
  time_.Advance(absl::Minutes(16));
  grants = StartWorker("worker-incarnation-2");
  ASSERT_THAT(grants->leases, SizeIs(1));
  EXPECT_EQ(grants->leases[0].token().attempt(), 2);
}

TEST_F(SchedulerTest, LastEventsAreTheNewestFewOfTheNewestAttempt) {
  SubmitBatch(2);
  auto grants = StartWorker("worker-incarnation-1");
  ASSERT_THAT(grants->leases, SizeIs(2));
  const v1::LeaseToken& token = grants->leases[0].token();
  const std::string silent = grants->leases[1].token().task_id();
  v1::AppendEventsRequest request;
  v1::AttemptEvents& append = *request.add_attempts();
  *append.mutable_token() = token;
  for (int i = 0; i < 6; ++i) {
    append.add_events_json(absl::StrCat(R"({"type":"event )", i, R"("})"));
  }
  append.add_events_json(
      absl::StrCat(R"({"text":")", std::string(100'000, 'x'), R"("})"));
  scheduler_->AppendEvents(request, [](auto answer) { EXPECT_OK(answer); });
  time_.RunUntilIdle();

  auto last = ListLastEvents({silent, token.task_id()});
  ASSERT_OK(last);
  ASSERT_THAT(last->tasks(), SizeIs(1));  // the silent one is left out
  EXPECT_EQ(last->tasks(0).task_id(), token.task_id());
  EXPECT_EQ(last->tasks(0).attempt(), 1);
  ASSERT_THAT(last->tasks(0).events(), SizeIs(5));
  EXPECT_EQ(last->tasks(0).events(0).sequence(), 2);
  EXPECT_EQ(last->tasks(0).events(0).json(), R"({"type":"event 2"})");
  EXPECT_EQ(last->tasks(0).events(4).sequence(), 6);
  EXPECT_EQ(last->tasks(0).events(4).json(), "");  // too long to be shown

  EXPECT_THAT(ListLastEvents({}), StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(ListLastEvents(std::vector<std::string>(101, silent)),
              StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(ListLastEvents({"nonsense"}),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

// Of several attempts' events in one call, what befalls one is its own.
TEST_F(SchedulerTest, EventsOfSeveralAttemptsAreStoredEachForItself) {
  SubmitBatch(3);
  auto grants = StartWorker("worker-incarnation-1");
  ASSERT_THAT(grants->leases, SizeIs(3));
  v1::AppendEventsRequest request;
  for (const v1::Lease& lease : grants->leases) {
    v1::AttemptEvents& events = *request.add_attempts();
    *events.mutable_token() = lease.token();
    events.add_events_json("{}");
  }
  request.mutable_attempts(0)->mutable_token()->set_epoch(99);
  request.mutable_attempts(1)->set_first_sequence(5);
  absl::StatusOr<v1::AppendEventsResponse> answer =
      absl::InternalError("no answer");
  auto append = [&] {
    scheduler_->AppendEvents(request, [&](auto r) { answer = std::move(r); });
    time_.RunUntilIdle();
  };
  append();
  ASSERT_OK(answer);
  ASSERT_THAT(answer->attempts(), SizeIs(3));
  EXPECT_EQ(answer->attempts(0).error_code(),
            static_cast<int>(absl::StatusCode::kAborted));
  EXPECT_EQ(answer->attempts(1).error_code(),
            static_cast<int>(absl::StatusCode::kOutOfRange));
  EXPECT_EQ(answer->attempts(2).error_code(), 0);
  EXPECT_EQ(answer->attempts(2).stored_events(), 1);

  request.clear_attempts();
  append();
  EXPECT_THAT(answer, StatusIs(absl::StatusCode::kInvalidArgument));
  for (int i = 0; i < 1001; ++i) request.add_attempts();
  append();
  EXPECT_THAT(answer, StatusIs(absl::StatusCode::kInvalidArgument));
}

struct Batches final : StreamSink<v1::WatchBatchResponse> {
  void Send(v1::WatchBatchResponse message,
            absl::AnyInvocable<void()> written) override {
    if (!message.has_change()) last = message.batch();
    written();
  }
  void Finish(absl::Status) override {}
  v1::Batch last;
};

TEST_F(SchedulerTest, WhatRunsShowsWhatItHasCostSoFar) {
  RowKey batch = SubmitBatch(2);
  auto grants = StartWorker("worker-incarnation-1");
  ASSERT_THAT(grants->leases, SizeIs(2));
  auto watch = std::make_shared<Batches>();
  v1::WatchBatchRequest request;
  request.set_batch_id(Ids(store_->cluster()).Format(batch));
  scheduler_->watches().Watch(request, watch);
  time_.RunUntilIdle();
  auto say = [&](int lease, int64_t sequence, int64_t cost) {
    v1::AppendEventsRequest call;
    v1::AttemptEvents& append = *call.add_attempts();
    *append.mutable_token() = grants->leases[lease].token();
    append.set_first_sequence(sequence);
    append.add_events_json("{}");
    append.set_estimated_cost_usd_micros(cost);
    scheduler_->AppendEvents(call, [](auto answer) { EXPECT_OK(answer); });
    time_.RunUntilIdle();
  };
  auto of_task = [&](int lease) {
    v1::GetTaskRequest get;
    get.set_task_id(grants->leases[lease].token().task_id());
    std::optional<int64_t> cost;
    scheduler_->GetTask(get, [&](absl::StatusOr<v1::GetTaskResponse> answer) {
      ASSERT_OK(answer);
      if (answer->task().has_estimated_cost_usd_micros()) {
        cost = answer->task().estimated_cost_usd_micros();
      }
    });
    time_.RunUntilIdle();
    return cost;
  };
  EXPECT_EQ(of_task(0), std::nullopt);
  say(0, 0, 20'000);
  say(1, 0, 5'000);
  say(0, 1, 30'000);
  EXPECT_EQ(of_task(0), 30'000);
  time_.Advance(absl::Seconds(2));
  EXPECT_EQ(watch->last.estimated_cost_usd_micros(), 35'000);
  // Nonsense neither takes anything away nor overflows.
  say(1, 1, INT64_MIN);
  say(1, 2, INT64_MAX);
  EXPECT_EQ(of_task(1), 1'000'000'000'000);
  say(1, 3, 5'000);

  v1::SettleRequest settle;
  *settle.mutable_token() = grants->leases[0].token();
  *settle.mutable_ending() = Success();
  scheduler_->Settle(settle, [](auto answer) { EXPECT_OK(answer); });
  time_.Advance(absl::Seconds(2));
  EXPECT_EQ(of_task(0), std::nullopt) << "it is charged now";
  EXPECT_EQ(watch->last.estimated_cost_usd_micros(), 5'000);
  EXPECT_EQ(watch->last.charged_usd_micros(), 30'000);
  scheduler_->watches().Lose(watch.get());
}

TEST_F(SchedulerTest, ADelayedTaskStartsByItself) {
  auto grants = StartWorker("worker-incarnation-1");
  ASSERT_OK(SubmitWith("late", [](v1::TaskSpec& spec) {
    spec.mutable_delay()->set_seconds(20);
  }));
  time_.Advance(absl::Seconds(19));
  EXPECT_THAT(grants->leases, SizeIs(0));
  time_.Advance(absl::Seconds(1));
  EXPECT_THAT(grants->leases, SizeIs(1));
}

TEST_F(SchedulerTest, ATaskExpiresByItselfThoughTheSchedulerWasDown) {
  ASSERT_OK(SubmitWith("brief", [](v1::TaskSpec& spec) {
    spec.mutable_expires_after()->set_seconds(90);
  }));
  ASSERT_OK(SubmitWith("briefer", [](v1::TaskSpec& spec) {
    spec.mutable_expires_after()->set_seconds(10);
  }));
  time_.Advance(absl::Seconds(10));
  EXPECT_EQ(Tasks()[0].state, v1::TASK_STATE_QUEUED);
  EXPECT_EQ(Tasks()[1].state, v1::TASK_STATE_FAILED);
  CrashScheduler();
  Crash();
  time_.Advance(absl::Seconds(80));
  Open();
  StartScheduler();
  time_.Advance(absl::Milliseconds(1));
  EXPECT_EQ(Tasks()[0].state, v1::TASK_STATE_FAILED);
}

TEST_F(SchedulerTest, AKeyThatIsHeldNamesItsTask) {
  auto keyed = [](v1::TaskSpec& spec) { spec.mutable_unique()->set_key("k"); };
  absl::StatusOr<std::string> holder = SubmitWith("first", keyed);
  ASSERT_OK(holder);
  absl::Status refused = SubmitWith("second", keyed).status();
  EXPECT_THAT(refused, StatusIs(absl::StatusCode::kAlreadyExists,
                                ::testing::HasSubstr(*holder)));
  google::rpc::ResourceInfo resource;
  auto payload =
      refused.GetPayload("type.googleapis.com/google.rpc.ResourceInfo");
  ASSERT_TRUE(payload.has_value());
  ASSERT_TRUE(resource.ParseFromString(std::string(*payload)));
  EXPECT_EQ(resource.resource_name(), *holder);
  EXPECT_EQ(resource.resource_type(), "midwatch.v1.Task");
}

TEST_F(SchedulerTest, AChangedTaskIsAnsweredAsItIsNow) {
  absl::StatusOr<std::string> id = SubmitWith("one", [](v1::TaskSpec&) {});
  ASSERT_OK(id);
  v1::UpdateTaskRequest request;
  request.set_task_id(*id);
  request.set_priority(8);
  request.mutable_expires_at()->set_seconds(absl::ToUnixSeconds(clock_.Now()) +
                                            100);
  absl::StatusOr<v1::UpdateTaskResponse> changed =
      absl::InternalError("no answer");
  scheduler_->UpdateTask(request, [&](auto r) { changed = std::move(r); });
  time_.RunUntilIdle();
  ASSERT_OK(changed);
  EXPECT_EQ(changed->task().priority(), 8);
  EXPECT_EQ(changed->task().expires_at().seconds(),
            request.expires_at().seconds());
  time_.Advance(absl::Seconds(101));
  EXPECT_EQ(Tasks()[0].state, v1::TASK_STATE_FAILED);
}

TEST_F(SchedulerTest, ABatchIsTriedAgainStepByStep) {
  RowKey batch = SubmitBatch(450);
  EXPECT_OK(*CancelBatch(batch));
  v1::RetryBatchRequest request;
  request.set_batch_id(Ids(store_->cluster()).Format(batch));
  request.set_request_id("again");
  request.set_cancelled_too(true);
  absl::StatusOr<v1::RetryBatchResponse> made =
      absl::InternalError("no answer");
  scheduler_->RetryBatch(request, [&](auto r) { made = std::move(r); });
  time_.RunUntilIdle();
  ASSERT_OK(made);
  EXPECT_FALSE(made->more());
  EXPECT_EQ(made->batch().counts().queued(), 450);
  EXPECT_EQ(made->batch().state(), v1::BATCH_STATE_SEALED);
  request.clear_request_id();
  scheduler_->RetryBatch(request, [&](auto r) { made = std::move(r); });
  EXPECT_THAT(made, StatusIs(absl::StatusCode::kInvalidArgument));
}

}  // namespace
}  // namespace midwatch
