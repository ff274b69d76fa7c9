#include "cli/interrupts.h"

#include <pthread.h>

namespace midwatch::cli {

Interrupts::Interrupts() {
  sigemptyset(&signals_);
  for (int signal : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&signals_, signal);
  pthread_sigmask(SIG_BLOCK, &signals_, &before_);
}

Interrupts::~Interrupts() { Unblock(); }

bool Interrupts::Wait(absl::Duration timeout) {
  if (requested_) return true;
  if (timeout == absl::InfiniteDuration()) {
    int signal = 0;
    requested_ = sigwait(&signals_, &signal) == 0;
  } else {
    const timespec limit = absl::ToTimespec(timeout);
    requested_ = sigtimedwait(&signals_, nullptr, &limit) > 0;
  }
  return requested_;
}

void Interrupts::Unblock() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

}  // namespace midwatch::cli
