#include "cli/state_names.h"

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"

namespace midwatch::cli {
namespace {

// TASK_STATE_SUCCEEDED -> "succeeded".
std::string EnumName(absl::string_view name, absl::string_view prefix) {
  absl::ConsumePrefix(&name, prefix);
  return absl::StrReplaceAll(absl::AsciiStrToLower(name), {{"_", " "}});
}

}  // namespace

std::string NameOf(v1::TaskState state) {
  return EnumName(v1::TaskState_Name(state), "TASK_STATE_");
}

std::string NameOf(v1::BatchState state) {
  return EnumName(v1::BatchState_Name(state), "BATCH_STATE_");
}

std::string NameOf(v1::RequestClass request_class) {
  switch (request_class) {
    case v1::REQUEST_CLASS_CREATE:
      return "create";
    case v1::REQUEST_CLASS_WRITE:
      return "write";
    case v1::REQUEST_CLASS_READ:
      return "read";
    case v1::REQUEST_CLASS_FILES:
      return "files";
    default:
      return "unknown";
  }
}

std::string NameOf(v1::AccountState state) {
  switch (state) {
    case v1::ACCOUNT_STATE_OPEN:
      return "open";
    case v1::ACCOUNT_STATE_PAUSED:
      return "paused";
    case v1::ACCOUNT_STATE_REFUSED:
      return "refused";
    case v1::ACCOUNT_STATE_SPEND_CAP:
      return "at its spend cap";
    default:
      return "unknown";
  }
}

std::string NameOf(v1::FailureClass failure_class) {
  return EnumName(v1::FailureClass_Name(failure_class), "FAILURE_CLASS_");
}

std::string NameOf(v1::WaitReason reason) {
  return EnumName(v1::WaitReason_Name(reason), "WAIT_REASON_");
}

v1::TaskState TaskStateNamed(const std::string& name) {
  v1::TaskState state = v1::TASK_STATE_UNSPECIFIED;
  v1::TaskState_Parse(absl::StrCat("TASK_STATE_", absl::AsciiStrToUpper(name)),
                      &state);
  return state;
}

v1::BatchState BatchStateNamed(const std::string& name) {
  v1::BatchState state = v1::BATCH_STATE_UNSPECIFIED;
  v1::BatchState_Parse(
      absl::StrCat("BATCH_STATE_", absl::AsciiStrToUpper(name)), &state);
  return state;
}

bool IsFinal(v1::TaskState state) {
  return state == v1::TASK_STATE_SUCCEEDED || state == v1::TASK_STATE_FAILED ||
         state == v1::TASK_STATE_CANCELLED || state == v1::TASK_STATE_SKIPPED;
}

}  // namespace midwatch::cli
