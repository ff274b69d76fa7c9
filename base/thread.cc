#include "base/thread.h"

#include <pthread.h>
#include <signal.h>

#include <utility>

namespace midwatch {

Thread::Thread(const std::string& name, absl::AnyInvocable<void()> body) {
  // Signals are for the main thread, which waits for them.
  sigset_t all, old;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, &old);
  thread_ = std::thread([body = std::move(body)]() mutable { body(); });
  pthread_sigmask(SIG_SETMASK, &old, nullptr);
  pthread_setname_np(thread_.native_handle(), name.substr(0, 15).c_str());
}

}  // namespace midwatch
