// The server that a night's hooks are sent to: it answers late, fails by the
// dice, and sometimes takes a message without that anybody hears of it.
#ifndef MIDWATCH_TESTS_SIM_HOOK_ENDPOINT_H_
#define MIDWATCH_TESTS_SIM_HOOK_ENDPOINT_H_

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/executor.h"
#include "base/random.h"
#include "net/http.h"
#include "tests/sim/counts.h"

namespace midwatch::sim {

class HookEndpoint {
 public:
  // Both outlive it.
  HookEndpoint(Random& random, Counts& counts)
      : random_(random), counts_(counts) {}

  // The way to it of one life of a scheduler, which it outlives.
  std::unique_ptr<HttpTransport> MakeTransport(Executor& executor);

  // How many tries fail.
  double trouble = 0;

  // The bodies that came with each webhook-id, answered with 200 or not at all.
  const std::map<std::string, std::vector<std::string>>& taken() const {
    return taken_;
  }

 private:
  class Transport;

  Random& random_;
  Counts& counts_;
  std::map<std::string, std::vector<std::string>> taken_;
};

}  // namespace midwatch::sim

#endif  // MIDWATCH_TESTS_SIM_HOOK_ENDPOINT_H_
