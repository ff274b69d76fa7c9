// What a session that carries this queue's mark is to it: a pure function of
// what the store knows of the session's claims.
//
// The mark is no proof. Ours is a session by its recorded id, or by a nonce
// that was durable before its create left; whatever else claims to be ours (a
// copy of the database made it, or somebody who can write metadata) is left
// alone.
#ifndef MIDWATCH_SCHEDULER_SESSION_FATE_H_
#define MIDWATCH_SCHEDULER_SESSION_FATE_H_

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "midwatch/v1/worker_service.pb.h"
#include "store/records.h"

namespace midwatch {

// For how long the create of an attempt that is on may yet be recorded, from
// when it was last begun: its request takes a minute at most, and a worker's
// term half of one. Whoever comes later is refused, and begins another.
inline constexpr absl::Duration kCreatePending = absl::Minutes(3);

// `mark` is the queue's own, Store::cluster_mark.
v1::SessionFate DecideFate(const SessionFacts& facts, absl::string_view mark,
                           absl::Time now);

}  // namespace midwatch

#endif  // MIDWATCH_SCHEDULER_SESSION_FATE_H_
