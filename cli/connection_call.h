// How SchedulerConnection calls, in each of its files: of no use to others.
#ifndef MIDWATCH_CLI_CONNECTION_CALL_H_
#define MIDWATCH_CLI_CONNECTION_CALL_H_

#include <algorithm>
#include <string>

#include "absl/time/time.h"
#include "base/status_macros.h"
#include "cli/scheduler_connection.h"
#include "worker/grpc_scheduler_client.h"

namespace midwatch::cli {

inline constexpr absl::Duration kCallTimeout = absl::Seconds(60);
// While the scheduler is away.
inline constexpr absl::Duration kReconnectTimeout = absl::Minutes(1);
// Of a call that is made again where its answer is lost.
inline constexpr int kCallTriesMax = 10;
// Of a list.
inline constexpr int kPageSize = 1000;

// The size of a list's first page, where `wanted` (0: all) are asked for.
inline int FirstPageOf(int wanted) {
  return wanted == 0 ? kPageSize : std::min(wanted, kPageSize);
}

template <typename Method, typename Request, typename Response>
absl::Status SchedulerConnection::Call(Method method, const Request& request,
                                       Response& response, const char* name) {
  grpc::ClientContext context;
  SetTimeout(context, kCallTimeout);
  return AnswerFromGrpc(method(context, request, response), name);
}

// Calls a method and returns where it fails.
#define MIDWATCH_CALL(stub, name, request, response)                \
  RETURN_IF_ERROR(                                                  \
      Call([this](grpc::ClientContext& context, const auto& q,      \
                  auto& a) { return stub->name(&context, q, &a); }, \
           request, response, #name))

}  // namespace midwatch::cli

#endif  // MIDWATCH_CLI_CONNECTION_CALL_H_
