// A schedule over the nights: each of its times is one batch, whoever dies.
#include "scheduler/schedule_book.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "absl/strings/str_cat.h"
#include "scheduler/scheduler.h"
#include "tests/testing/faulty_store.h"
#include "tests/testing/store_fixture.h"

namespace midwatch {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using testing::StatusIs;

absl::Time Instant(const std::string& text) {
  absl::Time at;
  std::string error;
  EXPECT_TRUE(absl::ParseTime("%Y-%m-%dT%H:%M%Ez", text, &at, &error)) << text;
  return at;
}

class ScheduleBookTest : public testing::StoreFixture {
 protected:
  ScheduleBookTest() { StartScheduler(); }
  ~ScheduleBookTest() override { CrashScheduler(); }

  void StartScheduler(bool fires_schedules = true) {
    faulty_ = std::make_unique<testing::FaultyStore>(*executor_, *store_);
    scheduler_ = std::make_unique<Scheduler>(
        *executor_, clock_, random_, *faulty_,
        SchedulerOptions{.fires_schedules = fires_schedules});
    scheduler_->Start([](absl::Status status) { EXPECT_OK(status); });
    time_.RunUntilIdle();
    // What is due already.
    time_.Advance(absl::ZeroDuration());
  }
  void CrashScheduler() {
    if (executor_ != nullptr) executor_->Stop();
    scheduler_.reset();
    faulty_.reset();
    Crash();
  }
  void RestartScheduler() {
    CrashScheduler();
    Open();
    StartScheduler();
  }

  void SetTime(const std::string& text) {
    clock_.StepWall(Instant(text) - clock_.Now());
  }
  // Minute by minute, as the scheduler looks at its clock.
  void AdvanceTo(const std::string& text) {
    time_.Advance(Instant(text) - clock_.Now());
  }

  template <typename Response, typename Request, typename Method>
  absl::StatusOr<Response> Call(Method method, const Request& request) {
    absl::StatusOr<Response> result = absl::InternalError("no answer");
    (scheduler_.get()->*method)(
        request, [&](absl::StatusOr<Response> r) { result = std::move(r); });
    time_.RunUntilIdle();
    return result;
  }

  // Each night at two in Berlin.
  static v1::PutScheduleRequest Nightly(int lines = 3) {
    v1::PutScheduleRequest put;
    put.set_name("nightly");
    put.mutable_timing()->set_cron("0 2 * * *");
    put.mutable_timing()->set_time_zone("Europe/Berlin");
    *put.mutable_batch()->mutable_spec() = Spec();
    for (int i = 0; i < lines; ++i) {
      put.add_lines()->set_name(absl::StrCat("t", i));
    }
    return put;
  }
  v1::Schedule Put(const v1::PutScheduleRequest& put) {
    auto response = Call<v1::PutScheduleResponse>(&Scheduler::PutSchedule, put);
    EXPECT_OK(response);
    return response.ok() ? response->schedule() : v1::Schedule();
  }
  v1::Schedule Get() {
    v1::GetScheduleRequest request;
    request.set_name("nightly");
    auto response =
        Call<v1::GetScheduleResponse>(&Scheduler::GetSchedule, request);
    EXPECT_OK(response);
    return response.ok() ? response->schedule() : v1::Schedule();
  }
  absl::StatusOr<v1::RunScheduleResponse> Run(const std::string& request_id) {
    v1::RunScheduleRequest request;
    request.set_name("nightly");
    request.set_request_id(request_id);
    return Call<v1::RunScheduleResponse>(&Scheduler::RunSchedule, request);
  }

  // Newest first.
  std::vector<BatchRecord> Batches() {
    auto page = Read<RowPage<BatchRecord>>([](StoreReader& reader) {
      return reader.ListBatches({}, INT64_MAX, 100);
    });
    EXPECT_OK(page);
    return page.ok() ? std::move(page->rows) : std::vector<BatchRecord>();
  }
  std::vector<std::string> Names() {
    std::vector<std::string> names;
    for (const BatchRecord& batch : Batches()) names.push_back(batch.name);
    return names;
  }
  // "fired nightly-...", newest first.
  std::vector<std::string> Firings() {
    std::vector<std::string> words;
    const v1::Schedule schedule = Get();
    for (const v1::Firing& firing : schedule.firings()) {
      words.push_back(
          absl::StrCat(v1::FiringState_Name(firing.state()).substr(13), " ",
                       firing.batch_name()));
    }
    return words;
  }
  void EndAll() {
    for (const BatchRecord& batch : Batches()) {
      if (batch.state == v1::BATCH_STATE_DONE) continue;
      ASSERT_OK(Apply(midwatch::CancelBatch{batch.key, ""}));
    }
  }

  std::unique_ptr<testing::FaultyStore> faulty_;
  std::unique_ptr<Scheduler> scheduler_;
};

TEST_F(ScheduleBookTest, ThreeNightsAcrossTheSpringChange) {
  SetTime("2027-03-26T12:00+01:00");
  const v1::Schedule made = Put(Nightly());
  ASSERT_EQ(made.next_due_at_size(), 5);
  EXPECT_EQ(FromTimestamp(made.next_due_at(1)),
            Instant("2027-03-28T03:00+02:00"));
  for (const char* noon : {"2027-03-27T12:00+01:00", "2027-03-28T12:00+02:00",
                           "2027-03-29T12:00+02:00"}) {
    AdvanceTo(noon);
    EndAll();
  }
  EXPECT_THAT(Names(), ElementsAre("nightly-2027-03-29T02:00",
                                   "nightly-2027-03-28T03:00",
                                   "nightly-2027-03-27T02:00"));
  const v1::Schedule schedule = Get();
  ASSERT_EQ(schedule.firings_size(), 3);
  EXPECT_EQ(FromTimestamp(schedule.firings(1).due_at()),
            Instant("2027-03-28T03:00+02:00"));
  EXPECT_EQ(schedule.firings(1).batch_id(),
            Ids(store_->cluster()).Format(Batches()[1].key));
  EXPECT_EQ(Batches()[1].lines, 3);
  EXPECT_EQ(Batches()[1].tenant, "default");
}

TEST_F(ScheduleBookTest, ThreeNightsAcrossTheAutumnChange) {
  SetTime("2027-10-29T12:00+02:00");
  v1::PutScheduleRequest put = Nightly();
  put.mutable_timing()->set_cron("30 2 * * *");
  Put(put);
  for (const char* noon : {"2027-10-30T12:00+02:00", "2027-10-31T12:00+01:00",
                           "2027-11-01T12:00+01:00"}) {
    AdvanceTo(noon);
    EndAll();
  }
  EXPECT_THAT(Names(), ElementsAre("nightly-2027-11-01T02:30",
                                   "nightly-2027-10-31T02:30+0200",
                                   "nightly-2027-10-30T02:30"));
}

// The promise: whichever step the scheduler dies after, each time is one whole
// batch.
TEST_F(ScheduleBookTest, ADeathAfterAnyStepLeavesOneWholeBatch) {
  v1::PutScheduleRequest put = Nightly(0);
  // Lines so large that each is a step of its own.
  for (int i = 0; i < 3; ++i) {
    v1::TaskLine& line = *put.add_lines();
    line.set_name(absl::StrCat("t", i));
    (*line.mutable_parameters())["notes"] = std::string(700 << 10, 'x');
  }
  SetTime("2026-11-27T01:00Z");
  Put(put);
  int deaths = 0;
  std::set<std::string> states;  // in which the store was left
  for (int night = 0;; ++night) {
    const absl::Time before =
        Instant("2026-11-28T00:59Z") + night * absl::Hours(24);
    clock_.StepWall(before - clock_.Now());
    int left = night + 1;
    time_.after_task = [&] {
      if (left > 0 && --left == 0) executor_->Stop();
    };
    time_.Advance(absl::Minutes(2));
    time_.after_task = nullptr;
    const bool died = left == 0;
    if (died) {
      ++deaths;
      CrashScheduler();
      Open();
      std::vector<BatchRecord> half = Batches();
      const bool begun = !half.empty() && half[0].state != v1::BATCH_STATE_DONE;
      states.insert(begun ? absl::StrCat(v1::BatchState_Name(half[0].state),
                                         half[0].lines)
                          : "nothing");
      StartScheduler();
    }
    const std::vector<BatchRecord> batches = Batches();
    ASSERT_THAT(batches, SizeIs(night + 1)) << "death after " << night + 1;
    EXPECT_EQ(batches[0].state, v1::BATCH_STATE_SEALED);
    EXPECT_EQ(batches[0].lines, 3);
    const v1::Schedule schedule = Get();
    const v1::Firing& firing = schedule.firings(0);
    EXPECT_EQ(firing.state(), v1::FIRING_STATE_FIRED);
    EXPECT_EQ(firing.batch_name(), batches[0].name);
    EndAll();
    if (!died) break;
  }
  EXPECT_GE(deaths, 10);
  // It was struck before the batch, within it, and after it.
  EXPECT_THAT(states, ::testing::IsSupersetOf(
                          {"nothing", "BATCH_STATE_OPEN0", "BATCH_STATE_OPEN1",
                           "BATCH_STATE_OPEN2", "BATCH_STATE_OPEN3",
                           "BATCH_STATE_SEALED3"}));
}

TEST_F(ScheduleBookTest, NightsWithoutASchedulerAreMadeUpForOnce) {
  SetTime("2026-11-25T12:00+01:00");
  Put(Nightly());
  CrashScheduler();
  SetTime("2026-11-28T12:00+01:00");
  Open();
  StartScheduler();
  EXPECT_THAT(Firings(), ElementsAre("FIRED nightly-2026-11-28T02:00",
                                     "MISSED nightly-2026-11-27T02:00",
                                     "MISSED nightly-2026-11-26T02:00"));
  EXPECT_EQ(Get().firings(0).reason(), "seen late");
  RestartScheduler();
  EXPECT_THAT(Names(), ElementsAre("nightly-2026-11-28T02:00"));
}

// A command that opens the files for a moment submits nothing by itself, and
// takes nothing away from the scheduler that comes after it.
TEST_F(ScheduleBookTest, OnlyASchedulerThatIsToFiresThem) {
  SetTime("2026-11-26T12:00+01:00");
  Put(Nightly());
  CrashScheduler();
  Open();
  StartScheduler(/*fires_schedules=*/false);
  AdvanceTo("2026-11-28T12:00+01:00");
  EXPECT_THAT(Names(), IsEmpty());
  EXPECT_OK(Run("r1"));
  EXPECT_THAT(Names(), ElementsAre("nightly-run-2026-11-28T12:00:00"));
  EndAll();
  RestartScheduler();
  EXPECT_THAT(Firings(), ElementsAre("FIRED nightly-2026-11-28T02:00",
                                     "MISSED nightly-2026-11-27T02:00",
                                     "FIRED nightly-run-2026-11-28T12:00:00"));
}

TEST_F(ScheduleBookTest, AnotherIsPassedOverWhileOneRuns) {
  SetTime("2026-11-25T12:00+01:00");
  Put(Nightly());
  AdvanceTo("2026-11-27T12:00+01:00");
  EXPECT_THAT(Firings(), ElementsAre("SKIPPED nightly-2026-11-27T02:00",
                                     "FIRED nightly-2026-11-26T02:00"));
  EndAll();
  AdvanceTo("2026-11-28T12:00+01:00");
  EXPECT_THAT(Names(), ElementsAre("nightly-2026-11-28T02:00",
                                   "nightly-2026-11-26T02:00"));
}

TEST_F(ScheduleBookTest, AQueuedOneFiresOnceTheOneBeforeItIsDone) {
  SetTime("2026-11-25T12:00+01:00");
  v1::PutScheduleRequest put = Nightly();
  put.mutable_timing()->set_overlap(v1::OVERLAP_POLICY_QUEUE);
  Put(put);
  AdvanceTo("2026-11-28T12:00+01:00");
  EXPECT_THAT(Firings(), ElementsAre("QUEUED nightly-2026-11-28T02:00",
                                     "QUEUED nightly-2026-11-27T02:00",
                                     "FIRED nightly-2026-11-26T02:00"));
  EndAll();
  time_.Advance(absl::Seconds(2));
  EXPECT_THAT(Names(), ElementsAre("nightly-2026-11-27T02:00",
                                   "nightly-2026-11-26T02:00"));
  // Whoever waits after a restart waits still.
  RestartScheduler();
  EndAll();
  time_.Advance(absl::Seconds(2));
  EXPECT_THAT(Firings(), ElementsAre("FIRED nightly-2026-11-28T02:00",
                                     "FIRED nightly-2026-11-27T02:00",
                                     "FIRED nightly-2026-11-26T02:00"));
}

TEST_F(ScheduleBookTest, TheOldOneIsCancelled) {
  SetTime("2026-11-25T12:00+01:00");
  v1::PutScheduleRequest put = Nightly();
  put.mutable_timing()->set_overlap(v1::OVERLAP_POLICY_CANCEL_OLD);
  Put(put);
  AdvanceTo("2026-11-27T12:00+01:00");
  const std::vector<BatchRecord> batches = Batches();
  ASSERT_THAT(batches, SizeIs(2));
  EXPECT_EQ(batches[0].state, v1::BATCH_STATE_SEALED);
  EXPECT_EQ(batches[1].state, v1::BATCH_STATE_DONE);
  EXPECT_EQ(batches[1].counts[v1::TASK_STATE_CANCELLED], 3);
}

TEST_F(ScheduleBookTest, PausedItRestsAndResumedItDoesNotCatchUp) {
  SetTime("2026-11-25T12:00+01:00");
  Put(Nightly());
  v1::PauseScheduleRequest pause;
  pause.set_name("nightly");
  pause.set_reason("holidays");
  auto paused =
      Call<v1::PauseScheduleResponse>(&Scheduler::PauseSchedule, pause);
  ASSERT_OK(paused);
  EXPECT_TRUE(paused->schedule().paused());
  EXPECT_THAT(paused->schedule().next_due_at(), IsEmpty());
  AdvanceTo("2026-11-27T12:00+01:00");
  v1::ResumeScheduleRequest resume;
  resume.set_name("nightly");
  auto resumed =
      Call<v1::ResumeScheduleResponse>(&Scheduler::ResumeSchedule, resume);
  ASSERT_OK(resumed);
  EXPECT_EQ(FromTimestamp(resumed->schedule().next_due_at(0)),
            Instant("2026-11-28T02:00+01:00"));
  EXPECT_THAT(Names(), IsEmpty());
  AdvanceTo("2026-11-28T12:00+01:00");
  EXPECT_THAT(Names(), ElementsAre("nightly-2026-11-28T02:00"));
}

TEST_F(ScheduleBookTest, APauseThatEndsByItselfLetsWhatIsDueThenFire) {
  SetTime("2026-11-25T12:00+01:00");
  Put(Nightly());
  v1::PauseScheduleRequest pause;
  pause.set_name("nightly");
  *pause.mutable_until() = ToTimestamp(Instant("2026-11-25T11:00+01:00"));
  EXPECT_THAT(Call<v1::PauseScheduleResponse>(&Scheduler::PauseSchedule, pause)
                  .status(),
              StatusIs(absl::StatusCode::kInvalidArgument));
  *pause.mutable_until() = ToTimestamp(Instant("2026-11-28T02:00+01:00"));
  auto paused =
      Call<v1::PauseScheduleResponse>(&Scheduler::PauseSchedule, pause);
  ASSERT_OK(paused);
  EXPECT_TRUE(paused->schedule().paused());
  EXPECT_EQ(paused->schedule().pause_until().seconds(),
            pause.until().seconds());
  EXPECT_EQ(FromTimestamp(paused->schedule().next_due_at(0)),
            Instant("2026-11-28T02:00+01:00"));
  AdvanceTo("2026-11-28T01:59+01:00");
  EXPECT_THAT(Names(), IsEmpty());
  AdvanceTo("2026-11-28T12:00+01:00");
  EXPECT_THAT(Names(), ElementsAre("nightly-2026-11-28T02:00"));
}

TEST_F(ScheduleBookTest, ARunByHandIsOneBatchHoweverOftenItIsAskedFor) {
  SetTime("2026-11-28T14:05+01:00");
  Put(Nightly());
  auto run = Run("r1");
  ASSERT_OK(run);
  EXPECT_EQ(run->firing().state(), v1::FIRING_STATE_FIRED);
  EXPECT_TRUE(run->firing().by_hand());
  EXPECT_THAT(Names(), ElementsAre("nightly-run-2026-11-28T14:05:00"));
  RestartScheduler();
  EXPECT_EQ(Run("r1")->firing().batch_id(), run->firing().batch_id());
  // Another one runs beside it.
  EXPECT_NE(Run("r2")->firing().batch_id(), run->firing().batch_id());
  EXPECT_THAT(Names(), SizeIs(2));
  v1::RunScheduleRequest nameless;
  nameless.set_name("nobody");
  nameless.set_request_id("r1");
  EXPECT_THAT(
      Call<v1::RunScheduleResponse>(&Scheduler::RunSchedule, nameless).status(),
      StatusIs(absl::StatusCode::kNotFound, HasSubstr("'nobody'")));
}

TEST_F(ScheduleBookTest, AFullDiskDelaysAFiring) {
  SetTime("2026-11-28T01:00+01:00");
  Put(Nightly());
  bool full = true;
  faulty_->on_write = [&](const Write& write) {
    return full && std::holds_alternative<AddTasks>(write)
               ? absl::ResourceExhaustedError("disk full")
               : absl::OkStatus();
  };
  AdvanceTo("2026-11-28T02:30+01:00");
  EXPECT_THAT(Firings(), ElementsAre("OPENING nightly-2026-11-28T02:00"));
  full = false;
  time_.Advance(absl::Seconds(10));
  EXPECT_THAT(Firings(), ElementsAre("FIRED nightly-2026-11-28T02:00"));
  EXPECT_EQ(Batches()[0].state, v1::BATCH_STATE_SEALED);
}

TEST_F(ScheduleBookTest, ABatchThatAPersonCancelledHalfWayIsLeftSo) {
  SetTime("2026-11-28T01:00+01:00");
  Put(Nightly());
  faulty_->on_write = [&](const Write& write) {
    return std::holds_alternative<AddTasks>(write)
               ? absl::UnavailableError("busy")
               : absl::OkStatus();
  };
  AdvanceTo("2026-11-28T02:30+01:00");
  EndAll();
  faulty_->on_write = nullptr;
  time_.Advance(absl::Seconds(2));
  EXPECT_THAT(Firings(), ElementsAre("FIRED nightly-2026-11-28T02:00"));
  EXPECT_EQ(Get().firings(0).reason(), "cancelled while it was submitted");
  EXPECT_EQ(Batches()[0].state, v1::BATCH_STATE_DONE);
}

TEST_F(ScheduleBookTest, WhatIsRefusedForGoodFailsAndLeavesNoHalfBatch) {
  SetTime("2026-11-28T01:00+01:00");
  Put(Nightly());
  faulty_->on_write = [&](const Write& write) {
    return std::holds_alternative<AddTasks>(write)
               ? absl::InvalidArgumentError("lines[0]: no longer taken")
               : absl::OkStatus();
  };
  AdvanceTo("2026-11-28T02:30+01:00");
  EXPECT_THAT(Firings(), ElementsAre("FAILED nightly-2026-11-28T02:00"));
  EXPECT_EQ(Get().firings(0).reason(), "lines[0]: no longer taken");
  EXPECT_EQ(Batches()[0].state, v1::BATCH_STATE_DONE);
  // The next night is tried.
  faulty_->on_write = nullptr;
  AdvanceTo("2026-11-29T02:30+01:00");
  EXPECT_EQ(Firings()[0], "FIRED nightly-2026-11-29T02:00");
}

TEST_F(ScheduleBookTest, AllThatIsWrongIsNamed) {
  v1::PutScheduleRequest put = Nightly();
  put.set_name("");
  put.mutable_timing()->set_cron("0 25 * * *");
  put.mutable_timing()->set_time_zone("Europe/Atlantis");
  put.mutable_timing()->mutable_jitter()->set_seconds(3601);
  put.mutable_batch()->mutable_spec()->clear_prompt();
  auto refused = Call<v1::PutScheduleResponse>(&Scheduler::PutSchedule, put);
  EXPECT_THAT(refused.status(), StatusIs(absl::StatusCode::kInvalidArgument));
  for (const char* what :
       {"name: ", "timing.cron: the hour at column 3 is '25'; expected 0 to 23",
        "timing.jitter: expected 0 to 1 hour", "].prompt: required"}) {
    EXPECT_THAT(refused.status().message(), HasSubstr(what));
  }
  put = Nightly();
  put.mutable_timing()->set_time_zone("Europe/Atlantis");
  put.mutable_lines(2)->set_name("t0");
  refused = Call<v1::PutScheduleResponse>(&Scheduler::PutSchedule, put);
  EXPECT_THAT(refused.status().message(),
              HasSubstr("timing.time_zone: 'Europe/Atlantis' is no IANA time "
                        "zone that this machine knows"));
  EXPECT_THAT(refused.status().message(),
              HasSubstr("lines[2].name: 't0' is used twice"));
}

TEST_F(ScheduleBookTest, WhatIsTooMuchIsRefused) {
  v1::PutScheduleRequest put = Nightly(0);
  auto refused = Call<v1::PutScheduleResponse>(&Scheduler::PutSchedule, put);
  EXPECT_THAT(refused.status().message(),
              HasSubstr("lines: 0; expected 1 to 10000"));
  put = Nightly(10'001);
  refused = Call<v1::PutScheduleResponse>(&Scheduler::PutSchedule, put);
  EXPECT_THAT(refused.status().message(),
              HasSubstr("lines: 10001; expected 1 to 10000"));
  put = Nightly(1);
  (*put.mutable_lines(0)->mutable_parameters())["notes"] =
      std::string(16 << 20, 'x');
  refused = Call<v1::PutScheduleResponse>(&Scheduler::PutSchedule, put);
  EXPECT_THAT(refused.status().message(), HasSubstr("(16 MiB)"));
}

}  // namespace
}  // namespace midwatch
