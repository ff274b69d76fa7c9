#ifndef MIDWATCH_CLI_INTERRUPTS_H_
#define MIDWATCH_CLI_INTERRUPTS_H_

#include <signal.h>

#include "absl/time/time.h"

namespace midwatch::cli {

// Ctrl-C, SIGTERM and SIGHUP as something to ask for, while it lives. Make it
// before the first thread, which inherits the blocked signals; use it on the
// main thread.
class Interrupts {
 public:
  Interrupts();
  ~Interrupts();
  Interrupts(const Interrupts&) = delete;
  Interrupts& operator=(const Interrupts&) = delete;

  // Waits until a signal has come, `timeout` at most. True once one has, from
  // then on without waiting.
  bool Wait(absl::Duration timeout);
  bool requested() { return Wait(absl::ZeroDuration()); }

  // From now on a signal ends the process at once, as if never blocked: for the
  // second Ctrl-C, while the first is being obeyed.
  void Unblock();

 private:
  sigset_t signals_;
  sigset_t before_;
  bool requested_ = false;
};

}  // namespace midwatch::cli

#endif  // MIDWATCH_CLI_INTERRUPTS_H_
