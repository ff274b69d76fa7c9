// What a scheduler says of why a task waits, as things come and go; and what it
// tells of tasks to come.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "scheduler/scheduler.h"
#include "tests/testing/store_fixture.h"

namespace midwatch {
namespace {

using ::testing::SizeIs;
using testing::StatusIs;

struct Leases final : StreamSink<v1::StreamLeasesResponse> {
  void Send(v1::StreamLeasesResponse message,
            absl::AnyInvocable<void()>) override {
    if (message.has_grant()) grants.push_back(message.grant());
  }
  void Finish(absl::Status) override {}
  std::vector<v1::Lease> grants;
};

class ExplainTest : public testing::StoreFixture {
 protected:
  ExplainTest()
      : scheduler_(
            std::make_unique<Scheduler>(*executor_, clock_, random_, *store_)) {
    scheduler_->Start([](absl::Status status) { EXPECT_OK(status); });
    time_.RunUntilIdle();
  }
  ~ExplainTest() override {
    executor_->Stop();
    scheduler_.reset();
  }

  std::shared_ptr<Leases> StartWorker(int capacity,
                                      double creates_per_minute = 0) {
    v1::RegisterWorkerRequest request;
    request.set_incarnation("worker-incarnation-1");
    request.set_description("w1");
    request.add_accounts("default");
    request.set_capacity(capacity);
    if (creates_per_minute > 0) {
      v1::AccountLimits& limits = *request.add_limits();
      limits.set_account("default");
      limits.mutable_create()->set_per_minute(creates_per_minute);
    }
    auto leases = std::make_shared<Leases>();
    scheduler_->leases().RegisterWorker(
        request, [&](absl::StatusOr<v1::RegisterWorkerResponse> response) {
          ASSERT_OK(response);
          v1::StreamLeasesRequest stream;
          stream.set_worker_id(response->worker_id());
          scheduler_->leases().StreamLeases(stream, leases);
        });
    time_.RunUntilIdle();
    return leases;
  }

  void Settle(const v1::Lease& lease, v1::Ending ending) {
    v1::SettleRequest request;
    *request.mutable_token() = lease.token();
    *request.mutable_ending() = std::move(ending);
    scheduler_->Settle(request, [](auto settled) { EXPECT_OK(settled); });
    time_.RunUntilIdle();
  }

  std::string Id(RowKey key) const {
    return Ids(store_->cluster()).Format(key);
  }
  // Task `number` of the batch, from 0.
  std::string Id(int number) {
    return Id(Tasks({.batch = 1}).at(static_cast<size_t>(number)).key);
  }

  absl::StatusOr<v1::ExplainTaskResponse> Ask(
      const v1::ExplainTaskRequest& request) {
    absl::StatusOr<v1::ExplainTaskResponse> answer =
        absl::InternalError("no answer");
    scheduler_->ExplainTask(request, [&](auto a) { answer = std::move(a); });
    time_.RunUntilIdle();
    return answer;
  }
  std::string Why(const std::string& id) {
    v1::ExplainTaskRequest request;
    request.set_task_id(id);
    auto answer = Ask(request);
    EXPECT_OK(answer);
    return answer.ok() ? answer->sentence() : "";
  }

  std::unique_ptr<Scheduler> scheduler_;
};

TEST_F(ExplainTest, TheReasonFollowsWhatHappens) {
  const RowKey batch = SubmitBatch(3);
  const std::string last = Id(2);
  EXPECT_EQ(Why(last), "No worker for account default is connected.");

  ASSERT_OK(Apply(midwatch::PauseBatch{batch, "look first"}));
  EXPECT_EQ(Why(last),
            "Batch b is paused until somebody resumes it: look first.");
  ASSERT_OK(Apply(midwatch::ResumeBatch{batch}));

  auto leases = StartWorker(/*capacity=*/1);
  ASSERT_THAT(leases->grants, SizeIs(1));
  EXPECT_EQ(Why(last),
            "The one place at the worker for account default is taken, and 1 "
            "ready task goes before it.");
  EXPECT_EQ(
      Why(Id(0)),
      "Attempt 1 is being started since 08:00:00 UTC by worker w1; it has "
      "no session yet.");

  ASSERT_OK(Apply(SetBatchCap{batch, 1}));
  EXPECT_EQ(Why(last),
            "Batch b runs as many tasks as it may, 1 of 1, and 1 ready task "
            "goes before it.");
  ASSERT_OK(Apply(SetBudget{.scope = v1::BUDGET_SCOPE_BATCH,
                            .name = "",
                            .row = batch,
                            .window = v1::BUDGET_WINDOW_TOTAL,
                            .zone = "",
                            .limit = 900'000}));
  EXPECT_EQ(Why(last),
            "The budget of batch b, $0.90, has $0.00 left beside $1.00 set "
            "aside for what runs, and the task before it needs $1.00 of it to "
            "start.");

  Settle(leases->grants[0], Success());
  EXPECT_EQ(Why(Id(0)),
            "It succeeded at 08:00:00 UTC, after 1 attempt and for $0.03.");
}

TEST_F(ExplainTest, AFailedAttemptIsToldWithItsTime) {
  const RowKey task = SubmitOne();
  auto leases = StartWorker(/*capacity=*/1);
  ASSERT_THAT(leases->grants, SizeIs(1));
  v1::Ending ending;
  ending.set_kind(v1::Ending::KIND_TERMINATED);
  Settle(leases->grants[0], ending);
  const std::string why = Why(Id(task));
  EXPECT_THAT(why, ::testing::MatchesRegex(
                       "It is tried again at 08:00:[0-9]+ UTC, since attempt 1 "
                       "ended: .+\\."));
}

TEST_F(ExplainTest, NeedsAreNamed) {
  NewTask first = Line("fetch"), second = Line("report");
  second.line.add_needs()->set_name("fetch");
  second.needs.emplace_back();
  ASSERT_OK(Apply(Opening("batch-1")));
  ASSERT_OK(Apply(AddTasks{"batch-1", 0, {first, second}}));
  EXPECT_EQ(Why(Id(1)), "It needs fetch, which is not done.");
}

TEST_F(ExplainTest, TheRateAndTheOrderAreTold) {
  SubmitBatch(200);
  StartWorker(/*capacity=*/1000, /*creates_per_minute=*/60);
  v1::ExplainTaskRequest request;
  request.set_task_id(Id(199));
  auto answer = Ask(request);
  ASSERT_OK(answer);
  EXPECT_EQ(answer->reason(), v1::WAIT_REASON_RATE);
  EXPECT_EQ(answer->sentence(),
            absl::StrCat("The service lets 30 sessions a minute begin, and the "
                         "next ones are taken, and ",
                         answer->tasks_before(), " ready tasks go before it."));
  EXPECT_GT(answer->tasks_before(), 190);
  EXPECT_THAT(answer->prediction(), ::testing::StartsWith("about 08:06"));
}

TEST_F(ExplainTest, BadRequestsAreRefused) {
  v1::ExplainTaskRequest request;
  request.set_task_id("nonsense");
  EXPECT_THAT(Ask(request), StatusIs(absl::StatusCode::kInvalidArgument));
  request.set_task_id(Id(RowKey{99, 1}));
  EXPECT_THAT(Ask(request), StatusIs(absl::StatusCode::kNotFound));
  request.set_utc_offset_seconds(100'000);
  EXPECT_THAT(Ask(request), StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST_F(ExplainTest, KindsAreForetoldAndWhatServesThemIsTold) {
  SubmitBatch(1);
  v1::ForecastTasksRequest request;
  absl::StatusOr<v1::ForecastTasksResponse> answer =
      absl::InternalError("no answer");
  auto ask = [&] {
    scheduler_->ForecastTasks(request, [&](auto a) { answer = std::move(a); });
    time_.RunUntilIdle();
  };
  ask();
  EXPECT_THAT(answer, StatusIs(absl::StatusCode::kInvalidArgument));
  *request.add_specs() = Spec();
  request.add_specs()->set_prompt("another kind");
  ask();
  ASSERT_OK(answer);
  EXPECT_FALSE(answer->has_limits());
  EXPECT_EQ(answer->workers(), 0);
  auto leases = StartWorker(/*capacity=*/8, /*creates_per_minute=*/300);
  ASSERT_THAT(leases->grants, SizeIs(1));
  time_.Advance(absl::Seconds(20));
  Settle(leases->grants[0], Success(40'000));
  ask();
  ASSERT_OK(answer);
  ASSERT_EQ(answer->kinds_size(), 2);
  EXPECT_EQ(answer->kinds(0).forecast().samples(), 1);
  ASSERT_EQ(answer->kinds(0).samples_size(), 1);
  EXPECT_EQ(answer->kinds(0).samples(0).cost_usd_micros(), 40'000);
  EXPECT_EQ(answer->kinds(0).samples(0).time().seconds(), 20);
  EXPECT_FALSE(answer->kinds(1).has_forecast());
  EXPECT_EQ(answer->workers(), 1);
  EXPECT_EQ(answer->capacity(), 8);
  EXPECT_EQ(answer->limits().account(), "default");
  EXPECT_EQ(answer->limits().create().per_minute(), 300);
  EXPECT_EQ(answer->limits().create().burst(), 5);
  EXPECT_FALSE(answer->limits().has_write());
}

}  // namespace
}  // namespace midwatch
