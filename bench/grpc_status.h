#ifndef MIDWATCH_BENCH_GRPC_STATUS_H_
#define MIDWATCH_BENCH_GRPC_STATUS_H_

#include <grpcpp/support/status.h>

#include "absl/status/status.h"

namespace midwatch::bench {

// absl's codes are gRPC's.
inline absl::Status FromGrpc(const grpc::Status& status) {
  return absl::Status(static_cast<absl::StatusCode>(status.error_code()),
                      status.error_message());
}

}  // namespace midwatch::bench

#endif  // MIDWATCH_BENCH_GRPC_STATUS_H_
