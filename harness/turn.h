// The agent loop: a coroutine per session that has something to do.
#ifndef MIDWATCH_HARNESS_TURN_H_
#define MIDWATCH_HARNESS_TURN_H_

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/coro.h"
#include "harness/core.h"
#include "harness/json.h"
#include "harness/model.h"
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

  // A model request that is under way. Its coroutine shares it, and may come
  // to its end after the turn has lost interest.
  struct Request {
    explicit Request(Executor& executor) : answer(executor) {}
    ModelCall call;
    Mailbox<std::optional<ModelStep>> answer;  // nothing: cancelled
  };

  // Ends what the turn waits for: a tool call or its shell, a model request, or
  // the time until the next one.
  void Kick();

  Async<void> Run();
  Async<absl::Status> Take(NextStep step, Session session);
  absl::Status Load();
  absl::Status Commit(
      LogWrite write,
      absl::FunctionRef<absl::Status()> also = [] { return absl::OkStatus(); });
  Async<absl::Status> RequestModel(Session session);
  // Nothing where the turn was kicked meanwhile.
  Async<std::optional<ModelStep>> AwaitAnswer(ModelRequest question,
                                              std::shared_ptr<Request> request);
  // What a rehearsal wants a turn's last request to cost: see faults.h.
  void OvershootByIntent(const Session& session, Request& request);
  // `core` owns the model.
  static Async<void> Ask(std::shared_ptr<Core> core, Model& model,
                         ModelRequest question,
                         std::shared_ptr<Request> request);
  Async<absl::Status> TakeFailure(Session session, ModelFailure failure,
                                  LogWrite write);
  Async<absl::Status> RunTool(Session session);
  Async<ToolOutcome> CallTool(Session session, TurnState::ToolUse use);
  Async<absl::Status> StartShell(Session session);
  // `write` holds what comes before the idle events.
  Async<absl::Status> End(std::string stop_reason, LogWrite write,
                          Json stop_details = nullptr);

  std::shared_ptr<Core> core_;
  const std::string session_id_;
  TurnState state_;
  ShellSlots::Slot slot_;
  std::unique_ptr<Shell> shell_;
  std::shared_ptr<Request> request_;      // null where none is under way
  std::unique_ptr<Mailbox<bool>> pause_;  // before a request is made again
};

}  // namespace midwatch::harness

#endif  // MIDWATCH_HARNESS_TURN_H_
