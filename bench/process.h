// Processes that a benchmark starts and watches.
#ifndef MIDWATCH_BENCH_PROCESS_H_
#define MIDWATCH_BENCH_PROCESS_H_

#include <sys/types.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace midwatch::bench {

struct Usage {
  absl::Duration cpu;  // user and system, since the process began
  double rss_mib = 0;
};
// Of a process that lives; zero otherwise.
Usage UsageOf(pid_t pid);

// How many files this process and those that it starts may open: raised as far
// as it may be.
int FilesMax();

// Lets time pass on this thread, which has nothing else to do.
void Wait(absl::Duration duration);

// A child of this process. The destructor kills it.
class Process {
 public:
  // Runs `command`; its log goes to the file `log`.
  static absl::StatusOr<std::unique_ptr<Process>> Start(
      const std::vector<std::string>& command, const std::string& log);
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  // The next line of its standard output, without its end.
  //   kUnavailable  it ended; look into the log
  absl::StatusOr<std::string> ReadLine();

  Usage usage() const { return UsageOf(pid_); }
  // SIGKILL, and waits until it is gone. Again: no effect.
  void Kill();

 private:
  Process(pid_t pid, int output, std::string log)
      : pid_(pid), output_(output), log_(std::move(log)) {}

  pid_t pid_;
  const int output_;
  const std::string log_;
};

}  // namespace midwatch::bench

#endif  // MIDWATCH_BENCH_PROCESS_H_
