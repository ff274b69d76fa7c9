// What a session's events say, folded into a state that Judge reads, and the
// events that wait to be stored.
#ifndef MIDWATCH_WORKER_TRANSCRIPT_H_
#define MIDWATCH_WORKER_TRANSCRIPT_H_

#include <cstdint>
#include <list>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "agents/event.h"
#include "base/clock.h"
#include "worker/cost_meter.h"

namespace midwatch {

struct TranscriptState {
  // ---- What was said to the session (user.message) ----
  // Ids of the messages that the service has queued, and of those processed.
  std::set<std::string> queued;
  std::set<std::string> processed;
  // Queued ones that an exhausted turn threw away.
  int flushed = 0;
  // How many the holders of the attempt are known to have sent. Kept by the
  // worker, not by the events.
  int sent = 0;

  // ---- How the turn stands ----
  struct Idle {
    std::string id;  // of the event
    std::string stop_reason;
    // Of requires_action: the calls not answered yet.
    std::set<std::string> blocking;
    // An interrupt was processed in the turn that this ended.
    bool interrupted = false;
  };
  // Unset while a turn is on, and before the first.
  std::optional<Idle> idle;
  bool interrupted = false;  // in the turn that is on
  std::set<std::string> open_tools;
  // Calls that want an answer of ours and have none yet, by id.
  struct Question {
    std::string tool;
    std::string input_json;
    bool custom = false;
  };
  std::map<std::string, Question> questions;
  // How often in a row the last finished call was made, and came to the same.
  struct Repeats {
    std::string tool;
    std::string digest;  // of the call and its result
    int times = 0;
  };
  Repeats repeats;
  // Calls that are on: by id, which tool and the call's digest.
  std::map<std::string, std::pair<std::string, std::string>> calls;
  bool terminated = false;
  bool deleted = false;

  // ---- What it came to ----
  bool model_request = false;
  std::optional<SessionError> last_error;
  std::optional<int64_t> list_cost_usd_micros;
  std::string last_message;  // the agent's

  int messages_seen() const {
    return static_cast<int>(queued.size() + processed.size()) + flushed;
  }
  // The session costs money.
  bool charged() const { return model_request || !processed.empty(); }
};

// Takes `event` into `state`. Each event once, in the session's order.
void Fold(const Event& event, TranscriptState& state);

// An attempt's events: folded as they come, stored in batches of at most 256
// events or about 256 KB, and no later than a second after they came. Holds no
// more than its reader lets in.
class Transcript {
 public:
  static constexpr size_t kBatchEvents = 256;
  static constexpr size_t kBatchBytes = 256 << 10;
  static constexpr absl::Duration kBatchAge = absl::Seconds(1);

  // `clock` and `prices` outlive it. `stored` events of the attempt are stored
  // already.
  Transcript(const Clock& clock, const PriceTable& prices, int64_t stored);

  const TranscriptState& state() const { return state_; }
  const CostMeter& cost() const { return cost_; }
  void SetModel(std::string model) { cost_.SetModel(std::move(model)); }

  // An event that is stored already.
  void Rebuild(const Event& event) { TakeIn(event); }
  // A new one.
  void Add(Event event);
  // The attempt goes on with another session, or reads this one anew: forgets
  // all that is not stored. REQUIRES: nothing of this attempt is stored.
  void Reset();
  // The answer to this tool use was sent, whether or not it shows yet; or the
  // budget was raised that this idle event is about.
  void NoteAnswered(const std::string& question_id);
  // The first `count` messages are known to have been sent.
  void NoteSent(int count);

  // ---- Storing ----
  int64_t stored() const { return stored_; }
  size_t waiting() const { return waiting_.size(); }
  // When the next batch is due: zero when it is already, infinite where nothing
  // waits.
  absl::Duration DueIn() const;
  // The next events to store, at most a batch of them.
  std::vector<std::string> NextBatch() const;
  // They are stored up to `stored`; returns how many that took from the queue.
  size_t MarkStored(int64_t stored);

 private:
  void TakeIn(const Event& event);

  const Clock& clock_;
  CostMeter cost_;
  TranscriptState state_;
  int64_t stored_;
  struct Waiting {
    std::string json;
    absl::Duration since;  // steady
  };
  std::list<Waiting> waiting_;  // no deque: see Mailbox
  size_t waiting_bytes_ = 0;
};

}  // namespace midwatch

#endif  // MIDWATCH_WORKER_TRANSCRIPT_H_
