// When and how one goes on with a session whose stream is not open: the seam at
// which a worker with thousands of sessions keeps order among them.
#ifndef MIDWATCH_AGENTS_ATTACH_TURN_H_
#define MIDWATCH_AGENTS_ATTACH_TURN_H_

#include "absl/functional/any_invocable.h"

namespace midwatch {

enum class AttachBy {
  kStream,   // open the stream, then read the history: two reads
  kHistory,  // the session is at rest, so its history is all there is: one
};

// One session's. Used on one executor's thread.
class AttachTurn {
 public:
  // Leaves.
  virtual ~AttachTurn() = default;
  // Calls `done` once it is the session's turn: perhaps before Enter returns,
  // perhaps after minutes, never after Leave.
  virtual void Enter(absl::AnyInvocable<void(AttachBy)> done) = 0;
  // From now on its turn comes at once: somebody waits for what it says.
  virtual void Hurry() = 0;
  // The turn was used, or is wanted no more. Again does nothing.
  virtual void Leave() = 0;
};

}  // namespace midwatch

#endif  // MIDWATCH_AGENTS_ATTACH_TURN_H_
