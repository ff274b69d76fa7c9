#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>
#include <vector>

#include "base/fault_points.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "worker/attempt.h"

namespace midwatch {
namespace {

// Between looks at whether the handlers are done, and cancel was asked for.
constexpr absl::Duration kLookEvery = absl::Milliseconds(100);

// Shared with the coroutines that run handlers, which an attempt does not wait
// for where it must stop.
struct ToolRun {
  ToolCall call;
  std::optional<ToolOutcome> outcome;
};

// Bytes that are not UTF-8 replaced: a proto could not be read with them.
std::string ValidUtf8(const std::string& text) {
  const nlohmann::json value = text;
  return nlohmann::json::parse(
             value.dump(-1, ' ', false,
                        nlohmann::json::error_handler_t::replace))
      .get<std::string>();
}

Async<void> RunOne(ToolHandler& handler, std::shared_ptr<ToolRun> run) {
  ToolCall call = run->call;
  run->outcome = co_await handler.Call(std::move(call));
}

}  // namespace

Async<absl::StatusOr<bool>> Attempt::RunTools() {
  const TranscriptState& state = transcript_.state();
  if (!state.idle || state.idle->stop_reason != "requires_action") {
    co_return false;
  }
  std::vector<std::shared_ptr<ToolRun>> runs;
  bool others = false;
  for (const std::string& id : state.idle->blocking) {
    const bool known =
        std::any_of(outbox_.begin(), outbox_.end(), [&](const auto& entry) {
          return entry.second.key() == id && !entry.second.said();
        });
    if (known) continue;
    auto question = state.questions.find(id);
    auto handler = question == state.questions.end() || !question->second.custom
                       ? parts_.tools.end()
                       : parts_.tools.find(question->second.tool);
    if (handler == parts_.tools.end()) {
      others = true;
      continue;
    }
    auto run = std::make_shared<ToolRun>();
    run->call = {question->second.tool, id, token().task_id(),
                 question->second.input_json};
    runs.push_back(run);
    Spawn(parts_.executor, RunOne(*handler->second, std::move(run)));
  }
  auto done = [&] {
    return std::all_of(runs.begin(), runs.end(), [](const auto& run) {
      return run->outcome.has_value();
    });
  };
  while (!done() && !cancelling_) {
    CO_RETURN_IF_ERROR(co_await TakeIn(kLookEvery));
  }
  if (cancelling_) co_return false;
  if (!runs.empty()) FaultPoint("worker.tool.after");
  for (const std::shared_ptr<ToolRun>& run : runs) {
    LogInfo("tool handled", {{"task", token().task_id()},
                             {"attempt", token().attempt()},
                             {"tool", run->call.tool},
                             {"error", run->outcome->is_error ? 1 : 0}});
    v1::AddAnswerRequest request;
    *request.mutable_token() = token();
    request.set_tool_use_id(run->call.call_id);
    request.set_text(ValidUtf8(run->outcome->text));
    request.set_is_error(run->outcome->is_error);
    // Durable before it is sent: whoever holds the attempt says the same.
    absl::StatusOr<v1::AddAnswerResponse> added =
        co_await Ask(&SchedulerClient::AddAnswer, std::move(request));
    if (!added.ok()) co_return added.status();
    outbox_.try_emplace(added->say().number(), added->say());
  }
  co_return !others;
}

}  // namespace midwatch
