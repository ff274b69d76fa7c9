// What follows from a try to deliver what a hook says. Pure functions.
#ifndef MIDWATCH_SCHEDULER_HOOK_RULES_H_
#define MIDWATCH_SCHEDULER_HOOK_RULES_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "net/http.h"
#include "store/writes.h"

namespace midwatch {

// A message is given up after so many tries: 16 hours after the first one.
inline constexpr int kHookTriesMax = 10;

// How long after try number `tries` (from 1) the next one is due: 5 s, 15 s, a
// minute, 5, 15 minutes, an hour, 2, 4 and 8 hours, and up to a tenth more by
// `jitter` (0 to 1).
absl::Duration HookDelay(int tries, double jitter);

struct HookVerdict {
  HookEnd end = HookEnd::kAgain;
  absl::Duration delay;  // kAgain
  std::string why;       // one line; "" where it is delivered
};

// Of try number `tries`. Any 2xx is a delivery. 410 gives up at once, as the
// Standard Webhooks have it; everything else is tried again. Redirects are not
// followed: they are no 2xx.
HookVerdict JudgeHookTry(const absl::StatusOr<HttpResponse>& answer, int tries,
                         double jitter);

}  // namespace midwatch

#endif  // MIDWATCH_SCHEDULER_HOOK_RULES_H_
