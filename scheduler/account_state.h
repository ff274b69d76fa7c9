// When an account stops being used, and how it is tried again: a pure function
// of what an attempt's end says about it.
//
// The probe is one ordinary task of the account, granted when its time has
// come: no request is made that only probes, and the answer is the one that
// matters. Its session is created idle and costs nothing, unless the task
// starts in one call. Where no task is ready, a kept session is adopted
// instead, which reads.
#ifndef MIDWATCH_SCHEDULER_ACCOUNT_STATE_H_
#define MIDWATCH_SCHEDULER_ACCOUNT_STATE_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/time/time.h"
#include "midwatch/v1/worker_service.pb.h"
#include "store/records.h"

namespace midwatch {

inline constexpr absl::Duration kRefusedProbeEvery = absl::Minutes(5);
// What cannot be reached is not asked more than it bears by being looked up.
inline constexpr absl::Duration kUnreachableProbeEvery = absl::Minutes(1);
inline constexpr absl::Duration kSpendCapProbeEvery = absl::Hours(1);
// Specs refused in a row, of as many templates: it is not the tasks.
inline constexpr size_t kBadTemplatesMax = 5;

// Of an attempt that ended.
struct AccountEvidence {
  absl::Time granted_at = absl::InfiniteFuture();
  v1::FailureClass failure_class = v1::FAILURE_CLASS_UNSPECIFIED;
  v1::Failure failure;
  int64_t template_id = 0;
  std::string reason;  // one line for people
};

// What the account becomes; nothing where it stays what it is. A person's pause
// stays, whatever comes in. A refusal again changes nothing, unless it says
// until when: its next probe was planned when this one was granted. And what
// befell a session that was begun before the account opened is old news.
std::optional<AccountStanding> DecideAccount(const AccountStanding& standing,
                                             const AccountEvidence& evidence,
                                             absl::Time now);

// The account waits, so the attempt is not over: its session is as it was.
bool KeepsSession(const v1::Ending& ending, v1::FailureClass failure_class,
                  bool has_session);

}  // namespace midwatch

#endif  // MIDWATCH_SCHEDULER_ACCOUNT_STATE_H_
