// Faults on demand: a bad night of the service, to rehearse against. What
// becomes of a request is a pure function of the plan, its seed and the
// request's number, so that a seed means the same faults again; api_gate.h and
// faulty_responder.h make them happen.
#ifndef MIDWATCH_HARNESS_FAULTS_H_
#define MIDWATCH_HARNESS_FAULTS_H_

#include <array>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace midwatch::harness {

enum class Fault {
  kLimited,      // 429 with retry-after; nothing was executed
  kLimitedBare,  // 429 without, as a spend cap looks
  kOverloaded,   // 529; nothing was executed
  kBroken,       // 500; nothing was executed
  kLost,         // executed, then the connection closed without an answer
  kLateList,     // a new session is missing from lists for so long
  kCut,          // an event stream ends after about so long
  kSlow,         // an event stream each of whose frames is late
  kDoubled,      // a frame of an event stream comes twice
  kOvershoot,    // a session's last request takes it past its budget
};
inline constexpr size_t kFaultCount = 10;

// As it is called in a list: "429", "late-list", ...
const char* NameOf(Fault fault);

struct FaultPlan {
  uint64_t seed = 1;
  // From 0 to 1: of requests, of streams (slow), of a stream's frames (double)
  // or of sessions with a budget (overshoot).
  std::array<double, kFaultCount> chance = {};
  absl::Duration late_list;  // zero: lists are true
  absl::Duration cut;        // the mean; zero: streams are not cut

  double Chance(Fault fault) const {
    return chance[static_cast<size_t>(fault)];
  }
  // A plan without any changes nothing.
  bool any() const;
};

// "429=0.05,529=0.01,late-list=30s": chances from 0 to 1, durations up to 24
// hours, each name at most once. Empty: no faults.
//   kInvalidArgument  with the part that is wrong, and which one it is
absl::StatusOr<FaultPlan> ParseFaults(absl::string_view list);

// What becomes of one request.
struct RequestFaults {
  std::optional<Fault> instead;  // answered so, and not executed
  bool lost = false;
  std::optional<absl::Duration> cut_after;
  bool slow = false;
};
RequestFaults FaultsOf(const FaultPlan& plan, uint64_t request, bool is_stream);

// Whether the `frame`th frame of the stream that `request` opened comes twice.
bool Doubles(const FaultPlan& plan, uint64_t request, uint64_t frame);

// What a session's last request of a turn costs that would have cost `price`:
// one that overshoots costs whatever is left of the budget, and `price` more.
int64_t LastPriceUsdMicros(const FaultPlan& plan, absl::string_view session_id,
                           std::optional<int64_t> budget_usd_cents,
                           int64_t cost_usd_micros, int64_t price_usd_micros);

// How often each came to pass since the process started.
class FaultCounts {
 public:
  // Logs it too: a rehearsal's log says what was real. `where` is a path or a
  // session.
  void Add(Fault fault, absl::string_view where);
  int64_t Of(Fault fault) const { return counts_[static_cast<size_t>(fault)]; }

 private:
  std::array<int64_t, kFaultCount> counts_ = {};
};

}  // namespace midwatch::harness

#endif  // MIDWATCH_HARNESS_FAULTS_H_
