#include "scheduler/schedule_proto.h"

#include <algorithm>
#include <set>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "scheduler/field_checks.h"
#include "scheduler/firing.h"
#include "scheduler/from_proto.h"

namespace midwatch {
namespace {

constexpr size_t kScheduleNameMax = 100;
constexpr int kScheduleLinesMax = 10'000;
constexpr size_t kScheduleBytesMax = 16 << 20;
// Of one step, so that a firing takes none of the store's time for long.
constexpr int kStepLinesMax = 500;
constexpr size_t kStepBytesMax = 1 << 20;
constexpr int64_t kJitterSecondsMax = 3600;
constexpr int kNextShown = 5;

v1::Timing ToTiming(const v1::Timing& given, absl::Time now,
                    FieldViolations& wrong) {
  v1::Timing timing = given;
  if (timing.time_zone().empty()) timing.set_time_zone("UTC");
  if (timing.missed() == v1::MISSED_POLICY_UNSPECIFIED) {
    timing.set_missed(v1::MISSED_POLICY_ONCE);
  }
  if (timing.overlap() == v1::OVERLAP_POLICY_UNSPECIFIED) {
    timing.set_overlap(v1::OVERLAP_POLICY_SKIP);
  }
  if (!v1::MissedPolicy_IsValid(timing.missed())) {
    wrong.Add("missed", "expected SKIP, ONCE or ALL");
  }
  if (!v1::OverlapPolicy_IsValid(timing.overlap())) {
    wrong.Add("overlap", "expected SKIP, QUEUE or CANCEL_OLD");
  }
  const google::protobuf::Duration& jitter = timing.jitter();
  if (jitter.seconds() < 0 || jitter.seconds() > kJitterSecondsMax ||
      jitter.nanos() < 0 || jitter.nanos() > 999'999'999 ||
      (jitter.seconds() == kJitterSecondsMax && jitter.nanos() > 0)) {
    wrong.Add("jitter", "expected 0 to 1 hour");
  }
  if (timing.cron().empty()) {
    wrong.Add("cron", "required: five fields such as 0 2 * * *");
    return timing;
  }
  absl::StatusOr<Rhythm> rhythm = ReadRhythm(timing);
  if (!rhythm.ok()) {
    wrong.Add(rhythm.status());
  } else if (rhythm->Next(now) == absl::InfiniteFuture()) {
    wrong.Add("cron", "'", timing.cron(),
              "' does not come in the next hundred years");
  }
  return timing;
}

void CheckLineNames(const v1::PutScheduleRequest& request,
                    FieldViolations& wrong) {
  std::set<std::string> names;
  for (int i = 0; i < request.lines_size(); ++i) {
    const std::string& name = request.lines(i).name();
    if (names.insert(name).second) continue;
    wrong.Add(absl::StrCat("lines[", i, "].name"), "'", name,
              "' is used twice");
  }
}

// The submission of one batch, as BatchService takes it.
std::vector<v1::SubmitBatchRequest> ToSteps(
    const v1::OpenBatch& open,
    const google::protobuf::RepeatedPtrField<v1::TaskLine>& lines) {
  std::vector<v1::SubmitBatchRequest> steps(1);
  *steps[0].mutable_open() = open;
  size_t bytes = kStepBytesMax;
  int needs = 0;
  for (int i = 0; i < lines.size(); ++i) {
    const v1::TaskLine& line = lines.Get(i);
    bytes += line.ByteSizeLong();
    needs += line.needs_size();
    const v1::TaskChunk& last = steps.back().chunk();
    if (bytes > kStepBytesMax || needs > kChunkNeedsMax ||
        last.lines_size() == kStepLinesMax) {
      steps.emplace_back().mutable_chunk()->set_first_line(i);
      bytes = line.ByteSizeLong();
      needs = line.needs_size();
    }
    *steps.back().mutable_chunk()->add_lines() = lines.Get(i);
  }
  steps.emplace_back().mutable_seal()->set_lines(lines.size());
  return steps;
}

}  // namespace

absl::StatusOr<PutSchedule> FromProto(const v1::PutScheduleRequest& request,
                                      absl::Time now) {
  FieldViolations wrong, in_timing, in_batch;
  wrong.Add(CheckName("name", request.name(), kScheduleNameMax));
  PutSchedule write;
  write.name = request.name();
  write.timing = ToTiming(request.timing(), now, in_timing);
  wrong.AddAll("timing.", in_timing);
  v1::OpenBatch open = request.batch();
  open.set_name("a firing's");
  OpenBatch checked = ToOpenBatch(open, in_batch);
  wrong.AddAll("batch.", in_batch);
  if (request.lines().empty() || request.lines_size() > kScheduleLinesMax) {
    wrong.Add("lines", request.lines_size(), "; expected 1 to ",
              kScheduleLinesMax);
  } else if (request.ByteSizeLong() > kScheduleBytesMax) {
    wrong.Add("lines", request.ByteSizeLong(),
              " bytes with the batch; at most ", kScheduleBytesMax,
              " (16 MiB); put what is large into input files");
  } else if (in_batch.empty()) {
    ToNewTasks(checked.spec, request.lines(), "lines", wrong);
    CheckLineNames(request, wrong);
  }
  RETURN_IF_ERROR(wrong.ToStatus());
  open.clear_name();
  open.set_tenant(checked.tenant);
  open.set_queue(checked.queue);
  open.set_account(checked.account);
  write.steps = ToSteps(open, request.lines());
  write.lines = request.lines_size();
  write.replace = request.replace();
  return write;
}

v1::Firing ToProto(const FiringRecord& firing, const Ids& ids) {
  v1::Firing out;
  *out.mutable_due_at() = ToTimestamp(firing.due);
  out.set_state(firing.state);
  *out.mutable_at() = ToTimestamp(firing.at);
  out.set_by_hand(firing.by_hand);
  if (firing.batch.has_value()) out.set_batch_id(ids.Format(*firing.batch));
  out.set_batch_name(firing.batch_name);
  out.set_reason(firing.why);
  return out;
}

v1::Schedule ToProto(const ScheduleRecord& schedule, const Ids& ids,
                     absl::Time now) {
  v1::Schedule out;
  out.set_schedule_id(ids.Format(schedule.key));
  out.set_name(schedule.name);
  *out.mutable_timing() = schedule.timing;
  out.set_tenant(schedule.tenant);
  out.set_queue(schedule.queue);
  out.set_account(schedule.account);
  out.set_lines(schedule.lines);
  out.set_content_sha256(schedule.content_sha256);
  out.set_paused(schedule.paused);
  out.set_pause_reason(schedule.pause_reason);
  const bool goes_on = schedule.pause_until < absl::InfiniteFuture();
  if (goes_on) *out.mutable_pause_until() = ToTimestamp(schedule.pause_until);
  *out.mutable_created_at() = ToTimestamp(schedule.at);
  *out.mutable_changed_at() = ToTimestamp(schedule.changed_at);
  for (const FiringRecord& firing : schedule.firings) {
    *out.add_firings() = ToProto(firing, ids);
  }
  absl::StatusOr<Rhythm> rhythm = ReadRhythm(schedule.timing);
  if ((schedule.paused && !goes_on) || !rhythm.ok()) return out;
  // One whose jitter is not over yet may be due before now; at the end of a
  // pause one may be due at that very time.
  absl::Time due = goes_on ? schedule.pause_until - absl::Microseconds(1)
                           : std::max(schedule.since, now - absl::Hours(1));
  while (out.next_due_at_size() < kNextShown) {
    due = rhythm->Next(due);
    if (due == absl::InfiniteFuture()) break;
    if (FireTime(schedule.name, schedule.timing, *rhythm, due) <= now) continue;
    *out.add_next_due_at() = ToTimestamp(due);
  }
  return out;
}

}  // namespace midwatch
