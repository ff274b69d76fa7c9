// Sessions as rows. What the log of a session implies (status, usage, cost) is
// kept here too, changed in the same transaction by EventLog::Commit.
#ifndef MIDWATCH_HARNESS_SESSION_TABLE_H_
#define MIDWATCH_HARNESS_SESSION_TABLE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "harness/database.h"
#include "harness/json.h"
#include "harness/model.h"
#include "harness/page.h"

namespace midwatch::harness {

inline constexpr char kIdle[] = "idle";
inline constexpr char kRunning[] = "running";
// Running, but waiting to make a failed model request again.
inline constexpr char kRescheduling[] = "rescheduling";
inline constexpr char kTerminated[] = "terminated";

struct Session {
  // Counts sessions from 1: the sandbox's user is derived from it.
  int64_t number = 0;
  std::string id;
  std::string thread_id;  // the primary thread; there are no others
  Json agent;             // the snapshot that the session runs
  std::string environment_id;
  std::optional<std::string> title;
  Json metadata;
  std::string status = kIdle;
  std::string stop_reason;  // of the last idle; "" before the first
  std::optional<int64_t> budget_usd_cents;
  TokenUsage usage;
  int64_t cost_usd_micros = 0;
  int64_t active_micros = 0;  // without the time since running_since
  std::optional<int64_t> running_since;
  int64_t created_at = 0;
  int64_t updated_at = 0;
  std::optional<int64_t> archived_at;

  std::string agent_name() const { return StringMember(agent, "name"); }
  bool in_turn() const { return status == kRunning || status == kRescheduling; }
  // Nothing that costs may start: the exact cost has reached the budget.
  bool at_budget() const {
    return budget_usd_cents && cost_usd_micros >= *budget_usd_cents * 10'000;
  }
};

struct SessionFilter {
  std::string agent_id;               // "": any
  int64_t agent_version = 0;          // 0: any
  std::vector<std::string> statuses;  // empty: any
  bool include_archived = false;
};

class SessionTable {
 public:
  explicit SessionTable(Database& db) : db_(db) {}

  // kNotFound where there is none or it was deleted.
  absl::StatusOr<Session> Get(const std::string& id);

  // In a transaction of the caller's. Sets session.number.
  absl::Status Insert(Session& session);
  absl::Status Update(const Session& session);  // title, metadata, budget
  absl::Status Archive(const std::string& id, int64_t at);
  // Removes events and resources; the row stays, marked, and with the charged
  // requests it goes on to account for the money.
  absl::Status Delete(const std::string& id, int64_t at);

  // At most page.limit + 1 sessions, in the page's order.
  absl::StatusOr<std::vector<Session>> List(const SessionFilter& filter,
                                            const PageQuery& page);
  // Those in a turn, and those at rest with events that were taken and not
  // looked at yet: a kill may have come between.
  absl::StatusOr<std::vector<std::string>> IdsToWake();
  // Of all sessions that may have a directory: not archived, not deleted.
  absl::StatusOr<std::vector<std::string>> OpenIds();

  // Of all sessions that ever were. Reads them all: for a harness with a spend
  // cap only.
  absl::StatusOr<int64_t> TotalCostUsdMicros();
  absl::StatusOr<bool> AnyInEnvironment(const std::string& environment_id);

  struct Resource {
    std::string id;
    std::string file_id;     // the session's own copy
    std::string mount_path;  // under /mnt/session/uploads/, relative
    int64_t created_at = 0;
  };
  absl::Status InsertResource(const std::string& session_id,
                              const Resource& resource);
  absl::StatusOr<std::vector<Resource>> Resources(
      const std::string& session_id);

 private:
  Database& db_;
};

}  // namespace midwatch::harness

#endif  // MIDWATCH_HARNESS_SESSION_TABLE_H_
