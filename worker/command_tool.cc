#include <atomic>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/command.h"
#include "worker/tool_handler.h"

namespace midwatch {
namespace {

// On a thread that may block.
ToolOutcome RunTool(const Clock& clock, const std::vector<std::string>& argv,
                    ToolLimits limits, ToolCall call,
                    const std::atomic<bool>& stop) {
  Command command;
  command.name = "the tool's command";
  command.argv = argv;
  command.environment =
      PlainEnvironment({absl::StrCat("MIDWATCH_TOOL=", call.tool),
                        absl::StrCat("MIDWATCH_CALL_ID=", call.call_id),
                        absl::StrCat("MIDWATCH_TASK_ID=", call.task_id)});
  command.input = std::move(call.input_json);
  command.timeout = limits.timeout;
  command.output_bytes_max = limits.answer_bytes_max;
  absl::StatusOr<CommandEnd> end = RunCommand(clock, command, stop);
  if (!end.ok()) return {std::string(end.status().message()), true};
  if (end->exit_code == 0) return {std::move(end->output), false};
  return {
      absl::StrCat(command.name, " ", end->how, "\n", end->errors, end->output),
      true};
}

class CommandToolHandler final : public ToolHandler {
 public:
  CommandToolHandler(BlockingPool& pool, Executor& executor, const Clock& clock,
                     std::vector<std::string> argv, ToolLimits limits)
      : pool_(pool),
        executor_(executor),
        clock_(clock),
        argv_(std::move(argv)),
        limits_(limits) {}
  // Nobody waits for what still runs.
  ~CommandToolHandler() override { *stop_ = true; }

  Async<ToolOutcome> Call(ToolCall call) override {
    absl::AnyInvocable<ToolOutcome()> work =
        [&clock = clock_, argv = argv_, limits = limits_, stop = stop_,
         call = std::move(call)]() mutable {
          return RunTool(clock, argv, limits, std::move(call), *stop);
        };
    co_return co_await RunBlocking<ToolOutcome>(pool_, executor_,
                                                std::move(work));
  }

 private:
  BlockingPool& pool_;
  Executor& executor_;
  const Clock& clock_;
  const std::vector<std::string> argv_;
  const ToolLimits limits_;
  const std::shared_ptr<std::atomic<bool>> stop_ =
      std::make_shared<std::atomic<bool>>(false);
};

}  // namespace

std::unique_ptr<ToolHandler> MakeCommandToolHandler(
    BlockingPool& pool, Executor& executor, const Clock& clock,
    std::vector<std::string> argv, ToolLimits limits) {
  return std::make_unique<CommandToolHandler>(pool, executor, clock,
                                              std::move(argv), limits);
}

}  // namespace midwatch
