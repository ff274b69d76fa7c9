#include "scheduler/to_proto.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/external_id.h"
#include "base/status_macros.h"
#include "scheduler/control_proto.h"
#include "scheduler/hook_message.h"
#include "scheduler/parameters.h"
#include "scheduler/rule_proto.h"

namespace midwatch {

std::string Ids::Format(RowKey key) const {
  return FormatExternalId({key.unix_millis, cluster_, key.row});
}

absl::StatusOr<RowKey> Ids::Parse(const std::string& what,
                                  const std::string& text) const {
  absl::StatusOr<ExternalId> id = ParseExternalId(text);
  if (!id.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat(what, ": ", id.status().message()));
  }
  if (id->cluster != cluster_) {
    return absl::NotFoundError(
        absl::StrCat(what, ": ", text, " belongs to another database"));
  }
  return RowKey{id->row, id->unix_millis};
}

v1::Account ToProto(const AccountRecord& account) {
  const AccountStanding& standing = account.standing;
  v1::Account out;
  out.set_name(account.name);
  out.set_state(standing.state);
  out.set_reason(standing.why);
  if (standing.since > absl::InfinitePast()) {
    *out.mutable_since() = ToTimestamp(standing.since);
  }
  if (standing.until < absl::InfiniteFuture()) {
    *out.mutable_until() = ToTimestamp(standing.until);
  }
  if (standing.next_probe < absl::InfiniteFuture()) {
    *out.mutable_next_probe() = ToTimestamp(standing.next_probe);
  }
  out.set_max_running(account.max_running);
  out.set_running(account.running);
  return out;
}

v1::Forecast ToProto(const Forecast& forecast) {
  v1::Forecast out;
  out.set_samples(forecast.samples);
  out.set_cost_p50_usd_micros(forecast.cost_p50);
  out.set_cost_p90_usd_micros(forecast.cost_p90);
  *out.mutable_time_p50() = ToDuration(forecast.time_p50);
  *out.mutable_time_p90() = ToDuration(forecast.time_p90);
  return out;
}

v1::HookDelivery ToProto(const HookRecord& hook, const std::string& batch_id) {
  v1::HookDelivery out;
  out.set_event(hook.event);
  out.set_url(hook.url);
  out.set_state(hook.state);
  out.set_message_id(HookMessageId(batch_id, hook.event));
  out.set_tries(hook.tries);
  const auto set = [](absl::Time at, auto mutable_time) {
    if (at != absl::InfiniteFuture()) *mutable_time() = ToTimestamp(at);
  };
  set(hook.at, [&] { return out.mutable_fired_at(); });
  set(hook.due, [&] { return out.mutable_next_try_at(); });
  set(hook.ended_at, [&] { return out.mutable_ended_at(); });
  out.set_trouble(hook.why);
  return out;
}

v1::Batch ToProto(const BatchRecord& batch, const Ids& ids) {
  v1::Batch out;
  out.set_batch_id(ids.Format(batch.key));
  out.set_name(batch.name);
  out.set_tenant(batch.tenant);
  out.set_queue(batch.queue);
  out.set_account(batch.account);
  out.set_state(batch.state);
  *out.mutable_submitted_at() = ToTimestamp(batch.at);
  if (batch.ended_at != absl::InfiniteFuture()) {
    *out.mutable_ended_at() = ToTimestamp(batch.ended_at);
  }
  if (batch.deadline != absl::InfiniteFuture()) {
    *out.mutable_deadline() = ToTimestamp(batch.deadline);
  }
  v1::TaskCounts& counts = *out.mutable_counts();
  counts.set_blocked(batch.counts[v1::TASK_STATE_BLOCKED]);
  counts.set_queued(batch.counts[v1::TASK_STATE_QUEUED]);
  counts.set_running(batch.counts[v1::TASK_STATE_RUNNING]);
  counts.set_waiting(batch.counts[v1::TASK_STATE_WAITING]);
  counts.set_cancelling(batch.counts[v1::TASK_STATE_CANCELLING]);
  counts.set_succeeded(batch.counts[v1::TASK_STATE_SUCCEEDED]);
  counts.set_failed(batch.counts[v1::TASK_STATE_FAILED]);
  counts.set_cancelled(batch.counts[v1::TASK_STATE_CANCELLED]);
  counts.set_skipped(batch.counts[v1::TASK_STATE_SKIPPED]);
  out.set_charged_usd_micros(batch.charged);
  out.set_reserved_usd_micros(batch.reserved);
  out.set_overshoot_usd_micros(batch.over);
  if (batch.budget.has_value()) out.set_budget_usd_micros(*batch.budget);
  out.set_waits_for_budget(batch.waits_for_budget);
  if (batch.account_standing.state != v1::ACCOUNT_STATE_OPEN) {
    *out.mutable_account_trouble() =
        ToProto(AccountRecord{batch.account, batch.account_standing});
  }
  if (batch.forecast.samples > 0) {
    *out.mutable_forecast() = ToProto(batch.forecast);
  }
  if (const Calibration& held = batch.calibration; held.foretold > 0) {
    v1::Calibration& calibration = *out.mutable_calibration();
    calibration.set_foretold(held.foretold);
    calibration.set_cost_within_p50(held.cost_in_p50);
    calibration.set_cost_within_p90(held.cost_in_p90);
    calibration.set_time_within_p50(held.time_in_p50);
    calibration.set_time_within_p90(held.time_in_p90);
  }
  out.set_max_running(batch.max_running);
  if (batch.pause) *out.mutable_pause() = ToProto(*batch.pause);
  if (batch.queue_pause) {
    *out.mutable_queue_pause() = ToProto(*batch.queue_pause);
  }
  out.set_full_cap(batch.full_cap);
  if (batch.canary) *out.mutable_canary() = ToProto(*batch.canary);
  if (batch.stop) *out.mutable_stop() = ToProto(*batch.stop);
  if (batch.risk) *out.mutable_risk() = *batch.risk;
  for (const HookRecord& hook : batch.hooks) {
    *out.add_hooks() = ToProto(hook, out.batch_id());
  }
  out.set_content_sha256(batch.content_sha256);
  out.set_request_id(batch.request_id);
  return out;
}

v1::Task ToProto(const TaskRecord& task, const Ids& ids, absl::Time now) {
  v1::Task out;
  out.set_task_id(ids.Format(task.key));
  if (task.batch.has_value()) out.set_batch_id(ids.Format(*task.batch));
  out.set_name(task.name);
  out.set_state(task.state);
  *out.mutable_submitted_at() = ToTimestamp(task.at);
  if (task.ended_at != absl::InfiniteFuture()) {
    *out.mutable_ended_at() = ToTimestamp(task.ended_at);
  }
  if (task.not_before != absl::InfinitePast()) {
    *out.mutable_not_before() = ToTimestamp(task.not_before);
  }
  if (task.expires_at != absl::InfiniteFuture()) {
    *out.mutable_expires_at() = ToTimestamp(task.expires_at);
  }
  if (task.deadline != absl::InfiniteFuture()) {
    *out.mutable_deadline() = ToTimestamp(task.deadline);
  }
  out.set_priority(task.priority);
  out.set_unique_key(task.unique_key);
  out.set_attempts(task.attempts);
  out.set_failures(task.failures);
  out.set_charged_usd_micros(task.charged);
  out.set_reserved_usd_micros(task.reserved);
  out.set_max_cost_usd_micros(task.max_cost);
  out.set_session_id(task.session_id);
  out.set_failure_class(task.failure_class);
  out.set_reason(task.reason);
  out.set_final_message(task.ending.final_message());
  out.set_final_message_sha256(task.ending.final_message_sha256());
  *out.mutable_outputs() = task.ending.outputs();
  if (task.first_granted_at != absl::InfiniteFuture()) {
    *out.mutable_run_time() =
        ToDuration(std::min(task.ended_at, now) - task.first_granted_at);
  }
  if (task.retry_of.has_value()) {
    out.set_retry_of(ids.Format(*task.retry_of));
  }
  if (task.forecast.samples > 0) {
    *out.mutable_forecast() = ToProto(task.forecast);
  }
  out.set_queue(task.queue);
  out.mutable_labels()->insert(task.labels.begin(), task.labels.end());
  for (const v1::Question& question : task.questions) {
    *out.add_questions() = question;
  }
  if (task.answer_by != absl::InfiniteFuture()) {
    *out.mutable_answer_by() = ToTimestamp(task.answer_by);
  }
  for (const std::string& name : task.waits_for) out.add_waits_for(name);
  out.set_waits_for_others(task.waits_for_others);
  out.set_finished_anyway(task.state == v1::TASK_STATE_CANCELLED &&
                          task.ending.finished_before_interrupt());
  for (const AttemptRecord& attempt : task.attempt_list) {
    v1::Attempt& each = *out.add_attempt_list();
    each.set_number(attempt.number);
    each.set_session_id(attempt.session_id);
    *each.mutable_granted_at() = ToTimestamp(attempt.granted_at);
    if (attempt.ended_at != absl::InfiniteFuture()) {
      *each.mutable_ended_at() = ToTimestamp(attempt.ended_at);
    }
    each.set_reserved_usd_micros(attempt.reserved);
    each.set_charged_usd_micros(attempt.charged);
    each.set_failure_class(attempt.failure_class);
    each.set_ending(attempt.ending);
    each.set_cost_unknown(attempt.cost_unknown);
  }
  return out;
}

v1::TaskChange ToProto(const JournalRecord& entry, const Ids& ids) {
  v1::TaskChange out;
  if (entry.task.has_value()) out.set_task_id(ids.Format(*entry.task));
  out.set_name(entry.task_name);
  out.set_state(entry.state);
  *out.mutable_at() = ToTimestamp(entry.at);
  out.set_attempt(entry.attempt);
  out.set_charged_usd_micros(entry.charge_delta);
  out.set_failure_class(entry.failure_class);
  out.set_reason(entry.why);
  return out;
}

v1::LeaseToken ToProto(const LeaseKey& lease, RowKey task, const Ids& ids) {
  v1::LeaseToken token;
  token.set_worker_id(lease.worker);
  token.set_task_id(ids.Format(task));
  token.set_attempt(lease.attempt);
  token.set_epoch(lease.epoch);
  return token;
}

namespace {

void SetIfZero(google::protobuf::Duration& duration, absl::Duration value) {
  if (duration.seconds() == 0 && duration.nanos() == 0) {
    duration = ToDuration(value);
  }
}

}  // namespace

absl::StatusOr<v1::Lease> ToProto(const GrantRecord& grant,
                                  int64_t stored_events, const Ids& ids) {
  v1::Lease lease;
  *lease.mutable_token() = ToProto(grant.lease, grant.task, ids);
  lease.set_session_id(grant.session_id);
  lease.set_phase(grant.phase);
  lease.set_account(grant.account);
  lease.set_task_name(grant.name);
  ASSIGN_OR_RETURN(*lease.mutable_spec(),
                   FillIn(grant.spec, grant.line.parameters()));
  v1::Timeouts& timeouts = *lease.mutable_spec()->mutable_timeouts();
  SetIfZero(*timeouts.mutable_start(), absl::Minutes(10));
  SetIfZero(*timeouts.mutable_idle(), absl::Minutes(15));
  SetIfZero(*timeouts.mutable_total(), absl::Hours(4));
  *lease.mutable_inputs() = grant.line.inputs();
  lease.set_budget_usd_micros(grant.budget);
  *lease.mutable_granted_at() = ToTimestamp(grant.granted_at);
  lease.set_stored_events(stored_events);
  for (const v1::Say& say : grant.outbox) *lease.add_outbox() = say;
  lease.set_cancelling(grant.cancelling);
  lease.set_create_tries(grant.create_tries);
  *lease.mutable_parked() = ToDuration(grant.parked);
  lease.set_unanswered(grant.unanswered);
  if (grant.batch != 0) {
    lease.set_pin_scope(absl::StrCat("batch:", grant.batch));
  }
  return lease;
}

}  // namespace midwatch
