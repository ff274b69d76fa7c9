#include "scheduler/control_proto.h"

#include <utility>

#include "base/status_macros.h"
#include "scheduler/field_checks.h"
#include "scheduler/rich_error.h"
#include "scheduler/to_proto.h"

namespace midwatch {
namespace {

constexpr int kWeightMax = 1000;
constexpr int kMaxRunningMax = 100'000;
constexpr size_t kPauseReasonBytesMax = 500;
constexpr int64_t kPauseSecondsMax = 253'402'300'799;  // the end of year 9999

void CheckCap(int32_t max_running, FieldViolations& wrong) {
  if (max_running >= 0 && max_running <= kMaxRunningMax) return;
  wrong.Add("max_running", max_running, "; expected 0 (no cap) to ",
            kMaxRunningMax);
}

// What queues and tenants have in common.
template <typename Request>
absl::StatusOr<SetControl> ReadControl(Controlled of, const Request& request) {
  FieldViolations wrong;
  SetControl write{.of = of, .name = request.name()};
  wrong.Add(CheckName("name", request.name()));
  if (request.has_weight()) {
    write.weight = request.weight();
    if (request.weight() < 1 || request.weight() > kWeightMax) {
      wrong.Add("weight", request.weight(), "; expected 1 to ", kWeightMax);
    }
  }
  if (request.has_max_running()) {
    write.max_running = request.max_running();
    CheckCap(request.max_running(), wrong);
  }
  if (!write.weight && !write.max_running) {
    wrong.Add("weight", "set it, or max_running: there is nothing to change");
  }
  RETURN_IF_ERROR(wrong.ToStatus());
  return write;
}

}  // namespace

v1::Pause ToProto(const PauseRecord& pause) {
  v1::Pause out;
  out.set_reason(pause.why);
  *out.mutable_since() = ToTimestamp(pause.since);
  if (pause.until < absl::InfiniteFuture()) {
    *out.mutable_until() = ToTimestamp(pause.until);
  }
  return out;
}

v1::Queue ToProto(const QueueRecord& queue) {
  v1::Queue out;
  out.set_name(queue.name);
  out.set_weight(queue.weight);
  out.set_max_running(queue.max_running);
  v1::TaskCounts& counts = *out.mutable_counts();
  counts.set_queued(queue.counts[v1::TASK_STATE_QUEUED]);
  counts.set_running(queue.counts[v1::TASK_STATE_RUNNING]);
  counts.set_waiting(queue.counts[v1::TASK_STATE_WAITING]);
  counts.set_cancelling(queue.counts[v1::TASK_STATE_CANCELLING]);
  out.set_more_queued(queue.more_queued);
  out.set_waiting_lanes(queue.waiting_lanes);
  if (queue.pause) *out.mutable_pause() = ToProto(*queue.pause);
  return out;
}

v1::Tenant ToProto(const TenantRecord& tenant) {
  v1::Tenant out;
  out.set_name(tenant.name);
  out.set_weight(tenant.weight);
  out.set_max_running(tenant.max_running);
  out.set_running(tenant.running);
  return out;
}

v1::ConcurrencyKey ToProto(const KeyRecord& key, const std::string& tenant) {
  v1::ConcurrencyKey out;
  out.set_tenant(tenant);
  out.set_key(key.key);
  out.set_max_running(key.max_running);
  out.set_running(key.running);
  return out;
}

absl::StatusOr<SetControl> FromProto(const v1::UpdateQueueRequest& request) {
  return ReadControl(Controlled::kQueue, request);
}

absl::StatusOr<SetControl> FromProto(const v1::UpdateTenantRequest& request) {
  return ReadControl(Controlled::kTenant, request);
}

absl::StatusOr<SetControl> FromProto(const v1::UpdateAccountRequest& request) {
  FieldViolations wrong;
  wrong.Add(CheckName("name", request.name()));
  if (!request.has_max_running()) {
    wrong.Add("max_running", "required: there is nothing else to change");
  }
  CheckCap(request.max_running(), wrong);
  RETURN_IF_ERROR(wrong.ToStatus());
  return SetControl{.of = Controlled::kAccount,
                    .name = request.name(),
                    .max_running = request.max_running()};
}

absl::StatusOr<SetKeyCap> FromProto(
    const v1::UpdateConcurrencyKeyRequest& request) {
  FieldViolations wrong;
  SetKeyCap write{.tenant = OrDefault(request.tenant()),
                  .key = request.key(),
                  .max_running = request.max_running()};
  wrong.Add(CheckName("tenant", write.tenant));
  wrong.Add(CheckName("key", write.key));
  if (write.max_running < 1 || write.max_running > kMaxRunningMax) {
    wrong.Add("max_running", write.max_running, "; expected 1 to ",
              kMaxRunningMax);
  }
  RETURN_IF_ERROR(wrong.ToStatus());
  return write;
}

absl::StatusOr<SetBatchCap> FromProto(const v1::UpdateBatchRequest& request) {
  FieldViolations wrong;
  if (!request.has_max_running()) {
    wrong.Add("max_running", "required: there is nothing else to change");
  }
  CheckCap(request.max_running(), wrong);
  RETURN_IF_ERROR(wrong.ToStatus());
  return SetBatchCap{.max_running = request.max_running()};
}

absl::Status CheckPauseReason(const std::string& reason) {
  if (reason.size() <= kPauseReasonBytesMax) return absl::OkStatus();
  return Bad("reason: expected at most ", kPauseReasonBytesMax, " bytes");
}

absl::StatusOr<absl::Time> PauseEnd(bool has_until,
                                    const google::protobuf::Timestamp& until,
                                    absl::Time now) {
  if (!has_until) return absl::InfiniteFuture();
  if (until.seconds() > kPauseSecondsMax || FromTimestamp(until) <= now) {
    return Bad("until: expected a time to come, up to the year 9999");
  }
  return FromTimestamp(until);
}

absl::StatusOr<PauseQueue> FromProto(const v1::PauseQueueRequest& request,
                                     absl::Time now) {
  FieldViolations wrong;
  wrong.Add(CheckName("name", request.name()));
  wrong.Add(CheckPauseReason(request.reason()));
  absl::StatusOr<absl::Time> until =
      PauseEnd(request.has_until(), request.until(), now);
  wrong.Add(until.status());
  RETURN_IF_ERROR(wrong.ToStatus());
  return PauseQueue{request.name(), request.reason(), *until};
}

absl::StatusOr<PauseBatch> FromProto(const v1::PauseBatchRequest& request,
                                     absl::Time now) {
  FieldViolations wrong;
  wrong.Add(CheckPauseReason(request.reason()));
  absl::StatusOr<absl::Time> until =
      PauseEnd(request.has_until(), request.until(), now);
  wrong.Add(until.status());
  RETURN_IF_ERROR(wrong.ToStatus());
  return PauseBatch{.reason = request.reason(), .until = *until};
}

}  // namespace midwatch
