#include "cli/dry_run.h"

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status_macros.h"
#include "cli/exit_code.h"
#include "cli/money.h"
#include "cli/rule_views.h"
#include "cli/utf8.h"

namespace midwatch::cli {
namespace {

constexpr size_t kNamesShown = 5;

std::string OrDefault(const std::string& name) {
  return name.empty() ? "default" : Printable(name);
}

}  // namespace

absl::StatusOr<DryRun> DescribeBatch(const BatchFile& file) {
  DryRun out;
  out.open = file.open;
  out.tasks = file.tasks();
  std::vector<v1::TaskLine> first;
  if (file.stream != nullptr) {
    ASSIGN_OR_RETURN(first, file.stream->Read(0, kNamesShown, SIZE_MAX));
  } else {
    const size_t shown = std::min(kNamesShown, file.lines.size());
    first.assign(file.lines.begin(),
                 file.lines.begin() + static_cast<int64_t>(shown));
  }
  for (const v1::TaskLine& line : first) out.first_names.push_back(line.name());
  out.task_least_usd_micros = file.least_usd_micros;
  out.task_usd_micros = file.most_usd_micros;
  out.batch_usd_micros = file.all_usd_micros;
  if (const int64_t budget = file.open.budget_usd_micros(); budget > 0) {
    out.by_budget = budget < out.batch_usd_micros;
    out.batch_usd_micros = std::min(out.batch_usd_micros, budget);
  }
  out.inputs = static_cast<int64_t>(file.input_paths.size());
  out.input_bytes = file.input_bytes;
  out.notes = file.notes;
  return out;
}

std::string DryRunText(const DryRun& dry_run) {
  const v1::OpenBatch& open = dry_run.open;
  std::vector<std::string> names;
  for (const std::string& name : dry_run.first_names) {
    names.push_back(Printable(name));
  }
  std::string text = absl::StrCat(
      Printable(open.name()), ": ", dry_run.tasks,
      dry_run.tasks == 1 ? " task" : " tasks", ", nothing submitted\n\n",
      "  tasks     ", absl::StrJoin(names, ", "),
      dry_run.tasks > static_cast<int64_t>(names.size()) ? ", ..." : "",
      "\n  at most   ", FormatUsd(dry_run.batch_usd_micros), " (",
      dry_run.by_budget ? "its budget; " : "",
      dry_run.task_least_usd_micros < dry_run.task_usd_micros
          ? absl::StrCat(FormatUsd(dry_run.task_least_usd_micros), " to ")
          : "",
      FormatUsd(dry_run.task_usd_micros), " a task",
      open.spec().on_budget() == v1::BUDGET_POLICY_ASK
          ? ", unless a person raises one"
          : "",
      ")\n  inputs    ", dry_run.inputs,
      dry_run.inputs == 1 ? " file, " : " files, ", dry_run.input_bytes,
      " bytes\n  goes to   queue ", OrDefault(open.queue()), ", tenant ",
      OrDefault(open.tenant()), ", account ", OrDefault(open.account()), "\n");
  if (open.has_canary()) {
    absl::StrAppend(&text, "  canary    ", RuleWords(open.canary()), "\n");
  }
  if (open.has_stop_when()) {
    absl::StrAppend(&text, "  stops     ", RuleWords(open.stop_when()), "\n");
  }
  absl::StrAppend(&text, "  content   ", open.content_sha256(), "\n");
  for (const std::string& note : dry_run.notes) {
    absl::StrAppend(&text, "\n", Printable(note), "\n");
  }
  return text;
}

Json ToJson(const DryRun& dry_run) {
  const v1::OpenBatch& open = dry_run.open;
  Json budget;
  if (open.budget_usd_micros() > 0) budget = open.budget_usd_micros();
  return {{"dry_run", true},
          {"name", open.name()},
          {"queue", OrDefault(open.queue())},
          {"tenant", OrDefault(open.tenant())},
          {"account", OrDefault(open.account())},
          {"tasks", dry_run.tasks},
          {"first_names", dry_run.first_names},
          {"task_max_usd_micros", dry_run.task_usd_micros},
          {"batch_max_usd_micros", dry_run.batch_usd_micros},
          {"budget_usd_micros", budget},
          {"canary", open.has_canary() ? ToJson(open.canary()) : Json(nullptr)},
          {"stop_when",
           open.has_stop_when() ? ToJson(open.stop_when()) : Json(nullptr)},
          {"inputs", dry_run.inputs},
          {"input_bytes", dry_run.input_bytes},
          {"content_sha256", open.content_sha256()},
          {"notes", dry_run.notes}};
}

int PrintDryRun(const GlobalOptions& global, const BatchFile& file) {
  absl::StatusOr<DryRun> dry_run = DescribeBatch(file);
  if (!dry_run.ok()) return Report(dry_run.status());
  std::fputs(global.json ? (ToLine(ToJson(*dry_run)) + "\n").c_str()
                         : DryRunText(*dry_run).c_str(),
             stdout);
  return kExitSucceeded;
}

}  // namespace midwatch::cli
