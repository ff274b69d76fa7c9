#ifndef MIDWATCH_BASE_THREAD_H_
#define MIDWATCH_BASE_THREAD_H_

#include <string>
#include <thread>

#include "absl/functional/any_invocable.h"

namespace midwatch {

// A named thread. The only file that may start one: everything else runs on an
// Executor or a BlockingPool, which the simulator can replace.
class Thread {
 public:
  Thread() = default;
  Thread(const std::string& name, absl::AnyInvocable<void()> body);
  Thread(Thread&&) = default;
  Thread& operator=(Thread&&) = default;

  bool joinable() const { return thread_.joinable(); }
  void Join() { thread_.join(); }

 private:
  std::thread thread_;
};

}  // namespace midwatch

#endif  // MIDWATCH_BASE_THREAD_H_
