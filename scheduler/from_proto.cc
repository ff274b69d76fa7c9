#include "scheduler/from_proto.h"

#include <optional>
#include <set>

#include "absl/algorithm/container.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "base/utf8.h"
#include "net/hook_url.h"
#include "scheduler/field_checks.h"
#include "scheduler/need_check.h"
#include "scheduler/parameters.h"
#include "scheduler/rate_book.h"
#include "scheduler/rich_error.h"
#include "scheduler/rule_proto.h"
#include "scheduler/spec_check.h"
#include "store/proto_time.h"

namespace midwatch {
namespace {

constexpr int kDefaultPriority = 5;
constexpr int64_t kBudgetMin = 10'000;
constexpr int64_t kBudgetMax = 1'000'000'000'000'000;
constexpr int64_t kTaskCostMax = 1'000'000'000'000;
constexpr absl::Duration kExpiryAheadMax = absl::Hours(2 * 366 * 24);

void CheckInputs(const v1::TaskLine& line, FieldViolations& wrong) {
  if (line.inputs_size() > 500) {
    wrong.Add("inputs", line.inputs_size(), "; a session takes 500 files");
  }
  std::set<std::string> mounts;
  for (int i = 0; i < line.inputs_size(); ++i) {
    const v1::Input& input = line.inputs(i);
    std::string field = absl::StrCat("inputs[", i, "]");
    wrong.Add(CheckRelativePath(field + ".mount", input.mount()));
    if (input.from().empty()) {
      wrong.Add(CheckSha256(field + ".sha256", input.sha256()));
    }
    if (input.size_bytes() < 0) wrong.Add(field + ".size_bytes", "negative");
    if (!mounts.insert(input.mount()).second) {
      wrong.Add(field + ".mount", "'", input.mount(), "' is used twice");
    }
  }
}

// The spec of a line that has things of its own. Its priority and its max_cost
// are the task's, whatever its spec says: a spec is kept for each such line.
std::optional<v1::TaskSpec> OwnSpec(const v1::TaskSpec& spec,
                                    const v1::TaskLine& line) {
  // What a raise raises by.
  const bool has_step = line.max_cost_usd_micros() != 0 &&
                        spec.on_budget() == v1::BUDGET_POLICY_RAISE;
  if (line.prompt().empty() && !line.has_expect() && !line.has_retry() &&
      !line.has_timeouts() && !has_step) {
    return std::nullopt;
  }
  v1::TaskSpec own = spec;
  if (!line.prompt().empty()) own.set_prompt(line.prompt());
  if (line.has_expect()) *own.mutable_expect() = line.expect();
  if (line.has_retry()) *own.mutable_retry() = line.retry();
  if (line.has_timeouts()) *own.mutable_timeouts() = line.timeouts();
  if (line.has_priority()) own.set_priority(line.priority());
  if (line.max_cost_usd_micros() != 0) {
    own.set_max_cost_usd_micros(line.max_cost_usd_micros());
  }
  return own;
}

int PriorityOf(const v1::TaskSpec& spec, const v1::TaskLine& line) {
  if (line.has_priority()) return line.priority();
  return spec.has_priority() ? spec.priority() : kDefaultPriority;
}

// Messages are filled in when the task is ready: too late for these.
void CheckHoldsNoMessage(const v1::TaskSpec& spec, FieldViolations& wrong) {
  auto check = [&](const char* what, const std::string& text) {
    for (const std::string& name : ParameterNames(text)) {
      if (!absl::StartsWith(name, "tasks.")) continue;
      wrong.Add(what, "{{", name, "}} may stand in the prompt only");
    }
  };
  check("concurrency_key", spec.concurrency_key());
  check("unique.key", spec.unique().key());
  for (const std::string& file : spec.expect().files()) {
    check("expect.files", file);
  }
}

// One task of a spec: fills its parameters in to see that they are all there.
// Fields are the line's.
NewTask ToNewTask(const v1::TaskSpec& shared, const v1::TaskLine& line,
                  LineOf of, FieldViolations& wrong) {
  NewTask task;
  wrong.Add(CheckName("name", line.name()));
  CheckInputs(line, wrong);
  CheckNeeds(line, of, wrong);
  CheckOwnSpec(shared, line, wrong);
  for (const auto& [name, value] : line.parameters()) {
    if (!absl::StartsWith(name, "tasks.")) continue;
    wrong.Add("parameters", name, ": names of this kind are for messages");
  }
  task.own_spec = OwnSpec(shared, line);
  const v1::TaskSpec& spec = task.own_spec ? *task.own_spec : shared;
  Parameters values = line.parameters();
  task.needs = ReadNeeds(spec, line, values, wrong);
  absl::StatusOr<v1::TaskSpec> filled = FillIn(spec, values);
  if (filled.ok()) {
    CheckFilledIn(spec, *filled, wrong);
    CheckHoldsNoMessage(spec, wrong);
    task.concurrency_key = filled->concurrency_key();
    task.unique = UniqueRuleOf(spec, filled->unique().key());
  } else {
    wrong.Add("parameters", filled.status().message());
  }
  CheckLabels("labels", line.labels(), wrong);
  task.labels = {line.labels().begin(), line.labels().end()};
  task.labels.insert(spec.labels().begin(), spec.labels().end());
  if (task.labels.size() > kLabelsMax) {
    wrong.Add("labels", task.labels.size(), " with the spec's; at most ",
              kLabelsMax);
  }
  task.line = line;
  task.priority = PriorityOf(spec, line);
  task.max_cost = line.max_cost_usd_micros() != 0 ? line.max_cost_usd_micros()
                                                  : spec.max_cost_usd_micros();
  task.start = StartRulesOf(spec, line);
  return task;
}

void CheckHook(const std::string& field, const v1::Hook& hook,
               FieldViolations& wrong) {
  if (hook.url().empty()) {
    if (!hook.secret().empty()) wrong.Add(field + ".url", "required");
    return;
  }
  // Whether http is allowed everywhere, the scheduler that sends says.
  const absl::Status url = CheckHookUrl(hook.url(), /*plain_http=*/true);
  if (!url.ok()) wrong.Add(field + ".url", url.message());
  if (!hook.secret().empty()) {
    wrong.Add(CheckName(field + ".secret", hook.secret()));
  }
}

}  // namespace

absl::Status CheckRequestId(const std::string& request_id) {
  return CheckName("request_id", request_id, 128);
}

absl::Status CheckReason(const std::string& reason) {
  return reason.size() <= 1000
             ? absl::OkStatus()
             : Bad("reason: ", reason.size(), " bytes; at most 1000");
}

absl::StatusOr<int> CheckPageSize(int32_t page_size, int if_unset) {
  if (page_size == 0) return if_unset;
  if (page_size < 0 || page_size > 1000) {
    return Bad("page_size: ", page_size, "; expected 1 to 1000");
  }
  return static_cast<int>(page_size);
}

absl::StatusOr<int64_t> ParsePageToken(const std::string& token,
                                       int64_t if_unset) {
  if (token.empty()) return if_unset;
  int64_t row = 0;
  if (!absl::SimpleAtoi(token, &row) || row < 0) {
    return Bad("page_token: not one that a list gave out");
  }
  return row;
}

absl::StatusOr<SubmitTask> FromProto(const v1::SubmitTaskRequest& request) {
  FieldViolations wrong, in_line;
  SubmitTask submit;
  wrong.Add(CheckRequestId(request.request_id()));
  submit.request_id = request.request_id();
  submit.tenant = OrDefault(request.tenant());
  submit.queue = OrDefault(request.queue());
  submit.account = OrDefault(request.account());
  wrong.Add(CheckName("tenant", submit.tenant));
  wrong.Add(CheckName("queue", submit.queue));
  wrong.Add(CheckName("account", submit.account));
  submit.spec = request.spec();
  CheckSpec(submit.spec, wrong);
  if (submit.spec.prompt().empty() && request.line().prompt().empty()) {
    wrong.Add("spec.prompt", "required");
  }
  submit.task =
      ToNewTask(submit.spec, request.line(), LineOf::kTaskAlone, in_line);
  wrong.AddAll("line.", in_line);
  RETURN_IF_ERROR(wrong.ToStatus());
  return submit;
}

absl::StatusOr<OpenBatch> FromProto(const std::string& request_id,
                                    const v1::OpenBatch& open) {
  FieldViolations wrong, in_open;
  wrong.Add(CheckRequestId(request_id));
  OpenBatch write = ToOpenBatch(open, in_open);
  write.request_id = request_id;
  wrong.AddAll("open.", in_open);
  RETURN_IF_ERROR(wrong.ToStatus());
  return write;
}

OpenBatch ToOpenBatch(const v1::OpenBatch& open, FieldViolations& in_open) {
  OpenBatch write;
  write.name = open.name();
  write.tenant = OrDefault(open.tenant());
  write.queue = OrDefault(open.queue());
  write.account = OrDefault(open.account());
  in_open.Add(CheckName("name", write.name));
  in_open.Add(CheckName("tenant", write.tenant));
  in_open.Add(CheckName("queue", write.queue));
  in_open.Add(CheckName("account", write.account));
  if (!open.content_sha256().empty()) {
    in_open.Add(CheckSha256("content_sha256", open.content_sha256()));
  }
  write.content_sha256 = open.content_sha256();
  if (open.max_running() < 0) {
    in_open.Add("max_running", open.max_running(),
                "; expected 0 (no cap) or more");
  }
  write.max_running = open.max_running();
  write.budget = open.budget_usd_micros();
  if (write.budget != 0 &&
      (write.budget < kBudgetMin || write.budget > kBudgetMax)) {
    in_open.Add("budget_usd_micros", write.budget, "; expected ", kBudgetMin,
                " (one cent) to ", kBudgetMax, ", or none");
  }
  ReadRules(open, write, in_open);
  CheckHook("on_finish", open.on_finish(), in_open);
  CheckHook("on_failure", open.on_failure(), in_open);
  CheckHook("on_risk", open.on_risk(), in_open);
  write.on_finish = open.on_finish();
  write.on_failure = open.on_failure();
  write.on_risk = open.on_risk();
  write.spec = open.spec();
  CheckSpec(write.spec, in_open);
  return write;
}

absl::StatusOr<AddTasks> FromProto(const std::string& request_id,
                                   const v1::TaskChunk& chunk,
                                   const v1::TaskSpec& spec) {
  FieldViolations wrong;
  wrong.Add(CheckRequestId(request_id));
  if (chunk.first_line() < 0 ||
      chunk.first_line() > INT64_MAX - kChunkLinesMax) {
    wrong.Add("chunk.first_line", chunk.first_line(),
              "; expected the number of a line, from 0");
  }
  if (chunk.lines_size() == 0 || chunk.lines_size() > kChunkLinesMax) {
    wrong.Add("chunk.lines", chunk.lines_size(), "; expected 1 to ",
              kChunkLinesMax);
  }
  int needs = 0;
  for (const v1::TaskLine& line : chunk.lines()) needs += line.needs_size();
  if (needs > kChunkNeedsMax) {
    wrong.Add("chunk.lines", needs, " needs together; at most ",
              kChunkNeedsMax);
  }
  RETURN_IF_ERROR(wrong.ToStatus());
  AddTasks write;
  write.request_id = request_id;
  write.first_line = chunk.first_line();
  write.tasks = ToNewTasks(spec, chunk.lines(), "chunk.lines", wrong);
  RETURN_IF_ERROR(wrong.ToStatus());
  return write;
}

std::vector<NewTask> ToNewTasks(
    const v1::TaskSpec& spec,
    const google::protobuf::RepeatedPtrField<v1::TaskLine>& lines,
    absl::string_view field, FieldViolations& wrong) {
  std::vector<NewTask> tasks;
  for (int i = 0; i < lines.size(); ++i) {
    FieldViolations in_line;
    tasks.push_back(ToNewTask(spec, lines.Get(i), LineOf::kBatch, in_line));
    if (spec.prompt().empty() && lines.Get(i).prompt().empty()) {
      in_line.Add("prompt", "required, as the batch's spec has none");
    }
    if (in_line.empty()) continue;
    wrong.AddAll(absl::StrCat(field, "[", i, "]."), in_line);
  }
  return tasks;
}

absl::StatusOr<TaskFilter> FromProto(const v1::ListTasksRequest& request) {
  FieldViolations wrong;
  TaskFilter filter;
  for (int i = 0; i < request.states_size(); ++i) {
    v1::TaskState state = request.states(i);
    if (!v1::TaskState_IsValid(state) || state == v1::TASK_STATE_UNSPECIFIED) {
      wrong.Add(absl::StrCat("states[", i, "]"), static_cast<int>(state),
                " is no state of a task");
    }
    filter.states.push_back(state);
  }
  CheckLabels("labels", request.labels(), wrong);
  filter.labels = {request.labels().begin(), request.labels().end()};
  filter.queue = request.queue();
  wrong.Add(CheckPageSize(request.page_size(), 1).status());
  RETURN_IF_ERROR(wrong.ToStatus());
  return filter;
}

absl::StatusOr<AnswerTask> FromProto(const v1::AnswerTaskRequest& request) {
  constexpr size_t kDenyBytesMax = 10'000;
  constexpr size_t kResultBytesMax = 1 << 20;
  FieldViolations wrong;
  if (!request.question_id().empty()) {
    wrong.Add(CheckName("question_id", request.question_id()));
  }
  AnswerTask write;
  write.question = request.question_id();
  switch (request.answer_case()) {
    case v1::AnswerTaskRequest::kApprove:
      write.kind = v1::SAY_KIND_ALLOW;
      if (!request.approve()) {
        wrong.Add("approve", "expected true; to refuse, set deny");
      }
      break;
    case v1::AnswerTaskRequest::kDeny:
      write.kind = v1::SAY_KIND_DENY;
      write.text = request.deny();
      if (write.text.size() > kDenyBytesMax) {
        wrong.Add("deny", write.text.size(), " bytes; at most ", kDenyBytesMax);
      }
      break;
    case v1::AnswerTaskRequest::kResult:
      write.kind = v1::SAY_KIND_RESULT;
      write.text = request.result();
      if (write.text.size() > kResultBytesMax) {
        wrong.Add("result", write.text.size(), " bytes; at most ",
                  kResultBytesMax, " (1 MiB)");
      }
      break;
    case v1::AnswerTaskRequest::kRaiseToUsdMicros:
      write.kind = v1::SAY_KIND_BUDGET;
      write.text = absl::StrCat(request.raise_to_usd_micros());
      if (request.raise_to_usd_micros() < kBudgetMin ||
          request.raise_to_usd_micros() > kBudgetMax) {
        wrong.Add("raise_to_usd_micros", request.raise_to_usd_micros(),
                  "; expected ", kBudgetMin, " (one cent) to ", kBudgetMax);
      }
      break;
    default:
      wrong.Add("answer",
                "expected one of approve, deny, result, raise_to_usd_micros");
  }
  RETURN_IF_ERROR(wrong.ToStatus());
  return write;
}

namespace {

void ReadStart(const v1::UpdateTaskRequest& request, UpdateTask& write,
               FieldViolations& wrong) {
  if (request.has_start_after()) {
    wrong.Add(CheckInstant("start_after", request.start_after()));
    write.start_after = FromTimestamp(request.start_after());
  }
  if (request.start_case() == v1::UpdateTaskRequest::kStartNow) {
    if (!request.start_now()) {
      wrong.Add("start_now", "expected true, or start_after");
    }
    write.start_after = absl::InfinitePast();
  }
}

void ReadExpiry(const v1::UpdateTaskRequest& request, absl::Time now,
                UpdateTask& write, FieldViolations& wrong) {
  if (request.has_expires_at()) {
    wrong.Add(CheckInstant("expires_at", request.expires_at()));
    write.expires_at = FromTimestamp(request.expires_at());
    if (*write.expires_at <= now || *write.expires_at - now > kExpiryAheadMax) {
      wrong.Add("expires_at",
                "expected a time to come, at most 732 days ahead");
    }
  }
  if (request.expiry_case() == v1::UpdateTaskRequest::kNeverExpires) {
    if (!request.never_expires()) {
      wrong.Add("never_expires", "expected true, or expires_at");
    }
    write.expires_at = absl::InfiniteFuture();
  }
}

void ReadLabels(const v1::UpdateTaskRequest& request, UpdateTask& write,
                FieldViolations& wrong) {
  CheckLabels("set_labels", request.set_labels(), wrong);
  write.set_labels = {request.set_labels().begin(), request.set_labels().end()};
  if (request.remove_labels_size() > static_cast<int>(kLabelsMax)) {
    wrong.Add("remove_labels", request.remove_labels_size(), "; at most ",
              kLabelsMax);
  }
  for (int i = 0; i < request.remove_labels_size(); ++i) {
    const std::string& key = request.remove_labels(i);
    const std::string field = absl::StrCat("remove_labels[", i, "]");
    if (!IsLabelKey(key)) {
      wrong.Add(field, "'", absl::CHexEscape(key), kNoLabelKey);
    } else if (write.set_labels.contains(key)) {
      wrong.Add(field, "'", key, "' is set, too; expected one of them");
    }
    write.remove_labels.push_back(key);
  }
}

}  // namespace

absl::StatusOr<UpdateTask> FromProto(const v1::UpdateTaskRequest& request,
                                     absl::Time now) {
  FieldViolations wrong;
  UpdateTask write;
  if (request.has_priority()) {
    write.priority = request.priority();
    if (request.priority() < 0 || request.priority() > 9) {
      wrong.Add("priority", request.priority(), "; expected 0 to 9");
    }
  }
  if (request.has_max_cost_usd_micros()) {
    write.max_cost = request.max_cost_usd_micros();
    if (*write.max_cost < kBudgetMin || *write.max_cost > kTaskCostMax) {
      wrong.Add("max_cost_usd_micros", *write.max_cost, "; expected ",
                kBudgetMin, " (one cent) to ", kTaskCostMax);
    }
  }
  ReadStart(request, write, wrong);
  ReadExpiry(request, now, write, wrong);
  if (request.has_deadline()) {
    wrong.Add(CheckDuration("deadline", request.deadline()));
    write.deadline = FromDuration(request.deadline());
  }
  ReadLabels(request, write, wrong);
  wrong.Add(CheckReason(request.reason()));
  write.reason = request.reason();
  if (!write.priority && !write.max_cost && !write.start_after &&
      !write.expires_at && !write.deadline && write.set_labels.empty() &&
      write.remove_labels.empty()) {
    wrong.Add("priority",
              "set it, max_cost_usd_micros, start, expiry, deadline or labels: "
              "there is nothing to change");
  }
  RETURN_IF_ERROR(wrong.ToStatus());
  return write;
}

absl::StatusOr<BatchFilter> FromProto(const v1::ListBatchesRequest& request) {
  FieldViolations wrong;
  BatchFilter filter{
      .name = request.name(), .states = {}, .queue = request.queue()};
  for (int i = 0; i < request.states_size(); ++i) {
    v1::BatchState state = request.states(i);
    if (!v1::BatchState_IsValid(state) ||
        state == v1::BATCH_STATE_UNSPECIFIED) {
      wrong.Add(absl::StrCat("states[", i, "]"), static_cast<int>(state),
                " is no state of a batch");
    }
    filter.states.push_back(state);
  }
  wrong.Add(CheckPageSize(request.page_size(), 1).status());
  RETURN_IF_ERROR(wrong.ToStatus());
  return filter;
}

absl::StatusOr<RegisterWorker> FromProto(
    const v1::RegisterWorkerRequest& request) {
  FieldViolations wrong;
  wrong.Add(CheckName("incarnation", request.incarnation(), 64));
  if (request.incarnation().size() < 16) {
    wrong.Add("incarnation", request.incarnation().size(),
              " bytes; at least 16");
  }
  if (request.accounts().empty()) wrong.Add("accounts", "at least one");
  if (request.capacity() < 1 || request.capacity() > 100'000) {
    wrong.Add("capacity", request.capacity(), "; expected 1 to 100000");
  }
  for (const v1::AccountLimits& limits : request.limits()) {
    if (!absl::c_linear_search(request.accounts(), limits.account())) {
      wrong.Add("limits.account", limits.account(), "; not among accounts");
    }
    wrong.Add(CheckLimits(limits));
  }
  RETURN_IF_ERROR(wrong.ToStatus());
  return RegisterWorker{request.incarnation(),
                        std::string(CutUtf8(request.description(), 200)),
                        {request.accounts().begin(), request.accounts().end()}};
}

}  // namespace midwatch
