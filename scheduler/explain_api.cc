// What clients ask about the time to come: why a task waits, and how tasks of
// some specs will go.
#include <string>
#include <utility>
#include <vector>

#include "base/status_macros.h"
#include "scheduler/field_checks.h"
#include "scheduler/rich_error.h"
#include "scheduler/scheduler.h"
#include "scheduler/why.h"
#include "store/prediction.h"

namespace midwatch {
namespace {

// As far as any zone is from UTC.
constexpr int kOffsetMax = 14 * 3600;
constexpr int kSpecsMax = 100;

absl::Status CheckForecastRequest(const v1::ForecastTasksRequest& request) {
  FieldViolations wrong;
  if (request.specs_size() < 1 || request.specs_size() > kSpecsMax) {
    wrong.Add("specs", request.specs_size(), " of them; expected 1 to ",
              kSpecsMax);
  }
  if (!request.account().empty()) {
    wrong.Add(CheckName("account", request.account()));
  }
  return wrong.ToStatus();
}

v1::KindForecast ToProto(const KindRecord& kind) {
  v1::KindForecast out;
  if (kind.forecast.samples > 0) {
    *out.mutable_forecast() = midwatch::ToProto(kind.forecast);
  }
  for (const Sample& sample : kind.samples) {
    v1::ForecastSample& each = *out.add_samples();
    each.set_cost_usd_micros(sample.cost);
    *each.mutable_time() = ToDuration(absl::Microseconds(sample.time_micros));
  }
  out.set_dearest_request_usd_micros(kind.dearest);
  return out;
}

}  // namespace

void Scheduler::ExplainTask(const v1::ExplainTaskRequest& request,
                            Reply<v1::ExplainTaskResponse> reply) {
  const int offset = request.utc_offset_seconds();
  if (offset < -kOffsetMax || offset > kOffsetMax) {
    return reply(Bad("utc_offset_seconds: ", offset, "; expected ", -kOffsetMax,
                     " to ", kOffsetMax));
  }
  absl::StatusOr<RowKey> key = ids_.Parse("task_id", request.task_id());
  if (!key.ok()) {
    return reply(
        WithResource(key.status(), "midwatch.v1.Task", request.task_id()));
  }
  const absl::TimeZone zone = request.has_utc_offset_seconds()
                                  ? absl::FixedTimeZone(offset)
                                  : absl::UTCTimeZone();
  store_.Read<TaskStanding>(
      [key = *key, now = clock_.Now()](StoreReader& reader) {
        return reader.ReadTaskStanding(key, now);
      },
      [this, id = request.task_id(), zone, reply = std::move(reply)](
          absl::StatusOr<TaskStanding> standing) mutable {
        if (!standing.ok()) {
          return reply(WithResource(standing.status(), "midwatch.v1.Task", id));
        }
        ServingFacts serving = leases_.ServingOf(standing->account);
        rates_.DescribeStarts(standing->account, serving);
        const Why why = Explain(*standing, serving, clock_.Now(), zone);
        v1::ExplainTaskResponse response;
        response.set_task_id(id);
        response.set_state(standing->task.state);
        response.set_reason(why.reason);
        response.set_sentence(why.sentence);
        if (why.until) *response.mutable_until() = ToTimestamp(*why.until);
        if (why.start) {
          *response.mutable_predicted_start() = ToTimestamp(*why.start);
        }
        response.set_prediction(why.prediction);
        response.set_tasks_before(standing->before);
        response.set_more_before(standing->more_before);
        reply(std::move(response));
      });
}

void Scheduler::ForecastTasks(const v1::ForecastTasksRequest& request,
                              Reply<v1::ForecastTasksResponse> reply) {
  absl::Status status = CheckForecastRequest(request);
  if (!status.ok()) return reply(status);
  const std::string account =
      request.account().empty() ? "default" : request.account();
  std::vector<std::string> kinds;
  for (const v1::TaskSpec& spec : request.specs()) {
    kinds.push_back(KindOf(spec));
  }
  using Kinds = std::vector<KindRecord>;
  store_.Read<Kinds>(
      [kinds = std::move(kinds)](StoreReader& reader) -> absl::StatusOr<Kinds> {
        Kinds found;
        for (const std::string& kind : kinds) {
          ASSIGN_OR_RETURN(KindRecord record, reader.ReadKind(kind));
          found.push_back(std::move(record));
        }
        return found;
      },
      [this, account,
       reply = std::move(reply)](absl::StatusOr<Kinds> found) mutable {
        if (!found.ok()) return reply(found.status());
        v1::ForecastTasksResponse response;
        for (const KindRecord& kind : *found) {
          *response.add_kinds() = ToProto(kind);
        }
        const ServingFacts serving = leases_.ServingOf(account);
        response.set_workers(serving.workers);
        response.set_capacity(serving.capacity);
        rates_.DescribeLimits(account, *response.mutable_limits());
        if (response.limits().account().empty()) response.clear_limits();
        reply(std::move(response));
      });
}

}  // namespace midwatch
