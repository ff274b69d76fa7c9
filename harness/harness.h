// Managed Agents on your own machine: the same HTTP API (managed-agents-api.md
// says what of it; the rest is refused), an agent loop, tools in a sandbox.
//
//   agent, environment  definitions that sessions refer to
//   session             one agent at work: a log of events, files, a cost
//   turn                from a user message to the session being idle again
//   model               what decides a turn's next step: `runbook` is built in,
//                       any other is asked of a server of the Messages API
//
// Everything is durable in HarnessOptions::data_dir before anyone is told of
// it. A harness that was killed goes on with its sessions when it starts again:
// what comes next is decided by a session's log alone. A tool call that was
// running then is run again, in a fresh shell in the same directory.
//
// A shell, with its variables and background processes, lives from the first
// tool call of a turn to its end. Files live as long as the session.
#ifndef MIDWATCH_HARNESS_HARNESS_H_
#define MIDWATCH_HARNESS_HARNESS_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/blocking_pool.h"
#include "base/clock.h"
#include "base/executor.h"
#include "base/random.h"
#include "harness/faults.h"
#include "harness/messages_options.h"
#include "harness/rate_limits.h"
#include "harness/sandbox.h"
#include "net/http.h"

namespace midwatch {

struct HarnessOptions {
  // Holds everything; made where it is missing. One harness at a time.
  std::string data_dir;
  std::string address = "127.0.0.1";
  int port = 0;  // 0: any free one
  // What clients present as x-api-key or bearer token.
  std::string api_key;
  // Holds the key in its first line instead, and is read for every request: a
  // key may be replaced (by renaming another file over it) or, by removing the
  // file, revoked.
  std::string api_key_file;
  // Lets everyone in; only without either and a loopback address.
  bool allow_no_key = false;

  // Where models other than `runbook` are; without a base_url there are none.
  MessagesOptions messages;
  // The way there. Required with it; must outlive the executor's last task.
  HttpTransport* transport = nullptr;

  // How many turns may have a shell at once; others wait for their first tool
  // call, running. 0: twice the machine's cores.
  int max_concurrent_shells = 0;
  // Of one tool call that names no timeout_ms.
  absl::Duration tool_timeout = absl::Seconds(120);
  int64_t file_bytes_max = int64_t{500} << 20;
  // Of an event stream on which nothing happens.
  absl::Duration ping_interval = absl::Seconds(10);

  // What the hosted service would refuse; without limits unless given.
  harness::RateLimits rate_limits;
  // Once all sessions together have cost so much, nothing new may start:
  // neither a session, an event nor a model request.
  std::optional<int64_t> spend_cap_usd_micros;
  harness::FaultPlan faults;

  // Commands run without a sandbox, as the harness's user, with its files and
  // its network. For machines that cannot do better, and trusted prompts.
  bool unsafe_no_sandbox = false;
  harness::SandboxLimits limits;
  // A root harness runs each session as a uid from here on (65,536 of them).
  int64_t first_sandbox_uid = 200'000;
};

class Harness {
 public:
  // Opens the data directory, tries the sandbox, resumes the sessions that were
  // running, and listens. Call it on `executor`'s thread, which must live as
  // long as the harness has sessions running (their processes follow it).
  // Blocks for some tens of milliseconds. All references must outlive the
  // harness and the executor's last task.
  //   kInvalidArgument     the options contradict each other
  //   kFailedPrecondition  the directory is in use, the address is taken, or
  //                        there is no working sandbox, with what to do
  static absl::StatusOr<std::unique_ptr<Harness>> Start(Executor& executor,
                                                        BlockingPool& pool,
                                                        const Clock& clock,
                                                        Random& random,
                                                        HarnessOptions options);

  // Closes all connections and kills all shells; sessions stand still and go on
  // at the next start. On the executor's thread, or after the executor was
  // stopped. The data directory is free again once the executor has run what
  // was waiting then, or was stopped.
  virtual ~Harness() = default;

  virtual int port() const = 0;
  virtual std::string base_url() const = 0;  // http://127.0.0.1:8080
};

}  // namespace midwatch

#endif  // MIDWATCH_HARNESS_HARNESS_H_
