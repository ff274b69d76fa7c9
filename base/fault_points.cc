#include "base/fault_points.h"

#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"

namespace midwatch {

const char* const kFaultPoints[] = {
    "store.commit.before",   // a group is written, not yet durable
    "store.commit.after",    // durable, nobody told
    "worker.create.before",  // the nonce is durable, nothing sent
    "worker.create.after",   // the session exists, not recorded
    "worker.record.after",   // recorded, nothing said
    "worker.send.after",     // the first message is sent, nothing stored
    "worker.outputs.after",  // outputs are stored, not settled
    "worker.settle.after",   // settled, not archived
    "harness.event.after",   // an event is durable, nobody saw it
};
const int kFaultPointCount = sizeof kFaultPoints / sizeof kFaultPoints[0];

namespace fault_internal {

std::atomic<bool> enabled{false};

namespace {
std::string armed_name;
std::atomic<int> passes_left{0};
}  // namespace

void Pass(const char* name) {
  if (armed_name == name && passes_left.fetch_sub(1) == 1) {
    kill(getpid(), SIGKILL);
    pause();
  }
}

}  // namespace fault_internal

void EnableFaultPointsFromEnvironment() {
  const char* value = std::getenv("MIDWATCH_FAULT");
  if (value == nullptr || *value == '\0') return;
  std::pair<std::string, std::string> parts =
      absl::StrSplit(value, absl::MaxSplits(':', 1));
  bool known = false;
  for (const char* name : kFaultPoints) known |= parts.first == name;
  int nth = 1;
  if (!known || (!parts.second.empty() &&
                 (!absl::SimpleAtoi(parts.second, &nth) || nth < 1))) {
    std::fprintf(stderr,
                 "midwatch: MIDWATCH_FAULT=%s is not NAME or NAME:COUNT with a "
                 "known fault point\n",
                 value);
    std::exit(2);
  }
  fault_internal::armed_name = parts.first;
  fault_internal::passes_left = nth;
  fault_internal::enabled = true;
}

}  // namespace midwatch
