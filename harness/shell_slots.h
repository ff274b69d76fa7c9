// How many shells may live at once: a thousand running sessions must not start
// a thousand shells.
#ifndef MIDWATCH_HARNESS_SHELL_SLOTS_H_
#define MIDWATCH_HARNESS_SHELL_SLOTS_H_

#include <deque>

#include "base/coro.h"
#include "base/executor.h"

namespace midwatch::harness {

// On one executor's thread. Must outlive its slots.
class ShellSlots {
 public:
  ShellSlots(Executor& executor, int count)
      : executor_(executor), free_(count) {}

  // The right to have a shell, first come, first served; given back when it
  // goes.
  class Slot {
   public:
    explicit Slot(ShellSlots& slots) : slots_(slots), wake_(slots.executor_) {}
    ~Slot() { Release(); }
    Slot(const Slot&) = delete;
    Slot& operator=(const Slot&) = delete;

    // Waits for it. False where Cancel was called instead.
    Async<bool> Acquire();
    // Ends a wait; no effect on a slot that is held.
    void Cancel();
    void Release();
    bool held() const { return held_; }

   private:
    friend class ShellSlots;
    ShellSlots& slots_;
    Mailbox<bool> wake_;
    bool held_ = false;
    bool waiting_ = false;
  };

 private:
  Executor& executor_;
  int free_;
  std::deque<Slot*> waiting_;
};

}  // namespace midwatch::harness

#endif  // MIDWATCH_HARNESS_SHELL_SLOTS_H_
