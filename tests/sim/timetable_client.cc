#include "tests/sim/timetable_client.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "tests/sim/firing_model.h"

namespace midwatch::sim {
namespace {

constexpr uint64_t kTimesClientSeed = 0x74696d65;  // "time"
// Of tasks of all nodes, from just before a time on.
constexpr uint64_t kDiesWithin = 150;

}  // namespace

TimetableClient::TimetableClient(World& world, const Story& story)
    : world_(world),
      times_(story.timetable),
      dice_(story.seed ^ kTimesClientSeed) {
  if (times_.every == 0) return;
  wishes_.push_back({.at = absl::Seconds(3), .what = Wish::kMake});
  for (int run = 0; run < times_.runs; ++run) {
    wishes_.push_back(
        {.at = absl::Seconds(20) + times_.until * dice_.Fraction(),
         .what = Wish::kRun,
         .id = absl::StrCat("run-", run)});
  }
  for (int pause = 0; pause < times_.pauses; ++pause) {
    const absl::Duration at =
        absl::Seconds(20) + times_.until * dice_.Fraction();
    const absl::Duration length = absl::Seconds(5 + dice_.Next() % 200);
    const bool by_itself = dice_.Next() % 2 == 0;
    wishes_.push_back({.at = at,
                       .what = Wish::kPause,
                       .ends_in = by_itself ? length : absl::ZeroDuration()});
    if (!by_itself) {
      wishes_.push_back({.at = at + length, .what = Wish::kResume});
    }
  }
  size_t made = 0;
  for (int deletion = 0; deletion < times_.deletes; ++deletion) {
    const absl::Duration at =
        absl::Seconds(20) + times_.until * dice_.Fraction();
    wishes_.push_back({.at = at, .what = Wish::kDelete, .after = made});
    // Mostly at once, as whoever replaces it does.
    const int64_t wait = dice_.Next() % 3 == 0 ? 1 + dice_.Next() % 120 : 0;
    wishes_.push_back({.at = at + absl::Seconds(wait),
                       .what = Wish::kMake,
                       .after = wishes_.size() - 1});
    made = wishes_.size() - 1;
  }
  wishes_.push_back({.at = times_.until, .what = Wish::kEnd});
}

bool TimetableClient::Done() const {
  return std::all_of(wishes_.begin(), wishes_.end(),
                     [](const Wish& wish) { return wish.done; });
}

void TimetableClient::After(Wish& wish, const absl::Status& status) {
  wish.asked = 0;
  const bool deletes = times_.deletes > 0 || times_.goes;
  wish.done = status.ok() || absl::IsFailedPrecondition(status) ||
              (deletes && absl::IsNotFound(status));
  wish.again = world_.time.Elapsed() + absl::Seconds(2);
}

void TimetableClient::Put(Wish& wish) {
  v1::PutScheduleRequest request;
  request.set_name(kTimetable);
  v1::Timing& timing = *request.mutable_timing();
  // Another one that does not come in any night.
  timing.set_cron(wish.what == Wish::kEnd
                      ? "0 0 29 2 *"
                      : absl::StrCat("*/", times_.every, " * * * *"));
  timing.set_overlap(times_.overlap);
  timing.set_missed(times_.missed);
  timing.mutable_jitter()->set_seconds(absl::ToInt64Seconds(times_.jitter));
  v1::TaskSpec& spec = *request.mutable_batch()->mutable_spec();
  spec.mutable_agent()->set_definition_json(
      R"({"name":"sim","model":"claude-sonnet-5-5"})");
  spec.set_prompt("Do {{what}}.");
  for (int line = 0; line < times_.lines; ++line) {
    v1::TaskLine& added = *request.add_lines();
    added.set_name(absl::StrCat("timed-", line));
    (*added.mutable_parameters())["what"] = absl::StrCat("in time, ", line);
    if (line > 0 && line % 2 == 0) added.add_needs()->set_name("timed-0");
  }
  request.set_replace(true);
  const bool ends = wish.what == Wish::kEnd;
  world_.scheduler().PutSchedule(
      request, [this, &wish,
                ends](const absl::StatusOr<v1::PutScheduleResponse>& response) {
        After(wish, response.status());
        if (ends && response.ok()) world_.checks.firings().NoMoreTimes();
      });
}

void TimetableClient::Run(Wish& wish) {
  v1::RunScheduleRequest request;
  request.set_name(kTimetable);
  request.set_request_id(wish.id);
  world_.scheduler().RunSchedule(
      request,
      [this, &wish](const absl::StatusOr<v1::RunScheduleResponse>& response) {
        After(wish, response.status());
        if (!response.ok()) return;
        world_.counts.Add("schedules fired by hand");
        auto batch = Ids(world_.cluster())
                         .Parse("batch_id", response->firing().batch_id());
        if (batch.ok()) world_.checks.firings().Acknowledged(batch->row);
      });
}

void TimetableClient::Pause(Wish& wish) {
  v1::PauseScheduleRequest request;
  request.set_name(kTimetable);
  if (wish.ends_in > absl::ZeroDuration()) {
    request.mutable_until()->set_seconds(
        absl::ToUnixSeconds(world_.ClockOf("scheduler").Now() + wish.ends_in));
  }
  world_.scheduler().PauseSchedule(
      request,
      [this, &wish](const absl::StatusOr<v1::PauseScheduleResponse>& response) {
        After(wish, response.status());
        if (response.ok()) world_.counts.Add("schedules paused");
      });
}

void TimetableClient::Resume(Wish& wish) {
  v1::ResumeScheduleRequest request;
  request.set_name(kTimetable);
  world_.scheduler().ResumeSchedule(
      request, [this, &wish](
                   const absl::StatusOr<v1::ResumeScheduleResponse>& response) {
        After(wish, response.status());
      });
}

void TimetableClient::Delete(Wish& wish) {
  v1::DeleteScheduleRequest request;
  request.set_name(kTimetable);
  world_.scheduler().DeleteSchedule(
      request, [this, &wish](
                   const absl::StatusOr<v1::DeleteScheduleResponse>& response) {
        After(wish, response.status());
        if (absl::IsFailedPrecondition(response.status())) {
          world_.counts.Add("deletions of schedules refused");
          wish.done = false;
        }
        if (wish.done) world_.checks.firings().Deleted();
        // Who asks again need not have heard that it is.
        if (absl::IsNotFound(response.status()) && wish.tries == 1) {
          world_.checks.Report(kFires, "it is gone before it is deleted");
        }
      });
}

void TimetableClient::DieSometimes() {
  const absl::Duration now = world_.time.Elapsed();
  if (now > times_.until || absl::ToInt64Seconds(now) % 60 != 59) return;
  if (dice_.Fraction() >= times_.deaths) return;
  world_.KillSchedulerSoon(
      static_cast<int>(1 + dice_.Next() % kDiesWithin),
      dice_.Next() % 2 == 0 ? Death::kPowerLoss : Death::kKilled);
}

void TimetableClient::Ask(Wish& wish) {
  switch (wish.what) {
    case Wish::kRun:
      return Run(wish);
    case Wish::kPause:
      return Pause(wish);
    case Wish::kResume:
      return Resume(wish);
    case Wish::kDelete:
      return Delete(wish);
    case Wish::kEnd:
      return times_.goes ? Delete(wish) : Put(wish);
    default:
      return Put(wish);
  }
}

// The schedule is there first, and the batch of the night before it.
bool TimetableClient::MayAsk(const Wish& wish) const {
  if (&wish == &wishes_[0]) return world_.Batch().key.row != 0;
  if (wish.what != Wish::kEnd) return wishes_[wish.after].done;
  return std::all_of(wishes_.begin(), wishes_.end(), [](const Wish& other) {
    return other.done ||
           (other.what != Wish::kMake && other.what != Wish::kDelete);
  });
}

void TimetableClient::Tick() {
  if (wishes_.empty() || !world_.scheduler_up()) return;
  DieSometimes();
  const absl::Duration now = world_.time.Elapsed();
  for (Wish& wish : wishes_) {
    if (wish.done || now < std::max(wish.at, wish.again)) continue;
    if (wish.asked == world_.scheduler_lives()) continue;
    if (!MayAsk(wish)) continue;
    wish.asked = world_.scheduler_lives();
    ++wish.tries;
    Ask(wish);
    world_.time.RunUntilIdle();
    if (!world_.scheduler_up()) return;
  }
}

}  // namespace midwatch::sim
