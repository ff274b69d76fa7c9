#include "worker/grpc_calls.h"

#include <grpc/support/time.h>

#include <string>

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "google/rpc/status.pb.h"

namespace midwatch {

namespace {

absl::Status Convert(const grpc::Status& status, const std::string& message) {
  if (status.ok()) return absl::OkStatus();
  // The numbers of both are Google's canonical codes.
  absl::Status result(static_cast<absl::StatusCode>(status.error_code()),
                      message);
  google::rpc::Status rich;
  if (rich.ParseFromString(status.error_details())) {
    for (const google::protobuf::Any& detail : rich.details()) {
      result.SetPayload(detail.type_url(), absl::Cord(detail.value()));
    }
  }
  return result;
}

}  // namespace

absl::Status FromGrpc(const grpc::Status& status, absl::string_view operation) {
  return Convert(status, absl::StrCat(operation, ": ", status.error_message()));
}

absl::Status AnswerFromGrpc(const grpc::Status& status,
                            absl::string_view operation) {
  switch (status.error_code()) {
    case grpc::StatusCode::INVALID_ARGUMENT:
    case grpc::StatusCode::NOT_FOUND:
    case grpc::StatusCode::ALREADY_EXISTS:
    case grpc::StatusCode::FAILED_PRECONDITION:
      return Convert(status, status.error_message());
    default:
      return FromGrpc(status, operation);
  }
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
