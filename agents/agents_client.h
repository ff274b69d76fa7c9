// Calls of the Managed Agents API (/v1/agents, environments, sessions, events,
// files), one method each. It never repeats a request by itself: the API has no
// idempotency key, so whether to try again is its caller's decision.
#ifndef MIDWATCH_AGENTS_AGENTS_CLIENT_H_
#define MIDWATCH_AGENTS_AGENTS_CLIENT_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "agents/api_error.h"
#include "agents/event.h"
#include "agents/request_gate.h"
#include "base/clock.h"
#include "base/coro.h"
#include "base/executor.h"
#include "net/http.h"

namespace midwatch {

struct AgentsClientOptions {
  std::string base_url;  // https://api.anthropic.com, no slash at its end
  std::string api_key;   // never logged, never in a Status
  std::string anthropic_version = "2023-06-01";
  absl::Duration request_timeout = absl::Seconds(60);
  // For the bytes of a file in either direction: up to 500 MB.
  absl::Duration file_timeout = absl::Minutes(10);
  // Without a byte on a stream for so long, it counts as lost. The service
  // pings more often than that.
  absl::Duration stream_idle_timeout = absl::Seconds(75);
};

struct AgentRef {
  std::string id;
  int64_t version = 0;
};

// A file to be mounted into a session.
struct SessionFile {
  std::string file_id;
  std::string mount_path;  // under /mnt/session/uploads/, relative
};

struct SessionSpec {
  AgentRef agent;  // version 0: the newest
  std::string environment_id;
  std::string title;
  std::map<std::string, std::string> metadata;
  // Whole cents are what the API knows: rounded down, at least one.
  int64_t budget_usd_micros = 0;
  std::vector<SessionFile> files;
  // Sent with the create, which then starts the session; "": none.
  std::string first_message;
};

struct Session {
  std::string id;
  std::string status;  // "idle", "running", "rescheduling", "terminated"
  std::map<std::string, std::string> metadata;
  std::string model;  // of its agent; "" where it does not say
  std::optional<int64_t> list_cost_usd_micros;
  std::optional<int64_t> budget_usd_micros;  // unset: none, or it does not say
  bool archived = false;
  absl::Time created_at;
};

struct RemoteFile {
  std::string id;
  std::string filename;
  int64_t size_bytes = 0;
  bool downloadable = true;
};

// What a client may send to a session.
struct OutgoingMessage {
  std::string text;
};
struct OutgoingInterrupt {};
// To a tool use that asks for permission.
struct OutgoingConfirmation {
  std::string tool_use_id;
  bool allow = false;
  std::string deny_message;
};
// Of a custom tool.
struct OutgoingToolResult {
  std::string tool_use_id;
  std::string text;
  bool is_error = false;
};
using OutgoingEvent = std::variant<OutgoingMessage, OutgoingInterrupt,
                                   OutgoingConfirmation, OutgoingToolResult>;

template <typename T>
struct Page {
  std::vector<T> items;
  std::string next_page;  // "" at the end
};

// Oldest first.
struct ListSessionsQuery {
  absl::Time created_from = absl::InfinitePast();
  bool with_archived = false;
  RequestPurpose purpose = RequestPurpose::kSpare;
  std::string page;
};

struct ListEventsQuery {
  // Only events processed at or after this. Never use it when looking for
  // something that was sent: a queued event has no such time.
  std::optional<absl::Time> processed_from;
  std::vector<std::string> types;
  std::string page;
};

// An open event stream: what the session emits from now on. The destructor
// closes it.
class EventStream {
 public:
  virtual ~EventStream() = default;
  // The next event. Pings and unparsable frames are skipped.
  //   kUnavailable       the stream ended or was cut: open another, then read
  //                      the history
  //   kDeadlineExceeded  nothing came for stream_idle_timeout: likewise
  //   kCancelled         Close was called
  virtual Async<absl::StatusOr<Event>> Next() = 0;
  // Ends a Next that waits and all later ones.
  virtual void Close() = 0;
};

// Used on one executor's thread. Every failed call carries an ApiError, except
// where a method says kCancelled or kDeadlineExceeded.
class AgentsClient {
 public:
  // All three outlive the client. `transport`'s own timeout is the options'.
  AgentsClient(HttpTransport& transport, Executor& executor, const Clock& clock,
               AgentsClientOptions options);

  // Every request from now on passes `gate`, which outlives the last of them.
  // Waiting for its turn counts toward a timeout that a method is given, and a
  // request with less than 5 s of that left does not leave.
  void SetGate(RequestGate* gate) { gate_ = gate; }

  // `definition_json` is the body of the call, sent as it is.
  Async<absl::StatusOr<AgentRef>> CreateAgent(std::string definition_json);
  Async<absl::StatusOr<AgentRef>> GetAgent(std::string agent_id);
  Async<absl::StatusOr<std::string>> CreateEnvironment(
      std::string definition_json);

  // Without a first message the session is created idle, and costs nothing.
  // `timeout` bounds the call where it is shorter than request_timeout.
  Async<absl::StatusOr<Session>> CreateSession(SessionSpec spec,
                                               absl::Duration timeout);
  Async<absl::StatusOr<Session>> GetSession(std::string session_id);
  // Of the whole account, up to 100 a page. A session that was created moments
  // ago may be missing.
  Async<absl::StatusOr<Page<Session>>> ListSessions(ListSessionsQuery query);
  // kInvalidArgument while the session runs.
  Async<absl::StatusOr<Session>> ArchiveSession(
      std::string session_id, RequestPurpose purpose = RequestPurpose::kNormal,
      absl::Duration timeout = absl::InfiniteDuration());

  // A session at its budget goes on by itself with a higher one: above what it
  // has cost, else kInvalidArgument. Whole cents, rounded down. Again is OK
  // until the new one is spent, too.
  Async<absl::StatusOr<Session>> RaiseBudget(std::string session_id,
                                             int64_t budget_usd_micros,
                                             absl::Duration timeout);

  Async<absl::Status> SendEvents(std::string session_id,
                                 std::vector<OutgoingEvent> events,
                                 absl::Duration timeout);
  // In the order of processing, oldest first; up to 1,000 a page.
  Async<absl::StatusOr<Page<Event>>> ListEvents(std::string session_id,
                                                ListEventsQuery query);
  // All pages of ListEvents.
  Async<absl::StatusOr<std::vector<Event>>> ListAllEvents(
      std::string session_id, ListEventsQuery query);
  Async<absl::StatusOr<std::unique_ptr<EventStream>>> OpenStream(
      std::string session_id);

  // Uploads the file at `path` under the name `filename`.
  Async<absl::StatusOr<RemoteFile>> UploadFile(std::string path,
                                               std::string filename);
  // Every file that the session left, all pages.
  Async<absl::StatusOr<std::vector<RemoteFile>>> ListSessionFiles(
      std::string session_id);
  // The bytes of a small file, which are held in memory.
  Async<absl::StatusOr<std::string>> ReadFileBytes(std::string file_id);
  // Writes the file's bytes to `path`.
  Async<absl::Status> DownloadFile(std::string file_id, std::string path);

  const AgentsClientOptions& options() const { return options_; }

 private:
  enum class Beta { kNo, kYes };
  HttpRequest Request(const char* method, const std::string& path, Beta beta);
  HttpRequest Post(const std::string& path, std::string json);
  HttpRequest ContentRequest(absl::string_view file_id);
  // How a request passes the gate.
  struct Turn {
    RequestClass request_class;
    RequestPurpose purpose = RequestPurpose::kNormal;
    // What bounds it, waiting included.
    absl::Duration timeout = absl::InfiniteDuration();
  };
  // The failure names `operation`. Shortens `request`'s timeout by the wait.
  Async<absl::Status> PassGate(const std::string& operation, Turn turn,
                               HttpRequest& request);
  void NoteAnswer(Turn turn, int http_status,
                  std::optional<absl::Duration> retry_after = std::nullopt);
  // The body of a 2xx answer, or the failure.
  Async<absl::StatusOr<std::string>> Fetch(std::string operation, Turn turn,
                                           HttpRequest request);
  Async<absl::StatusOr<Session>> FetchSession(std::string operation, Turn turn,
                                              HttpRequest request);

  HttpTransport& transport_;
  Executor& executor_;
  const Clock& clock_;
  AgentsClientOptions options_;
  RequestGate* gate_ = nullptr;  // none: every request leaves at once
};

}  // namespace midwatch

#endif  // MIDWATCH_AGENTS_AGENTS_CLIENT_H_
