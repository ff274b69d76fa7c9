#include "worker/grpc_calls.h"

#include <grpc/support/time.h>

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "google/rpc/status.pb.h"

namespace midwatch {

absl::Status FromGrpc(const grpc::Status& status, absl::string_view operation) {
  if (status.ok()) return absl::OkStatus();
  // The numbers of both are Google's canonical codes.
  absl::Status result(static_cast<absl::StatusCode>(status.error_code()),
                      absl::StrCat(operation, ": ", status.error_message()));
  google::rpc::Status rich;
  if (rich.ParseFromString(status.error_details())) {
    for (const google::protobuf::Any& detail : rich.details()) {
      result.SetPayload(detail.type_url(), absl::Cord(detail.value()));
    }
  }
  return result;
}

void SetTimeout(grpc::ClientContext& context, absl::Duration timeout) {
  context.set_deadline(gpr_time_add(
      gpr_now(GPR_CLOCK_MONOTONIC),
      gpr_time_from_millis(absl::ToInt64Milliseconds(timeout), GPR_TIMESPAN)));
}

void GrpcCalls::Begin(grpc::ClientContext& context) {
  MutexLock lock(mutex_);
  live_.insert(&context);
  if (cancelled_) context.TryCancel();
}

void GrpcCalls::End(grpc::ClientContext& context) {
  End(context, [] {});
}

void GrpcCalls::End(grpc::ClientContext& context,
                    absl::FunctionRef<void()> release) {
  {
    MutexLock lock(mutex_);
    live_.erase(&context);
    ++releasing_;
  }
  release();
  MutexLock lock(mutex_);
  --releasing_;
  // Under the lock: with the last call gone the owner may destroy this.
  if (live_.empty() && releasing_ == 0) ended_.SignalAll();
}

void GrpcCalls::Cancel() {
  MutexLock lock(mutex_);
  cancelled_ = true;
  for (grpc::ClientContext* context : live_) context->TryCancel();
}

void GrpcCalls::CancelAndWait() {
  Cancel();
  MutexLock lock(mutex_);
  while (!live_.empty() || releasing_ > 0) ended_.Wait(mutex_);
}

}  // namespace midwatch
