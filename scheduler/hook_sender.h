// Sends what hooks have to say. What is due is in the store, committed with the
// change that it tells of, so a message outlives every process: it is sent at
// least once, again after a failure or a death, with the same webhook-id.
#ifndef MIDWATCH_SCHEDULER_HOOK_SENDER_H_
#define MIDWATCH_SCHEDULER_HOOK_SENDER_H_

#include <cstdint>
#include <functional>
#include <map>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/coro.h"
#include "base/executor.h"
#include "base/random.h"
#include "net/http.h"
#include "scheduler/to_proto.h"
#include "store/store.h"

namespace midwatch {

struct HookOptions {
  // Null: this scheduler sends none, and what is due waits for one that does.
  // Outlives the scheduler.
  HttpTransport* transport = nullptr;
  // Keys by the names that hooks use for them. Never stored, never logged.
  std::map<std::string, std::string> keys;
  // Hooks may be http to any machine: see CheckHookUrl.
  bool plain_http = false;
};

// Lives on one executor, as its scheduler does. Nothing of the queue waits for
// it: kHooksAtOnce tries are under way at most, kHooksPerOrigin to one server,
// and each ends within kHookTimeout.
class HookSender {
 public:
  static constexpr size_t kHooksAtOnce = 8;
  static constexpr int kHooksPerOrigin = 2;
  static constexpr absl::Duration kHookTimeout = absl::Seconds(15);

  // `plan_timers`: timers are to be looked at then.
  HookSender(Executor& executor, const Clock& clock, Random& random,
             Store& store, const Ids& ids, HookOptions options,
             std::function<void(absl::Time)> plan_timers);

  // Whether the batch's hooks can be sent from here.
  //   kInvalidArgument  a URL that is not allowed, a secret that is not here
  absl::Status Check(const OpenBatch& batch) const;

  // Something may be due.
  void Wake();

 private:
  void Look();
  // Whether there is room for another try at that server.
  bool HasRoom(const std::string& origin) const;
  Async<void> Deliver(DueHook hook);
  // The try's request.
  //   kFailedPrecondition  it cannot be sent from here
  absl::StatusOr<HttpRequest> RequestFor(const DueHook& hook) const;
  // Until the store has it: the hook is not tried again before.
  void Note(NoteHookTry note);

  Executor& executor_;
  const Clock& clock_;
  Random& random_;
  Store& store_;
  const Ids& ids_;
  const HookOptions options_;
  const std::function<void(absl::Time)> plan_timers_;
  std::map<int64_t, std::string> trying_;  // hooks, with their origins
  bool looking_ = false, look_again_ = false;
};

}  // namespace midwatch

#endif  // MIDWATCH_SCHEDULER_HOOK_SENDER_H_
