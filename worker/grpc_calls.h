// What the gRPC shells of the worker have in common. Included by .cc files
// only: grpcpp is slow to compile.
#ifndef MIDWATCH_WORKER_GRPC_CALLS_H_
#define MIDWATCH_WORKER_GRPC_CALLS_H_

#include <grpcpp/client_context.h>
#include <grpcpp/support/status.h>

#include <set>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/mutex.h"

namespace midwatch {

// The same code and words; the message begins with `operation`. What came in
// grpc-status-details-bin are its payloads, by their type URLs.
absl::Status FromGrpc(const grpc::Status& status, absl::string_view operation);
// Likewise for people: what is wrong with what they asked for stands for
// itself, and only of other failures it is said which call it was.
absl::Status AnswerFromGrpc(const grpc::Status& status,
                            absl::string_view operation);

void SetTimeout(grpc::ClientContext& context, absl::Duration timeout);

// The calls that are on, so that their owner can end them all before what their
// callbacks refer to is gone. Thread-safe.
class GrpcCalls {
 public:
  ~GrpcCalls() { CancelAndWait(); }

  // Each Begin is followed by one End, after which the call touches nothing of
  // the owner's.
  void Begin(grpc::ClientContext& context);
  void End(grpc::ClientContext& context);
  // Of a call that ends in one of gRPC's callbacks: `release` lets go of the
  // context. It holds the channel, and whoever waits may drop that next: the
  // last one to do so must not be a thread of gRPC's, which would wait for
  // itself.
  void End(grpc::ClientContext& context, absl::FunctionRef<void()> release);

  // Cancels all calls, those yet to begin included.
  void Cancel();
  // And waits for the last End.
  void CancelAndWait();

 private:
  Mutex mutex_;
  CondVar ended_;
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
  std::set<grpc::ClientContext*> live_ ABSL_GUARDED_BY(mutex_);
  int releasing_ ABSL_GUARDED_BY(mutex_) = 0;  // not live, and not over
};

}  // namespace midwatch

#endif  // MIDWATCH_WORKER_GRPC_CALLS_H_
