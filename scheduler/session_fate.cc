#include "scheduler/session_fate.h"

namespace midwatch {
namespace {

// "1f2e" of "1f2e" and "1f2e.2": the same database in its other lives.
absl::string_view WithoutLife(absl::string_view cluster) {
  return cluster.substr(0, cluster.find('.'));
}

}  // namespace

v1::SessionFate DecideFate(const SessionFacts& facts, absl::string_view mark,
                           absl::Time now) {
  if (facts.cluster != mark) {
    return WithoutLife(facts.cluster) == WithoutLife(mark)
               ? v1::SESSION_FATE_UNEXPLAINED
               : v1::SESSION_FATE_FOREIGN;
  }
  if (facts.recorded) {
    return facts.attempt_live ? v1::SESSION_FATE_LIVE
                              : v1::SESSION_FATE_SETTLED;
  }
  if (!facts.begun_at) return v1::SESSION_FATE_UNEXPLAINED;
  // What runs already is never given up while its attempt looks for it.
  if (facts.attempt_live &&
      (facts.awaited || now < *facts.begun_at + kCreatePending)) {
    return v1::SESSION_FATE_PENDING;
  }
  return v1::SESSION_FATE_SUPERSEDED;
}

}  // namespace midwatch
