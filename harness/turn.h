// The agent loop: a coroutine per session that has something to do.
#ifndef MIDWATCH_HARNESS_TURN_H_
#define MIDWATCH_HARNESS_TURN_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/coro.h"
#include "harness/core.h"
#include "harness/json.h"
#include "harness/shell.h"
#include "harness/shell_slots.h"
#include "harness/tools.h"
#include "harness/turn_state.h"

namespace midwatch::harness {

// Brings a session forward until its log says that it stands still, waiting for
// its client.
class Turn {
 public:
  // To be called after events of a client's were committed to the session's log
  // (none: it may have something to do, for another reason): a turn under way
  // takes them, otherwise one begins.
  static void Wake(const std::shared_ptr<Core>& core,
                   const std::string& session_id,
                   const std::vector<Json>& events);

  // Stops all turns where they stand; the log is closed by then.
  static void StopAll(Core& core);

  ~Turn();
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;

 private:
  Turn(std::shared_ptr<Core> core, std::string session_id);
  static Async<void> Live(std::shared_ptr<Core> core, std::string session_id);

  // Ends the tool call that runs, or that waits for its shell.
  void Kick();

  Async<void> Run();
  Async<absl::Status> Take(NextStep step, Session session);
  absl::Status Load();
  absl::Status Commit(
      LogWrite write,
      absl::FunctionRef<absl::Status()> also = [] { return absl::OkStatus(); });
  Async<absl::Status> RequestModel(Session session);
  Async<absl::Status> RunTool(Session session);
  Async<ToolOutcome> CallTool(Session session, TurnState::ToolUse use);
  Async<absl::Status> StartShell(Session session);
  // `before`: events between what the turn left open and the idle ones.
  Async<absl::Status> End(std::string stop_reason, std::vector<Json> before);

  std::shared_ptr<Core> core_;
  const std::string session_id_;
  TurnState state_;
  ShellSlots::Slot slot_;
  std::unique_ptr<Shell> shell_;
};

}  // namespace midwatch::harness

#endif  // MIDWATCH_HARNESS_TURN_H_
