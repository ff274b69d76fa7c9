// What stands before the API: who may ask, how much, and what is made to fail.
// Requests that pass are answered by Api.
#ifndef MIDWATCH_HARNESS_API_GATE_H_
#define MIDWATCH_HARNESS_API_GATE_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "base/clock.h"
#include "base/coro.h"
#include "harness/core.h"
#include "harness/faults.h"
#include "harness/json.h"
#include "harness/rate_limits.h"
#include "net/http_server.h"

namespace midwatch::harness {

class ApiGate {
 public:
  // `clock` must outlive the executor's last task.
  ApiGate(std::shared_ptr<Core> core, const Clock& clock);

  // Answers one request. Beside the API there is GET /harness/stats: how many
  // requests came, by class and path, how many were over a limit, and how often
  // each fault came to pass, all since the process started.
  static Async<void> Handle(std::shared_ptr<ApiGate> gate,
                            ServerRequest request, ServerResponder& reply);

 private:
  // What a request that passed is answered with.
  struct Admitted {
    uint64_t number = 0;
    RequestFaults faults;
    HttpHeaders headers;
  };
  absl::Status CheckCaller(const ServerRequest& request) const;
  // A refusal has the headers in `admitted` too.
  absl::Status Admit(const ServerRequest& request, Admitted& admitted);
  absl::Status CheckRate(RequestClass request_class, HttpHeaders& headers);
  absl::Status CheckSpendCap(const std::string& route);
  absl::Status FailInstead(Fault fault, const std::string& path,
                           HttpHeaders& headers);
  Json Stats() const;

  std::shared_ptr<Core> core_;
  const Clock& clock_;
  RateLimiter limiter_;
  // Each start of the harness has its own numbers: one that is killed again and
  // again would else see the first faults of its seed and never the others.
  uint64_t requests_;
  // Bounded by the API's routes.
  std::map<RequestClass, std::map<std::string, int64_t>> counts_;
  std::map<RequestClass, int64_t> over_limit_;
};

}  // namespace midwatch::harness

#endif  // MIDWATCH_HARNESS_API_GATE_H_
