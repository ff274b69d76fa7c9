// What clients ask about schedules.
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "scheduler/control_proto.h"
#include "scheduler/field_checks.h"
#include "scheduler/firing.h"
#include "scheduler/from_proto.h"
#include "scheduler/rich_error.h"
#include "scheduler/schedule_proto.h"
#include "scheduler/scheduler.h"

namespace midwatch {
namespace {

constexpr char kScheduleType[] = "midwatch.v1.Schedule";
constexpr int kFiringsShown = 20;
// So that the request_id of its batch stays within what a batch's may be.
constexpr size_t kRunIdMax = 64;

}  // namespace

template <typename Response>
void Scheduler::ReplyWithSchedule(const std::string& name,
                                  absl::StatusOr<ScheduleSet> set,
                                  Reply<Response> reply) {
  if (!set.ok()) return reply(WithResource(set.status(), kScheduleType, name));
  schedules_.Wake(set->schedule.row);
  store_.Read<ScheduleRecord>(
      [name](StoreReader& reader) {
        return reader.FindSchedule(name, kFiringsShown);
      },
      [this, name,
       reply = std::move(reply)](absl::StatusOr<ScheduleRecord> found) mutable {
        if (!found.ok()) {
          return reply(WithResource(found.status(), kScheduleType, name));
        }
        Response response;
        *response.mutable_schedule() = ToProto(*found, ids_, clock_.Now());
        reply(std::move(response));
      });
}

void Scheduler::PutSchedule(const v1::PutScheduleRequest& request,
                            Reply<v1::PutScheduleResponse> reply) {
  // On a reader's thread: up to 10,000 lines have their parameters filled in.
  store_.Read<midwatch::PutSchedule>(
      [request, now = clock_.Now()](StoreReader&) {
        return FromProto(request, now);
      },
      [this, reply = std::move(reply)](
          absl::StatusOr<midwatch::PutSchedule> write) mutable {
        if (!write.ok()) return reply(write.status());
        std::string name = write->name;
        store_.Apply(
            *std::move(write), [this, name, reply = std::move(reply)](
                                   absl::StatusOr<ScheduleSet> set) mutable {
              ReplyWithSchedule(name, std::move(set), std::move(reply));
            });
      });
}

void Scheduler::GetSchedule(const v1::GetScheduleRequest& request,
                            Reply<v1::GetScheduleResponse> reply) {
  store_.Read<ScheduleRecord>(
      [name = request.name()](StoreReader& reader) {
        return reader.FindSchedule(name, kFiringsShown);
      },
      [this, name = request.name(),
       reply = std::move(reply)](absl::StatusOr<ScheduleRecord> found) mutable {
        if (!found.ok()) {
          return reply(WithResource(found.status(), kScheduleType, name));
        }
        v1::GetScheduleResponse response;
        *response.mutable_schedule() = ToProto(*found, ids_, clock_.Now());
        reply(std::move(response));
      });
}

void Scheduler::ListSchedules(const v1::ListSchedulesRequest& request,
                              Reply<v1::ListSchedulesResponse> reply) {
  absl::StatusOr<int> size = CheckPageSize(request.page_size(), 100);
  if (!size.ok()) return reply(size.status());
  absl::StatusOr<int64_t> after = ParsePageToken(request.page_token(), 0);
  if (!after.ok()) return reply(after.status());
  store_.Read<RowPage<ScheduleRecord>>(
      [after = *after, size = *size](StoreReader& reader) {
        return reader.ListSchedules(after, size);
      },
      [this, reply = std::move(reply)](
          absl::StatusOr<RowPage<ScheduleRecord>> found) mutable {
        if (!found.ok()) return reply(found.status());
        v1::ListSchedulesResponse response;
        for (const ScheduleRecord& schedule : found->rows) {
          *response.add_schedules() = ToProto(schedule, ids_, clock_.Now());
        }
        if (found->next.has_value()) {
          response.set_next_page_token(absl::StrCat(*found->next));
        }
        reply(std::move(response));
      });
}

void Scheduler::DeleteSchedule(const v1::DeleteScheduleRequest& request,
                               Reply<v1::DeleteScheduleResponse> reply) {
  store_.Apply(
      midwatch::DeleteSchedule{request.name()},
      [this, name = request.name(),
       reply = std::move(reply)](absl::StatusOr<ScheduleSet> set) mutable {
        if (!set.ok()) {
          return reply(WithResource(set.status(), kScheduleType, name));
        }
        // It finds that there is no such schedule any more.
        schedules_.Wake(set->schedule.row);
        reply(v1::DeleteScheduleResponse());
      });
}

void Scheduler::PauseSchedule(const v1::PauseScheduleRequest& request,
                              Reply<v1::PauseScheduleResponse> reply) {
  if (absl::Status status = CheckReason(request.reason()); !status.ok()) {
    return reply(status);
  }
  absl::StatusOr<absl::Time> until =
      PauseEnd(request.has_until(), request.until(), clock_.Now());
  if (!until.ok()) return reply(until.status());
  store_.Apply(midwatch::PauseSchedule{request.name(), /*paused=*/true,
                                       request.reason(), *until},
               [this, name = request.name(), reply = std::move(reply)](
                   absl::StatusOr<ScheduleSet> set) mutable {
                 ReplyWithSchedule(name, std::move(set), std::move(reply));
               });
}

void Scheduler::ResumeSchedule(const v1::ResumeScheduleRequest& request,
                               Reply<v1::ResumeScheduleResponse> reply) {
  store_.Apply(midwatch::PauseSchedule{request.name(), /*paused=*/false, ""},
               [this, name = request.name(), reply = std::move(reply)](
                   absl::StatusOr<ScheduleSet> set) mutable {
                 ReplyWithSchedule(name, std::move(set), std::move(reply));
               });
}

void Scheduler::RunSchedule(const v1::RunScheduleRequest& request,
                            Reply<v1::RunScheduleResponse> reply) {
  if (absl::Status status =
          CheckName("request_id", request.request_id(), kRunIdMax);
      !status.ok()) {
    return reply(status);
  }
  auto answer = [this](const FiringRecord& firing,
                       Reply<v1::RunScheduleResponse>& to) {
    if (firing.state == v1::FIRING_STATE_FAILED) {
      return to(absl::FailedPreconditionError(absl::StrCat(
          "its batch ", firing.batch_name, " was refused: ", firing.why)));
    }
    v1::RunScheduleResponse response;
    *response.mutable_firing() = ToProto(firing, ids_);
    to(std::move(response));
  };
  store_.Apply(
      BeginRun{request.name(), request.request_id(), RunName},
      [this, name = request.name(), answer,
       reply = std::move(reply)](absl::StatusOr<RunBegun> run) mutable {
        if (!run.ok()) {
          return reply(WithResource(run.status(), kScheduleType, name));
        }
        if (run->firing.state != v1::FIRING_STATE_OPENING) {
          return answer(run->firing, reply);
        }
        schedules_.AwaitFiring(
            run->schedule, run->firing.id,
            [answer, reply = std::move(reply)](
                absl::StatusOr<FiringRecord> firing) mutable {
              if (!firing.ok()) return reply(firing.status());
              answer(*firing, reply);
            });
      });
}

}  // namespace midwatch
