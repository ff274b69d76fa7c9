// The line in which sessions stand whose streams are to be opened again: after
// a worker's death, of thousands at once; or where streams are cut so often
// that reopening them would take all the reads there are.
//
// Few are let on at a time, so that whoever else wants to read gets its share.
// Where more than those few want to, a list of the account's sessions, a read
// for a hundred of them, tells which are at rest: these go first, and cost a
// read of their history. While it is read, nobody else is let on: a page would
// wait behind all who are. The others are attached nearest to their budget
// first, then to their deadline, and until then a list a minute watches them.
#ifndef MIDWATCH_WORKER_ATTACH_LINE_H_
#define MIDWATCH_WORKER_ATTACH_LINE_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <tuple>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "agents/agents_client.h"
#include "agents/attach_turn.h"
#include "base/coro.h"
#include "base/executor.h"

namespace midwatch {

// Of one account. Used on one executor's thread.
class AttachLine {
 public:
  // Sessions that are being attached at once, and as many that are read. At
  // 1,200 reads a minute and a tenth of a second each, two would use them up.
  static constexpr size_t kAtOnceMax = 16;
  static constexpr absl::Duration kWatchEvery = absl::Minutes(1);

  struct Session {
    std::string id;
    absl::Time created_from;  // not created before
    int64_t budget_usd_micros = 0;
    absl::Duration deadline;  // on the steady clock
  };

  // Both outlive the line. Destroy it only after its executor has stopped, and
  // the turns that it gave before it.
  AttachLine(Executor& executor, AgentsClient& client)
      : executor_(executor), client_(client) {}

  std::unique_ptr<AttachTurn> TurnOf(Session session);

 private:
  class Turn;
  using Done = absl::AnyInvocable<void(AttachBy)>;
  // What goes first: what is nearest to its budget, to its deadline, what came
  // first.
  using Rank = std::tuple<int64_t, absl::Duration, uint64_t>;
  struct Place {
    Session session;
    Done done;
    bool listed = false;  // a list has shown it since it came
    AttachBy by = AttachBy::kStream;
    int64_t budget_left = 0;
  };
  // Those that go on in the same way.
  struct Queue {
    std::set<Rank> order;  // who waits
    std::set<uint64_t> under_way;
  };

  uint64_t Enter(Session session, Done done);
  // Lets this one on, whoever else is under way.
  void LetOn(uint64_t number);
  void Leave(uint64_t number);
  void Forget(uint64_t number, const Place& place);
  static Rank RankOf(uint64_t number, const Place& place);
  void LetOn();
  void LetOn(AttachBy by);
  static Async<void> Watch(AttachLine& self);
  // Lists the sessions that wait, as far as that is worth its reads.
  Async<absl::Status> Look();
  // Whether it is one that waits.
  bool Note(const midwatch::Session& seen);
  // More than half of those that wait have not been looked for yet.
  bool MostAreNew() const;

  Executor& executor_;
  AgentsClient& client_;
  std::map<uint64_t, Place> waiting_;
  std::map<std::string, uint64_t> numbers_;  // of those, by session
  std::map<AttachBy, Queue> queues_;
  uint64_t next_number_ = 1;
  bool watching_ = false;
  bool stands_ = false;  // until the list is read, or has become too long
};

}  // namespace midwatch

#endif  // MIDWATCH_WORKER_ATTACH_LINE_H_
