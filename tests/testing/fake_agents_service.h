// A Managed Agents service in memory, on virtual or real time: sessions that
// run scripted turns, event streams, archive rules, files. One instance serves
// any number of nodes (FakeAgentsTransport); it is deterministic, counts what
// it is asked, and shows all it knows.
//
// What it keeps from the real service's rules: events are queued, then
// processed, and appear twice on a stream; a stream shows only what comes after
// it was opened; a running session refuses archive with a 400 without a code;
// an archived one refuses events; output files appear some time after idle; a
// session at its budget is idle with `budget_reached`, and does its turn again
// once the budget is raised.
#ifndef MIDWATCH_TESTS_TESTING_FAKE_AGENTS_SERVICE_H_
#define MIDWATCH_TESTS_TESTING_FAKE_AGENTS_SERVICE_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/executor.h"
#include "net/http.h"

namespace midwatch::testing {

struct FakeFile {
  std::string name;
  std::string bytes;
};

// What happens after one user.message.
struct FakeTurn {
  absl::Duration queued_for = absl::Milliseconds(20);  // until it is processed
  absl::Duration duration = absl::Seconds(1);
  // How the turn ends: idle with this, or "terminated", or "never": only an
  // interrupt ends it.
  std::string stop_reason = "end_turn";
  // "requires_action": each tool call asks for permission, and once all have
  // it the turn goes on for as long again and ends well.
  // Not empty: a session.error of this type before the end, "exhausted".
  std::string error_type;
  std::string message = "Done.";
  int tool_calls = 1;
  // Each call comes to its result at once, all to the same one.
  bool loops = false;
  // Not empty: its calls are of this custom tool, and the turn asks for their
  // results as one that requires_action.
  std::string custom_tool;
  int64_t cost_cents = 1;
  // The session does not say what it cost before it is archived.
  bool hides_cost = false;
  std::vector<FakeFile> files;
};

struct FakePrompt {
  std::string session_id;
  std::map<std::string, std::string> metadata;
  std::string text;
  int number = 0;  // of the session's turns, from 1
};

// One session as an observer with access to everything sees it.
struct FakeSessionView {
  std::string id;
  std::string status;
  std::string title;
  std::map<std::string, std::string> metadata;
  std::string agent_id;
  int agent_version = 0;  // 0: none was asked for
  std::string environment_id;
  int64_t budget_cents = 0;
  int64_t cost_cents = 0;
  bool archived = false;
  // A message was processed: the session costs money.
  bool charged = false;
  std::vector<std::string> user_messages;  // their texts, queued ones included
  int interrupts = 0;
  int answers = 0;  // to tools that asked
  int updates = 0;
  std::vector<std::string> mounts;
  absl::Time created_at;
};

// An event of a session's history.
struct FakeShown {
  std::string id;
  std::string type;
  std::string processed_at;
  std::string json;  // whole, as streams and lists show it
};

// A request, before it is executed.
struct FakeCall {
  std::string node;
  // As agents/ names them: "create_session", "send_events", ...
  std::string operation;
  std::string session_id;  // "" for a create
  int number = 0;          // of this operation, over all nodes, from 1
};

// What befalls a request. By default nothing.
struct FakeFault {
  enum class Kind {
    kNone,
    kNoConnection,  // nothing is executed, and the client knows
    kLoseRequest,   // nothing is executed, and the client does not know
    kLoseAnswer,    // executed, and the client does not know
    kRefuse,        // answered with `status`, not executed
  };
  Kind kind = Kind::kNone;
  absl::Duration request_delay;  // before it is executed
  absl::Duration answer_delay;   // after that
  int status = 0;
  std::string error_type;
  std::string error_code;
  std::optional<absl::Duration> retry_after;
};

enum class FakeStreamFault { kNone, kDouble, kCut };

// Called in the order of the service's own time; may be set at any time.
struct FakeAgentsHooks {
  std::function<FakeTurn(const FakePrompt&)> script;
  std::function<FakeFault(const FakeCall&)> on_call;
  // For each event about to be written to an open stream.
  std::function<FakeStreamFault(const std::string& session_id)> on_stream_event;
  // What a watcher with access to everything is told, in the moment at which it
  // happens. The view is the session's own, and gone with it.
  // Its first message is processed: from here on it costs money.
  std::function<void(const FakeSessionView&)> on_charged;
  // An event of a client was accepted, or a budget ("update").
  std::function<void(const FakeSessionView&, const std::string& type)> on_said;
  // Somebody archived it.
  std::function<void(const FakeSessionView&)> on_archived;
};

struct FakeAgentsOptions {
  // From idle to the output files' being listed.
  absl::Duration file_delay = absl::Milliseconds(500);
  // From a session's create to its being listed.
  absl::Duration list_delay = absl::Seconds(2);
  // By how much lists differ from session to session: each is shown up to so
  // much later.
  absl::Duration list_spread;
  // A session that went idle says so on its stream, and only so much later
  // where it is asked; until then it is not archived either.
  absl::Duration status_lag;
  // A sandbox lives so long from its session's create: what was in it is gone
  // then, and a turn that ends later leaves no files.
  absl::Duration sandbox_life = absl::Hours(24 * 30);
  // What an archived session answers to events: 400 or 409.
  int archived_refusal = 400;
  absl::Duration ping_every = absl::Seconds(15);
};

struct FakeReply {
  int status = 200;
  HttpHeaders headers;
  std::string body;
  // Of a stream that was opened; 0 otherwise.
  int64_t stream = 0;
};

// Used on `executor`'s thread; `executor` and `clock` outlive it.
class FakeAgentsService {
 public:
  // Gets the bytes of a stream as they are written; empty: the stream was cut.
  using Sink = absl::AnyInvocable<void(std::string)>;

  FakeAgentsService(Executor& executor, const Clock& clock,
                    FakeAgentsOptions options = {});
  ~FakeAgentsService();

  FakeAgentsHooks hooks;

  // Executes one request. `body` is its whole body; `sink` is kept where the
  // request opens a stream.
  FakeReply Handle(const HttpRequest& request, const std::string& body,
                   Sink sink);
  // The client closed it.
  void CloseStream(int64_t stream);
  // Cuts every open stream of the session; of all where it is "".
  void CutStreams(const std::string& session_id = "");

  // What a request is, for hooks and counts; counts it.
  FakeCall Describe(const std::string& node, const HttpRequest& request);

  // Inspection. In the order of creation.
  std::vector<FakeSessionView> Sessions() const;
  // Those whose metadata has this value under `key`.
  std::vector<FakeSessionView> SessionsWith(const std::string& key,
                                            const std::string& value) const;
  std::optional<FakeSessionView> Find(const std::string& session_id) const;
  // The same without a copy, until the session is gone; null where there is
  // none.
  const FakeSessionView* View(const std::string& session_id) const;
  // The session's history, in its order, until another event comes.
  const std::vector<FakeShown>& Shown(const std::string& session_id) const;
  // The same as JSON objects.
  std::vector<std::string> History(const std::string& session_id) const;
  // How often an operation was asked for.
  int Calls(const std::string& operation) const;
  // Open streams of the session.
  int Streams(const std::string& session_id) const;
  int agents() const;
  int environments() const;

  // Acts from outside: somebody removes a resource.
  void ForgetAgents();
  void ArchiveSession(const std::string& session_id);
  void DeleteSession(const std::string& session_id);

  Executor& executor() { return executor_; }

 private:
  struct Impl;
  Executor& executor_;
  std::unique_ptr<Impl> impl_;
};

}  // namespace midwatch::testing

#endif  // MIDWATCH_TESTS_TESTING_FAKE_AGENTS_SERVICE_H_
