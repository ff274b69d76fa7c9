// One attempt at this worker, from its grant to its settle.
//
//   start    ensure what the session needs, create it idle (with start:
//            one_call running), record it
//   say      open the stream, then send the first message
//   adopt    go on with a session that an earlier holder recorded
//   fence    end a session whose first message may still be under way
//   drive    take in events, say what the outbox holds, until Judge has a
//            verdict
//   end      collect outputs, settle
//
// No attempt is ever paid for twice: only the recorded session is sent to, its
// first message is sent once, and whoever cannot know whether it was sent
// fences instead of sending.
//
// Steps return kAborted where the lease is lost (everything is dropped: the
// attempt is another's) and kCancelled where the worker drains (it is handed
// back). Any other failure of a step is this worker's own trouble: it is handed
// back too.
#ifndef MIDWATCH_WORKER_ATTEMPT_H_
#define MIDWATCH_WORKER_ATTEMPT_H_

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "agents/agents_client.h"
#include "artifacts/artifact_store.h"
#include "base/clock.h"
#include "base/coro.h"
#include "base/executor.h"
#include "base/prices.h"
#include "base/random.h"
#include "worker/archiver.h"
#include "worker/attach_line.h"
#include "worker/backoff.h"
#include "worker/event_pump.h"
#include "worker/event_sender.h"
#include "worker/judge.h"
#include "worker/output_check.h"
#include "worker/remote_ids.h"
#include "worker/scheduler_client.h"
#include "worker/term.h"
#include "worker/tool_handler.h"
#include "worker/transcript.h"

namespace midwatch {

// For how long an event of ours is looked for in the session where the service
// may have taken it.
inline constexpr absl::Duration kEchoLimit = absl::Seconds(10);

// All outlive the attempt.
struct AttemptParts {
  Executor& executor;
  const Clock& clock;
  Random& random;
  SchedulerClient& scheduler;
  EventSender& event_sender;
  ArtifactStore& artifacts;
  AgentsClient& agents;  // of the lease's account
  RemoteIds& remote_ids;
  Archiver& archiver;
  AttachLine& attach_line;  // of the lease's account
  const WorkerTerm& term;
  const PriceTable& prices;
  const ToolHandlers& tools;
  const OutputChecks& checks;
  std::string cluster;
  BlockingPool* pool = nullptr;  // see WorkerParts
};

class Attempt {
 public:
  Attempt(AttemptParts parts, v1::Lease lease);
  ~Attempt();

  // Runs the attempt to its end. Call once.
  Async<void> Run();

  // ---- Notices; on the executor's thread ----
  // The lease is lost. Ends Run soon, with no further word to the scheduler.
  void Revoke();
  // Ends Run soon, with the lease handed back.
  void Drain();
  void Notice(const v1::SayNotice& notice);

  const v1::LeaseToken& token() const { return lease_.token(); }
  // Whether the worker still holds the lease, as far as the attempt knows.
  bool held() const { return !lost_ && !released_; }

 private:
  struct Wakeup {};
  struct Fed {
    absl::StatusOr<Event> event;
    uint64_t pump;
  };
  using Item = std::variant<Wakeup, Fed>;
  // Nothing: the step is done, go on. A verdict: the attempt ends so.
  using Step = absl::StatusOr<std::optional<Verdict>>;

  // ---- run_attempt.cc ----
  Async<absl::StatusOr<Verdict>> BringToVerdict();
  Async<absl::StatusOr<Verdict>> Drive();
  // The idle session's verdict is not the last word where the scheduler says
  // so: false once it is.
  Async<absl::StatusOr<bool>> GoesOn(const Verdict& verdict);
  // Gets the answers that the session waits for: true, or false where there
  // are to be none. Or parks the attempt: kCancelled, the lease released.
  Async<absl::StatusOr<bool>> PutQuestions();
  // Runs the handlers of the custom tools that the session waits for, and puts
  // what they say into the outbox. True where that is all that it waits for.
  Async<absl::StatusOr<bool>> RunTools();
  Async<Step> MendFeed();
  Async<Step> CheckTimeouts();
  // Interrupts the session and waits for its rest.
  Async<absl::StatusOr<Verdict>> Stop(v1::Ending::Kind kind,
                                      v1::Failure failure);
  absl::Duration NextDeadline() const;
  // Of the attempt as a whole, on the steady clock.
  absl::Duration TotalDeadline() const;
  Async<void> HandBack();

  // ---- intake.cc: waiting, and what comes meanwhile ----
  // Why the attempt must stop here; OK: it need not.
  absl::Status Stopped() const;
  // Waits for one item and deals with it, for at most `timeout`; stores events
  // that are due.
  Async<absl::Status> TakeIn(absl::Duration timeout);
  // Takes in for `delay`, or until cancel was asked for.
  Async<absl::Status> Wait(absl::Duration delay);
  // Until the first `count` messages are seen in the session; false when
  // `limit` has passed.
  Async<absl::StatusOr<bool>> WatchForMessages(int count, absl::Duration limit);
  // Until all that is known of the session is folded.
  Async<absl::Status> TakeBacklog();
  void Handle(Fed fed);
  // Stores a batch, or with `all` everything that waits. Nothing is stored
  // before it is known that the first message is in the session.
  Async<absl::Status> Store(bool all);
  v1::AttemptEvents NextEvents() const;
  bool FirstMessageKnown() const {
    return message_proved_ || transcript_.state().messages_seen() > 0;
  }
  // Waits until a POST may be started.
  Async<absl::Status> AwaitPost();
  // Puts a new feed of the session, not open yet, in place of the one before.
  void NewFeed();
  // Waits in the line of those that want to read their session again: until
  // its turn comes, or until there is something to be said to the session.
  Async<absl::StatusOr<AttachBy>> AwaitTurn();
  // An interrupt or an answer must not wait behind other sessions' streams.
  bool HasToSpeak() const;
  void StopFeed();
  bool CaughtUp() const;

  // Between two tries of a call that the scheduler did not answer.
  Backoff CallBackoff() {
    return {parts_.random, absl::Milliseconds(200), absl::Seconds(5)};
  }
  // Calls the scheduler until it answers, for as long as the term lives.
  template <typename Request, typename Response>
  Async<absl::StatusOr<Response>> Ask(
      Async<absl::StatusOr<Response>> (SchedulerClient::*method)(Request),
      Request request);
  // Reports a failure and does as the scheduler advises about waiting; the
  // caller looks at the action.
  Async<absl::StatusOr<v1::AdviseResponse>> TakeAdvice(
      const v1::Failure& failure, bool session_idle);
  // The same for a call that executed nothing and could be made again: true to
  // do so, false to settle.
  Async<absl::StatusOr<bool>> TryAgain(const v1::Failure& failure);

  // ---- start_session.cc ----
  Async<Step> StartSession();
  Async<absl::StatusOr<SessionSpec>> PrepareSession();
  Async<absl::StatusOr<std::string>> EnsureFile(const v1::Input& input);
  // Forgets the remote ids that a refused create shows to be gone; false where
  // there are none.
  bool ForgetGone(const ApiError& error);
  Async<absl::Status> Record(std::string nonce, std::string created);
  // Of an agent named by its id: the version that its batch runs.
  Async<absl::StatusOr<int64_t>> PinVersion(std::string agent_id);
  Async<Step> SendFirst();
  Async<Step> OpenStream();
  // The verdict of a start that came to nothing in time, or before a cancel.
  std::optional<Verdict> StartIsOver(
      const std::optional<v1::Failure>& last) const;

  // ---- one_call.cc ----
  bool InOneCall() const {
    return lease_.spec().start() == v1::START_MODE_ONE_CALL;
  }
  // Looks for a session that was perhaps created, and runs: records it, or
  // knows that there is none.
  Async<Step> FindLostSession();
  // Those that the account lists as this attempt's: (nonce, id).
  Async<absl::StatusOr<std::vector<std::pair<std::string, std::string>>>>
  ListOwnSessions();

  // ---- adopt.cc ----
  Async<Step> Adopt();
  Async<absl::Status> Rebuild();
  Async<absl::StatusOr<bool>> IsOfAnotherWorkspace();
  // The service does not know the session, as `failure` says.
  Async<Step> JudgeUnknown(v1::Failure failure);
  Async<Step> Fence();
  Async<Step> ArchiveForFence();
  Async<Step> JudgeHistory();

  // ---- outbox.cc ----
  Async<Step> SayMessages();
  Async<Step> SayMessage(v1::Say say, int count);
  Async<absl::StatusOr<bool>> HistoryShows(int count);
  Async<Step> SayAnswers();
  // What the outbox says was answered, in case it does not show yet.
  void NoteAnswers();
  Async<Step> SayAnswer(v1::Say say);
  // Sends it: a tool's answer, or the session's new budget.
  Async<absl::Status> SendAnswer(v1::Say say);
  // Why it was not taken, and whether it may be another time. An archived
  // session never takes it: a fence's archive that was long on its way, or a
  // person, ended it meanwhile.
  Async<absl::StatusOr<bool>> MayStillBeSaid(const absl::Status& refused,
                                             v1::Failure& failure);
  // Whether it got there, though the answer to the request says otherwise.
  Async<absl::StatusOr<bool>> WasAnswered(v1::Say say);
  // The session waits for what a person is to decide.
  bool Asks(const Verdict& verdict) const;
  Async<absl::StatusOr<bool>> HistoryAnswers(std::string tool_use_id);
  bool InterruptIsDue() const;
  Async<absl::Status> SayInterrupt();
  Async<absl::Status> SendInterrupt();
  Async<absl::Status> MarkSaid(int number);

  // ---- outputs.cc ----
  // Stores the session's files and names them in `ending`.
  Async<absl::Status> CollectOutputs(v1::Ending& ending);
  // Waits for what the spec expects, where it is `expecting` that.
  Async<absl::StatusOr<std::vector<RemoteFile>>> ListOutputs(bool expecting);
  Async<absl::StatusOr<v1::Output>> StoreOutput(RemoteFile file);
  Async<absl::Status> StoreFinalMessage(v1::Ending& ending);

  // ---- check_outputs.cc ----
  // Whether what a turn that ended well has left fits; says in `ending` what
  // does not.
  Async<absl::Status> CheckOutputs(v1::Ending& ending);

  // ---- run_check.cc ----
  // The check that the spec names is not there: why, in one line. "": it is, or
  // none is named.
  std::string WhyNoCheck() const;
  // Likewise, by that check.
  Async<absl::Status> RunOwnCheck(v1::Ending& ending);

  // ---- settle.cc ----
  Async<absl::Status> End(Verdict verdict);
  Async<absl::Status> SetCost(v1::Ending& ending);

  AttemptParts parts_;
  v1::Lease lease_;
  std::string session_id_;
  v1::AttemptPhase phase_;
  bool phase_stored_;            // the scheduler knows of RUNNING
  bool fresh_ = false;           // session_id_ was created by this holder
  bool lost_create_ = false;     // of a session that may run: to be looked for
  bool message_proved_ = false;  // the session refused a fence: it runs
  Transcript transcript_;

  Mailbox<Item> items_;
  std::shared_ptr<EventPump> pump_;
  uint64_t pump_number_ = 0;  // items of earlier pumps are ignored
  absl::Status feed_failure_;
  bool storing_ = false;

  bool lost_ = false;
  bool draining_ = false;
  bool released_ = false;     // settled, parked or handed back
  bool handing_back_ = true;  // a drain ends what runs; not once it settles
  bool cancelling_ = false;
  bool at_rest_ = true;          // the session spends nothing more
  bool assume_charged_ = false;  // it cannot be known

  std::map<int, v1::Say> outbox_;  // by number
  // Reported to Advise: of one operation, without another between.
  int failures_ = 0;
  std::string failed_operation_;

  // On the steady clock.
  absl::Duration started_;
  absl::Duration last_event_;
  absl::Duration cancel_since_ = absl::InfiniteDuration();
  absl::Duration interrupt_since_ = absl::InfiniteDuration();
  absl::Duration interrupt_after_;  // no interrupt before
  // Remote ids that the session was to be made of: (key, id).
  std::vector<std::pair<std::string, std::string>> made_of_;
};

// `status` as facts for the scheduler. `operation` stands in where the service
// was not asked.
v1::Failure ToFailure(const absl::Status& status, const char* operation);

// The request may have had its effect although it failed.
bool MaybeExecuted(const absl::Status& status);

// The service will not: 400, or 409.
bool IsRefusal(const absl::Status& status);

// Trouble of reaching the scheduler, or of its being busy.
bool IsTransient(const absl::Status& status);

absl::Duration FromProto(const google::protobuf::Duration& duration);
absl::Time FromProto(const google::protobuf::Timestamp& time);

template <typename Request, typename Response>
Async<absl::StatusOr<Response>> Attempt::Ask(
    Async<absl::StatusOr<Response>> (SchedulerClient::*method)(Request),
    Request request) {
  Backoff backoff = CallBackoff();
  while (true) {
    Request copy = request;
    absl::StatusOr<Response> answer =
        co_await (parts_.scheduler.*method)(std::move(copy));
    if (absl::IsAborted(answer.status())) lost_ = true;
    if (!IsTransient(answer.status())) co_return answer;
    absl::Status waited = co_await Wait(backoff.Next());
    if (!waited.ok()) co_return waited;
  }
}

}  // namespace midwatch

#endif  // MIDWATCH_WORKER_ATTEMPT_H_
