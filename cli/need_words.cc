#include "cli/need_words.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace midwatch::cli {

std::string NeedLabel(const v1::Need& need) {
  if (need.all_earlier()) return kAllTasks;
  return need.task_id().empty() ? need.name() : need.task_id();
}

bool IsNeeded(const v1::TaskLine& task, absl::string_view label) {
  return std::any_of(
      task.needs().begin(), task.needs().end(),
      [&](const v1::Need& need) { return NeedLabel(need) == label; });
}

bool IsMessageOfNeed(const v1::TaskLine& task, absl::string_view name) {
  return std::any_of(
      task.needs().begin(), task.needs().end(), [&](const v1::Need& need) {
        return name ==
               absl::StrCat(kOfTasks, NeedLabel(need),
                            need.all_earlier() ? ".messages" : ".message");
      });
}

std::optional<v1::NeedPolicy> ReadNeedPolicy(absl::string_view word) {
  if (word == "skip") return v1::NEED_POLICY_SKIP;
  if (word == "run_anyway") return v1::NEED_POLICY_RUN_ANYWAY;
  if (word == "fail_batch") return v1::NEED_POLICY_FAIL_BATCH;
  return std::nullopt;
}

}  // namespace midwatch::cli
