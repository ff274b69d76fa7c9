#include "harness/shell_slots.h"

#include <algorithm>

namespace midwatch::harness {

Async<bool> ShellSlots::Slot::Acquire() {
  if (held_) co_return true;
  if (slots_.free_ > 0) {
    --slots_.free_;
    held_ = true;
    co_return true;
  }
  waiting_ = true;
  slots_.waiting_.push_back(this);
  co_await wake_.Pop();
  co_return held_;
}

void ShellSlots::Slot::Cancel() {
  if (!waiting_) return;
  waiting_ = false;
  std::erase(slots_.waiting_, this);
  wake_.Push(true);
}

void ShellSlots::Slot::Release() {
  Cancel();
  if (!held_) return;
  held_ = false;
  if (slots_.waiting_.empty()) {
    ++slots_.free_;
    return;
  }
  Slot* next = slots_.waiting_.front();
  slots_.waiting_.pop_front();
  next->waiting_ = false;
  next->held_ = true;
  next->wake_.Push(true);
}

}  // namespace midwatch::harness
