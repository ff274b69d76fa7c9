#ifndef MIDWATCH_TESTS_SIM_VIOLATION_H_
#define MIDWATCH_TESTS_SIM_VIOLATION_H_

#include <string>

#include "absl/time/time.h"

namespace midwatch::sim {

// What must hold in every night, by the name under which a breach is reported.
inline constexpr char kKept[] = "nothing acknowledged is lost";
inline constexpr char kPaidOnce[] = "no attempt is paid twice";
inline constexpr char kSaidOnce[] = "a session gets its prompt once";
inline constexpr char kBudgets[] = "nothing starts over a budget";
inline constexpr char kHeld[] = "nothing starts paused, or over a cap";
inline constexpr char kBalances[] = "balances equal the journal";
inline constexpr char kLeases[] = "every write stands on the one lease";
inline constexpr char kSessions[] = "the first recorded session stays";
inline constexpr char kBlame[] = "failures are the task's own";
inline constexpr char kOutbox[] = "what is said is in the outbox first";
inline constexpr char kEvents[] = "events are stored once, in order, whole";
inline constexpr char kSweeps[] = "a sweep ends only what it explains";
inline constexpr char kNeeds[] = "a task starts after what it needs";
inline constexpr char kStarts[] = "a task starts in its time, with its key";
inline constexpr char kRules[] = "a canary and a stop rule hold their batch";
inline constexpr char kHooks[] = "what a hook says arrives, under one id";
inline constexpr char kRisk[] = "a batch at risk says so once, no other does";
inline constexpr char kDeletes[] = "what is deleted goes, and nothing else";
inline constexpr char kFires[] = "a time of a schedule is one whole batch";
inline constexpr char kOutputs[] = "bad outputs fail, as often as they may";
inline constexpr char kProgress[] = "when faults stop, work finishes";
inline constexpr char kAccounts[] = "what was started is accounted for";

struct Violation {
  std::string invariant;  // one of those above
  std::string what;
  absl::Duration at;  // since the night began
};

}  // namespace midwatch::sim

#endif  // MIDWATCH_TESTS_SIM_VIOLATION_H_
