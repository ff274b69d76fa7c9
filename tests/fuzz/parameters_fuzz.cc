// The command and the scheduler fill in parameters by one rule, in a time that
// grows as the text does. The first line of an input is the value of {{a}},
// the second that of {{b.c}}, the rest is the text.

#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "cli/template_text.h"
#include "scheduler/parameters.h"
#include "tests/fuzz/fuzz.h"

namespace midwatch {
namespace {

void Check(absl::string_view text, const cli::Values& values) {
  std::vector<std::string> unknown;
  const std::string filled = cli::FillIn(text, values, &unknown);
  const Parameters parameters(values.begin(), values.end());
  absl::StatusOr<std::string> by_scheduler = FillIn(text, parameters);
  Require(by_scheduler.ok() == unknown.empty(),
          "both know the same parameters");
  if (by_scheduler.ok()) {
    Require(*by_scheduler == filled, "both fill in the same text");
  } else {
    RequireInvalidArgument(by_scheduler.status(), text.size() + 100);
    Require(absl::StrContains(by_scheduler.status().message(), unknown[0]),
            "the message names the first that is missing");
  }
  for (const std::string& name : unknown) {
    Require(cli::IsParameterName(name) || (absl::StartsWith(name, "tasks.") &&
                                           absl::EndsWith(name, ".message")),
            "what is missing is a name, or a task's message");
  }
  Require(absl::StrContains(text, "{{") || filled == text,
          "a text without braces stays");
}

}  // namespace
}  // namespace midwatch

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  absl::string_view text = midwatch::AsText(bytes, size);
  midwatch::cli::Values values;
  values["a"] = std::string(midwatch::TakeLine(text));
  values["b.c"] = std::string(midwatch::TakeLine(text));
  midwatch::Check(text, values);
  return 0;
}
