#include <nlohmann/json.hpp>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/command.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "base/utf8.h"
#include "worker/check_folder.h"
#include "worker/output_check.h"

namespace midwatch {
namespace {

// Of what it prints last, of which a line is kept.
constexpr size_t kCheckOutputBytesMax = 64 << 10;

std::string WhyFailed(const CommandEnd& end) {
  const std::string said = LastLine(end.output);
  return said.empty() ? absl::StrCat("it ", end.how, " and said nothing")
                      : said;
}

absl::StatusOr<CheckFolder> Unpack(const CheckCall& call) {
  ASSIGN_OR_RETURN(CheckFolder folder, CheckFolder::Make());
  for (const auto& [name, from] : call.files) {
    RETURN_IF_ERROR(folder.Add(name, from));
  }
  return folder;
}

// On a thread that may block.
CheckOutcome RunCheck(const Clock& clock, const std::vector<std::string>& argv,
                      absl::Duration timeout, CheckCall call) {
  using End = CheckOutcome::End;
  absl::StatusOr<CheckFolder> folder = Unpack(call);
  if (!folder.ok()) return {End::kAgain, folder.status().ToString()};
  Command command;
  command.name = "it";
  command.argv = argv;
  command.environment =
      PlainEnvironment({absl::StrCat("MIDWATCH_CHECK=", call.check),
                        absl::StrCat("MIDWATCH_TASK_ID=", call.task_id),
                        absl::StrCat("MIDWATCH_ATTEMPT=", call.attempt)});
  command.directory = folder->path();
  command.input = std::move(call.message);
  command.timeout = timeout;
  command.output_bytes_max = kCheckOutputBytesMax;
  command.only_end = true;
  const absl::StatusOr<CommandEnd> end = RunCommand(clock, command, *call.stop);
  if (end.ok()) {
    if (end->exit_code == 0) return {End::kPassed, ""};
    return {End::kFailed, WhyFailed(*end)};
  }
  const std::string why = LastLine(std::string(end.status().message()));
  if (absl::IsDeadlineExceeded(end.status())) return {End::kFailed, why};
  if (absl::IsCancelled(end.status())) return {End::kAgain, why};
  return {End::kNotRun, why};
}

class CommandCheck final : public OutputCheck {
 public:
  CommandCheck(BlockingPool& pool, Executor& executor, const Clock& clock,
               std::vector<std::string> argv, absl::Duration timeout)
      : pool_(pool),
        executor_(executor),
        clock_(clock),
        argv_(std::move(argv)),
        timeout_(timeout) {}
  // Nobody waits for what still runs.
  ~CommandCheck() override {
    for (const std::weak_ptr<std::atomic<bool>>& run : running_) {
      if (auto stop = run.lock()) *stop = true;
    }
  }

  Async<CheckOutcome> Run(CheckCall call) override {
    std::erase_if(running_, [](const auto& run) { return run.expired(); });
    running_.push_back(call.stop);
    absl::AnyInvocable<CheckOutcome()> work =
        [&clock = clock_, argv = argv_, timeout = timeout_,
         call = std::move(call)]() mutable {
          return RunCheck(clock, argv, timeout, std::move(call));
        };
    co_return co_await RunBlocking<CheckOutcome>(pool_, executor_,
                                                 std::move(work));
  }

 private:
  BlockingPool& pool_;
  Executor& executor_;
  const Clock& clock_;
  const std::vector<std::string> argv_;
  const absl::Duration timeout_;
  std::vector<std::weak_ptr<std::atomic<bool>>> running_;
};

}  // namespace

std::string LastLine(const std::string& output) {
  // Before the cut, which is to find whole characters.
  const nlohmann::json text = output;
  std::string valid =
      nlohmann::json::parse(
          text.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace))
          .get<std::string>();
  for (char& c : valid) {
    if (c != '\n' && absl::ascii_iscntrl(static_cast<unsigned char>(c))) {
      c = ' ';
    }
  }
  std::string last;
  for (absl::string_view line : absl::StrSplit(valid, '\n')) {
    line = absl::StripAsciiWhitespace(line);
    if (!line.empty()) last = std::string(CutUtf8(line, kCheckWhyBytesMax));
  }
  return last;
}

std::unique_ptr<OutputCheck> MakeCommandCheck(BlockingPool& pool,
                                              Executor& executor,
                                              const Clock& clock,
                                              std::vector<std::string> argv,
                                              absl::Duration timeout) {
  return std::make_unique<CommandCheck>(pool, executor, clock, std::move(argv),
                                        timeout);
}

}  // namespace midwatch
