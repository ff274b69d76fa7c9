// The log of each session: the truth about it. What happens next in a session
// is a pure function of its log (turn_state.h), so a harness that was killed
// goes on where it stood.
//
// An event that a client sent is queued at first (processed_at null, last in
// the list) and gets its time, and with it its place, when it is processed.
// Times are strictly increasing within a session.
#ifndef MIDWATCH_HARNESS_EVENT_LOG_H_
#define MIDWATCH_HARNESS_EVENT_LOG_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "harness/database.h"
#include "harness/event_hub.h"
#include "harness/json.h"
#include "harness/model.h"
#include "harness/page.h"

namespace midwatch::harness {

// What one model request cost. `request_id` is the id of its
// span.model_request_start event.
struct Charge {
  std::string request_id;
  TokenUsage usage;
  int64_t price_usd_micros = 0;
};

// What becomes durable, and visible, together: in this order.
struct LogWrite {
  std::vector<std::string> process;  // ids of queued events, processed now
  std::vector<Json> append;          // new events; an id is given if missing
  std::vector<Json> queue;           // new events that wait to be processed
  bool flush_queue = false;          // queued events are dropped unprocessed
  std::string status;                // the session's new one; "": as it is
  std::string stop_reason;           // with status idle
  std::optional<Charge> charge;
};

class EventLog {
 public:
  EventLog(Database& db, EventHub& hub) : db_(db), hub_(hub) {}

  // Writes to one session's log, in one transaction with what `also` writes,
  // and then tells its streams. Returns the events as the API shows them, in
  // the order of LogWrite. Every change of a session's log goes through here.
  //   kCancelled  Close was called: nothing is written
  absl::StatusOr<std::vector<Json>> Commit(
      const std::string& session_id, LogWrite write,
      absl::FunctionRef<absl::Status()> also = [] { return absl::OkStatus(); });

  // All events: processed ones in their order, then queued ones in theirs.
  absl::StatusOr<std::vector<Json>> ReadAll(const std::string& session_id);

  // The processed events from the last one of `type` on; none where there is no
  // such event. Reads no others.
  absl::StatusOr<std::vector<Json>> ReadFromLast(const std::string& session_id,
                                                 const std::string& type);

  // A page of the list, as the API answers it; no `types` means all.
  absl::StatusOr<Json> List(const std::string& session_id,
                            const std::vector<std::string>& types,
                            const PageQuery& page);

  // Refuses all later commits: sessions stand still as if the process had died.
  void Close() { closed_ = true; }

 private:
  absl::Status Write(const std::string& session_id, LogWrite& write,
                     std::vector<Json>& events);
  absl::Status WriteCharge(const std::string& session_id, const Charge& charge,
                           int64_t now);
  absl::Status WriteStatus(const std::string& session_id,
                           const LogWrite& write);

  Database& db_;
  EventHub& hub_;
  bool closed_ = false;
};

}  // namespace midwatch::harness

#endif  // MIDWATCH_HARNESS_EVENT_LOG_H_
