// What an attempt left, against what its spec says of it, before its settle.
#include <fstream>
#include <iterator>
#include <string>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/json_schema.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "worker/attempt.h"
#include "worker/output_path.h"

namespace midwatch {
namespace {

// Why the document does not fit: "" where it does. Without a path it is `text`.
std::string WhyNot(const std::string& schema, const std::string& path,
                   std::string text) {
  if (!path.empty()) {
    std::ifstream file(path, std::ios::binary);
    text.assign(std::istreambuf_iterator<char>(file),
                std::istreambuf_iterator<char>());
    if (file.bad()) return "it cannot be read";
  }
  absl::StatusOr<JsonSchema> parsed = JsonSchema::Parse(schema);
  // It was checked when the task was submitted.
  if (!parsed.ok()) return std::string(parsed.status().message());
  return parsed->WhyNot(text);
}

// Models like to put JSON into a code fence: ```json ... ```.
absl::string_view WithoutFence(absl::string_view text) {
  text = absl::StripAsciiWhitespace(text);
  absl::string_view inner = text;
  if (!absl::ConsumePrefix(&inner, "```") ||
      !absl::ConsumeSuffix(&inner, "```")) {
    return text;
  }
  const size_t end_of_line = inner.find('\n');
  return end_of_line == inner.npos ? text : inner.substr(end_of_line + 1);
}

}  // namespace

Async<absl::Status> Attempt::CheckOutputs(v1::Ending& ending) {
  for (const v1::JsonCheck& check : lease_.spec().expect().json()) {
    std::string path, text, why;
    if (check.path().empty()) {
      text = std::string(WithoutFence(transcript_.state().last_message));
    } else {
      const std::optional<std::string> wanted = OutputPath(check.path());
      for (const v1::Output& output : ending.outputs()) {
        if (output.path() != wanted) continue;
        if (output.size_bytes() >
            static_cast<int64_t>(JsonSchema::kDocumentBytesMax)) {
          why = absl::StrCat("it has ", output.size_bytes(), " bytes, of ",
                             JsonSchema::kDocumentBytesMax, " at most");
          break;
        }
        CO_ASSIGN_OR_RETURN(
            path, co_await parts_.artifacts.LocalPath(output.sha256()));
      }
    }
    if (why.empty()) {
      absl::AnyInvocable<std::string()> work =
          [schema = check.schema(), path = std::move(path),
           text = std::move(text)]() mutable {
            return WhyNot(schema, path, std::move(text));
          };
      if (parts_.pool == nullptr) {
        why = work();
      } else {
        why = co_await RunBlocking<std::string>(*parts_.pool, parts_.executor,
                                                std::move(work));
      }
    }
    if (why.empty()) continue;
    ending.set_kind(v1::Ending::KIND_CHECK_FAILED);
    ending.set_failed_check(
        absl::StrCat(check.path().empty() ? "the final message" : check.path(),
                     " does not fit its JSON Schema: ", why));
    LogInfo("output check failed", {{"task", token().task_id()},
                                    {"attempt", token().attempt()},
                                    {"why", ending.failed_check()}});
    co_return absl::OkStatus();
  }
  co_return absl::OkStatus();
}

}  // namespace midwatch
