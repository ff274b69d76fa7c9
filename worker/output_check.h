// Commands of this worker's own configuration that look at what an attempt
// left, before it is settled. A spec only names one: who submits tasks chooses
// among what the worker's operator wrote down, and brings no command along.
#ifndef MIDWATCH_WORKER_OUTPUT_CHECK_H_
#define MIDWATCH_WORKER_OUTPUT_CHECK_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "base/blocking_pool.h"
#include "base/clock.h"
#include "base/coro.h"
#include "base/executor.h"

namespace midwatch {

struct CheckCall {
  std::string check;  // its name
  std::string task_id;
  int32_t attempt = 0;
  // Relative paths, as the agent named them, and the local files that hold
  // their content, which stay as they are.
  std::vector<std::pair<std::string, std::string>> files;
  std::string message;  // the agent's last one, whole
  // Set by who no longer waits for the outcome.
  std::shared_ptr<std::atomic<bool>> stop =
      std::make_shared<std::atomic<bool>>(false);
};

struct CheckOutcome {
  enum class End {
    kPassed,
    kFailed,
    kNotRun,  // it cannot be: its program is gone
    kAgain,   // this machine's own trouble, or `stop`: it says nothing
  };
  End end = End::kAgain;
  std::string why;  // one line of valid UTF-8, kCheckWhyBytesMax at most
};

inline constexpr size_t kCheckWhyBytesMax = 300;

// Used on the worker's executor; calls run concurrently.
class OutputCheck {
 public:
  virtual ~OutputCheck() = default;
  // Ends within the check's own timeout, once it has begun.
  virtual Async<CheckOutcome> Run(CheckCall call) = 0;
};

// By name. They outlive the worker.
using OutputChecks = std::map<std::string, OutputCheck*>;

// Runs `argv` (its first is a path) in a new directory that holds copies of
// the files and goes with it, with the message on its standard input. Exit
// code 0 passes; else, or when `timeout` is over, it has failed, with the last
// line that it printed. Of the environment it gets PATH, HOME and LANG, and
// MIDWATCH_CHECK, MIDWATCH_TASK_ID and MIDWATCH_ATTEMPT: no keys.
std::unique_ptr<OutputCheck> MakeCommandCheck(BlockingPool& pool,
                                              Executor& executor,
                                              const Clock& clock,
                                              std::vector<std::string> argv,
                                              absl::Duration timeout);

// The last line of `output` that says something, for people: cut to
// kCheckWhyBytesMax, what is no printable text replaced. "": there is none.
std::string LastLine(const std::string& output);

}  // namespace midwatch

#endif  // MIDWATCH_WORKER_OUTPUT_CHECK_H_
