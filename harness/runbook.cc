#include "harness/runbook.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "harness/tools.h"

namespace midwatch::harness {
namespace {

constexpr size_t kHeadlineBytesMax = 200;
constexpr size_t kReportOutputBytesMax = 2000;
constexpr int64_t kCentsMax = 10'000;

using Kind = ConversationItem::Kind;

struct Fence {
  char mark = 0;  // 0: the line is no fence
  size_t length = 0;
  size_t indent = 0;
  absl::string_view info;
};

Fence ParseFence(absl::string_view line) {
  Fence fence;
  fence.indent = std::min(line.find_first_not_of(' '), line.size());
  absl::string_view rest = line.substr(fence.indent);
  if (fence.indent > 3 || rest.empty() || (rest[0] != '`' && rest[0] != '~')) {
    return Fence();
  }
  fence.length = std::min(rest.find_first_not_of(rest[0]), rest.size());
  fence.info = absl::StripAsciiWhitespace(rest.substr(fence.length));
  bool inline_code = rest[0] == '`' && absl::StrContains(fence.info, '`');
  if (fence.length < 3 || inline_code) return Fence();
  fence.mark = rest[0];
  return fence;
}

bool Closes(const Fence& fence, const Fence& open) {
  return fence.mark == open.mark && fence.length >= open.length &&
         fence.info.empty();
}

bool IsShell(absl::string_view info) {
  std::string language = absl::AsciiStrToLower(
      info.substr(0, std::min(info.find_first_of(" \t{"), info.size())));
  return language == "bash" || language == "sh" || language == "shell";
}

// The custom tool that a block calls; "" for none.
std::string ToolNamed(absl::string_view info) {
  if (!absl::ConsumePrefix(&info, "tool ")) return "";
  info = absl::StripAsciiWhitespace(info);
  return std::string(info.substr(0, info.find_first_of(" \t")));
}

// What has happened since the last user message.
struct Progress {
  std::string message;
  size_t calls = 0;
  std::vector<ConversationItem> results;
};

Progress ProgressOf(const ModelRequest& request) {
  Progress progress;
  for (const ConversationItem& item : request.conversation) {
    if (item.kind == Kind::kUserMessage) {
      progress = Progress();
      progress.message = item.text;
    } else if (item.kind == Kind::kToolUse) {
      ++progress.calls;
    } else if (item.kind == Kind::kToolResult) {
      progress.results.push_back(item);
    }
  }
  return progress;
}

// The last `bytes_max` bytes, from the beginning of a character on.
std::string Tail(const std::string& text, size_t bytes_max) {
  if (text.size() <= bytes_max) return text;
  size_t begin = text.size() - bytes_max;
  while (begin < text.size() && (text[begin] & 0xC0) == 0x80) ++begin;
  return text.substr(begin);
}

// The result in one line, for lists: what a good run printed last, or which
// block failed.
std::string Headline(const Progress& progress) {
  const ConversationItem& last = progress.results.back();
  if (last.is_error) {
    return absl::StrCat("Block ", progress.results.size(),
                        " failed: ", ExitStatusOf(last));
  }
  absl::string_view text = absl::StripAsciiWhitespace(last.text);
  absl::string_view line = text.substr(text.rfind('\n') + 1);
  if (line.empty()) return "Done, without output.";
  return Tail(std::string(line), kHeadlineBytesMax);
}

std::string Report(const Runbook& runbook, const Progress& progress) {
  std::string report =
      absl::StrCat(Headline(progress), "\n\nRan ", progress.results.size(),
                   " of ", runbook.blocks.size(), " blocks.\n");
  for (size_t i = 0; i < progress.results.size(); ++i) {
    absl::StrAppend(&report, "\n", i + 1, ". ",
                    ExitStatusOf(progress.results[i]));
  }
  if (progress.results.size() < runbook.blocks.size()) {
    absl::StrAppend(&report, "\n\nStopped at the first failure.");
  }
  absl::StrAppend(&report, "\n\nOutput of the last block:\n",
                  Tail(progress.results.back().text, kReportOutputBytesMax));
  return report;
}

// What is wrong with the line; "" where nothing is, or it is none of ours.
std::string ReadDirective(absl::string_view line, Runbook& runbook) {
  if (!absl::ConsumePrefix(&line, "runbook: ")) return "";
  if (line == "continue-on-error") {
    runbook.continue_on_error = true;
    return "";
  }
  if (!absl::ConsumePrefix(&line, "cents-per-request ")) {
    return absl::StrCat("\"runbook: ", line,
                        "\" is neither continue-on-error nor "
                        "cents-per-request N");
  }
  int64_t cents = 0;
  if (!absl::SimpleAtoi(line, &cents) || cents < 0 || cents > kCentsMax) {
    return absl::StrCat("cents-per-request takes a whole number from 0 to ",
                        kCentsMax, ", not \"", line, "\"");
  }
  runbook.cents_per_request = cents;
  return "";
}

// A tool's input; discarded where `block` holds no JSON object.
Json ToolInput(const std::string& block) {
  if (absl::StripAsciiWhitespace(block).empty()) return Json::object();
  if (NestsDeeper(block, kBodyLevelsMax)) return Json(Json::value_t::discarded);
  Json input = ParseJson(block);
  return input.is_object() ? input : Json(Json::value_t::discarded);
}

// Four bytes to a token is what tokenizers average on English text.
int64_t TokensOf(size_t bytes) { return static_cast<int64_t>(bytes / 4 + 1); }

}  // namespace

Runbook ParseRunbook(absl::string_view message) {
  Runbook runbook;
  Fence open;
  std::string block;
  int line_number = 0;
  int opened_at = 0;
  auto note = [&](int line, const std::string& error) {
    if (error.empty() || !runbook.error.empty()) return;
    runbook.error = absl::StrCat("line ", line, ": ", error);
  };
  auto take = [&] {
    std::string tool = ToolNamed(open.info);
    if (tool.empty() && !IsShell(open.info)) return;
    if (!tool.empty() && ToolInput(block).is_discarded()) {
      note(opened_at, absl::StrCat("the block for the tool ", tool,
                                   " holds no JSON object"));
    }
    runbook.blocks.push_back(block);
    runbook.tools.push_back(std::move(tool));
  };
  for (absl::string_view line : absl::StrSplit(message, '\n')) {
    ++line_number;
    line = absl::StripSuffix(line, "\r");
    Fence fence = ParseFence(line);
    if (open.mark == 0) {
      if (fence.mark != 0) {
        open = fence;
        opened_at = line_number;
        block.clear();
      } else {
        note(line_number,
             ReadDirective(absl::StripAsciiWhitespace(line), runbook));
      }
      continue;
    }
    if (Closes(fence, open)) {
      take();
      open = Fence();
      continue;
    }
    size_t indent = std::min(line.find_first_not_of(' '), line.size());
    absl::StrAppend(&block, line.substr(std::min(indent, open.indent)), "\n");
  }
  if (open.mark != 0) take();
  return runbook;
}

ModelStep NextRunbookStep(const ModelRequest& request) {
  ModelStep step;
  Progress progress = ProgressOf(request);
  Runbook runbook = ParseRunbook(progress.message);
  bool failed = !progress.results.empty() && progress.results.back().is_error;
  bool stopped = failed && !runbook.continue_on_error;
  if (!runbook.error.empty()) {
    step.failure = ModelFailure{
        "unknown_error",
        absl::StrCat("the model \"runbook\" cannot read the message: ",
                     runbook.error),
        false, std::nullopt};
  } else if (runbook.blocks.empty()) {
    step.message =
        "There is no shell block in the message, so nothing was run. The model "
        "\"runbook\" runs fenced blocks marked bash, sh or shell; it is no "
        "language model.";
  } else if (progress.calls < runbook.blocks.size() && !stopped &&
             !runbook.tools[progress.calls].empty()) {
    step.tools.push_back({runbook.tools[progress.calls],
                          ToolInput(runbook.blocks[progress.calls])});
  } else if (request.tools.count("bash") == 0 && progress.results.empty()) {
    step.message =
        "Nothing was run: this agent has no bash tool. Add the toolset "
        "agent_toolset_20260401 to its tools.";
  } else if (progress.calls < runbook.blocks.size() && !stopped) {
    Json input = {{"command", runbook.blocks[progress.calls]}};
    step.tools.push_back({"bash", std::move(input)});
  } else {
    step.message = Report(runbook, progress);
  }
  return step;
}

TokenUsage RunbookUsage(const ModelRequest& request, const ModelStep& step) {
  size_t input_bytes = request.system.size();
  for (const ConversationItem& item : request.conversation) {
    input_bytes += item.text.size() + Dump(item.tool_input).size();
  }
  size_t output_bytes = step.message.size();
  for (const ToolCall& call : step.tools) {
    output_bytes += Dump(call.input).size();
  }
  TokenUsage usage;
  usage.input = TokensOf(input_bytes);
  usage.output = TokensOf(output_bytes);
  return usage;
}

Async<ModelStep> RunbookModel::Next(ModelRequest request, ModelCall& call) {
  ModelStep step = NextRunbookStep(request);
  if (step.failure) co_return step;  // for nothing
  call.usage = RunbookUsage(request, step);
  const Runbook runbook = ParseRunbook(ProgressOf(request).message);
  call.price_usd_micros = runbook.cents_per_request.has_value()
                              ? *runbook.cents_per_request * 10'000
                              : price_usd_micros_;
  co_return step;
}

}  // namespace midwatch::harness
