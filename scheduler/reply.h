#ifndef MIDWATCH_SCHEDULER_REPLY_H_
#define MIDWATCH_SCHEDULER_REPLY_H_

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace midwatch {

// How a method answers: called once, on the scheduler's executor.
template <typename T>
using Reply = absl::AnyInvocable<void(absl::StatusOr<T>)>;

// Where a server stream goes. Implemented by whoever carries it (gRPC, the
// direct client); called on the scheduler's executor.
template <typename T>
class StreamSink {
 public:
  virtual ~StreamSink() = default;
  // Calls `written` (on the same executor, not inside this call) when the sink
  // takes another message. It buffers without a bound; senders that may be
  // faster than their readers wait for `written`.
  virtual void Send(T message, absl::AnyInvocable<void()> written) = 0;
  // The end. No call follows.
  virtual void Finish(absl::Status status) = 0;
};

}  // namespace midwatch

#endif  // MIDWATCH_SCHEDULER_REPLY_H_
