// What answers the calls of an agent's custom tools at this worker, so that no
// person has to.
#ifndef MIDWATCH_WORKER_TOOL_HANDLER_H_
#define MIDWATCH_WORKER_TOOL_HANDLER_H_

#include <cstddef>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "base/blocking_pool.h"
#include "base/clock.h"
#include "base/coro.h"
#include "base/executor.h"
#include "net/http.h"

namespace midwatch {

struct ToolCall {
  std::string tool;
  // The service's id of the call. A call whose worker died, drained or lost its
  // lease before the answer was durable comes again, under the same id, and
  // perhaps while the first one still runs.
  std::string call_id;
  std::string task_id;
  std::string input_json;
};

struct ToolOutcome {
  std::string text;
  bool is_error = false;
};

// Used on the worker's executor; calls run concurrently.
class ToolHandler {
 public:
  virtual ~ToolHandler() = default;
  // Ends within the handler's own timeout, once it has begun. What goes wrong
  // is an answer too: an error for the agent to deal with.
  virtual Async<ToolOutcome> Call(ToolCall call) = 0;
};

// By the tool's name. The handlers outlive the worker.
using ToolHandlers = std::map<std::string, ToolHandler*>;

struct ToolLimits {
  absl::Duration timeout = absl::Minutes(1);
  // More is an error, not a cut: an agent would take a part for the whole.
  size_t answer_bytes_max = 256 << 10;
};

// POSTs {"tool", "call_id", "task_id", "input"} to `url`; the body of a 2xx
// answer is the result, any other an error. All references outlive it.
std::unique_ptr<ToolHandler> MakeHttpToolHandler(HttpTransport& transport,
                                                 std::string url,
                                                 ToolLimits limits);

// Runs `argv` (its first is a path) with the input on its standard input;
// what it prints is the result, or, where it does not exit with 0, what it
// printed on both outputs the error. Of the environment it gets PATH, HOME and
// LANG, and MIDWATCH_TOOL, MIDWATCH_CALL_ID and MIDWATCH_TASK_ID: no keys. When
// its time is over its process group is killed.
std::unique_ptr<ToolHandler> MakeCommandToolHandler(
    BlockingPool& pool, Executor& executor, const Clock& clock,
    std::vector<std::string> argv, ToolLimits limits);

}  // namespace midwatch

#endif  // MIDWATCH_WORKER_TOOL_HANDLER_H_
