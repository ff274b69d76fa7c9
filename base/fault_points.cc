#include "base/fault_points.h"

#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"

namespace midwatch {

const char* const kFaultPoints[] = {
    // A client.
    "client.input.after",     // an input is stored, no line submitted
    "client.submit.after",    // a step of a batch is acknowledged
    "client.file.before",     // a key or a note is durable, without its name
    "client.results.before",  // a run's batch is done, no result is written
    "client.results.after",   // all are

    // The store, at its start and around each commit.
    "store.migrate.after",      // a step of a file's schema is taken
    "store.cluster.after",      // the queue has its own bits
    "store.identity.after",     // it knows which file it is
    "store.commit.before",      // queue.db: a group is written, not yet durable
    "store.commit.after",       // durable, nobody told
    "store.events.before",      // events.db, likewise
    "store.events.after",       //
    "store.checkpoint.before",  // the log is to be folded back
    "store.checkpoint.after",   // it is
    "artifacts.store.before",   // a file is durable, without its name
    "artifacts.store.after",    // it has its name

    // The scheduler: what it did is durable, and it has told nobody.
    "scheduler.start.after",     // it knows what was begun
    "scheduler.budget.after",    // a budget is set
    "scheduler.account.after",   // an account is paused, or open again
    "scheduler.submit.after",    // a step of a batch
    "scheduler.firing.after",    // a schedule's firing; no batch is open
    "scheduler.retry.after",     // a task like a finished one
    "scheduler.register.after",  // a worker
    "scheduler.grant.after",     // grants and adoptions
    "scheduler.remoteid.after",  // the id of an agent, environment or file
    "scheduler.create.after",    // the nonce of a create
    "scheduler.record.after",    // the attempt's session
    "scheduler.clear.after",     // it has none again
    "scheduler.started.after",   // the first message was seen; no event stored
    "scheduler.nudge.after",     // a message is in the outbox
    "scheduler.say.after",       // a handler's answer is
    "scheduler.answer.after",    // a person's answer is
    "scheduler.said.after",      // an outbox row is marked as said
    "scheduler.park.after",      // the attempt waits for answers
    "scheduler.timer.after",     // something fell due
    "scheduler.cancel.after",    // a task is to be cancelled, or is
    "scheduler.batchcancel.after",  // some of a batch's tasks are
    "scheduler.free.after",         // leases of a worker are free
    "scheduler.handback.after",     // one that its worker gave back is
    "scheduler.settle.after",       // the attempt has ended
    "scheduler.lease.after",        // errands are given out
    "scheduler.errand.after",       // errands are done
    "scheduler.explain.after",      // what sessions are
    "scheduler.sweep.after",        // a sweep is over

    // The worker, in the order of an attempt's life.
    "worker.grant.after",        // heard of, nothing done
    "worker.agent.after",        // an agent exists, not recorded
    "worker.environment.after",  // an environment does
    "worker.upload.after",       // an input does
    "worker.remoteid.after",     // recorded, not used
    "worker.create.before",      // the nonce is durable, nothing sent
    "worker.create.after",       // the session exists, not recorded
    "worker.find.after",         // found in a list, not recorded
    "worker.record.after",       // recorded, nothing said
    "worker.send.before",        // its stream is open, nothing said
    "worker.send.after",         // the first message is sent, nothing stored
    "worker.fence.before",       // the message is not to be seen
    "worker.fence.after",        // the session is archived, still the attempt's
    "worker.clear.after",        // it is not any more, and there is no other
    "worker.events.after",       // events are stored
    "worker.nudge.before",       // a message is in the outbox, not sent
    "worker.nudge.after",        // sent, not marked as said
    "worker.tool.after",         // a handler is done, its answer is lost
    "worker.park.before",        // the session asks, nobody was told
    "worker.park.after",         // parked
    "worker.answer.before",      // an answer is in the outbox, not sent
    "worker.answer.after",       // sent, not marked as said
    "worker.raise.before",       // a budget is in the outbox, not raised
    "worker.raise.after",        // raised, not marked as said
    "worker.interrupt.before",   // an interrupt is in the outbox, not sent
    "worker.interrupt.after",    // sent, not marked as said
    "worker.mark.after",         // an outbox row is marked as said
    "worker.handback.before",    // all is stored, the lease still held
    "worker.handback.after",     // it is not
    "worker.output.after",       // one output is stored
    "worker.outputs.after",      // all are, nothing is checked
    "worker.check.before",       // the spec's check runs
    "worker.check.after",        // it has its verdict, nobody heard it
    "worker.settle.before",      // all events are, too
    "worker.settle.after",       // settled, not archived
    "worker.archive.after",      // archived, its errand not done
    "worker.errand.before",      // errands are taken, nothing done
    "worker.errand.after",       // done, and told
    "sweep.end.before",          // explained, not ended
    "sweep.end.after",           // ended, nobody told
    "sweep.errand.after",        // its errand is done

    // The harness.
    "harness.migrate.after",      // a step of its schema is taken
    "harness.agent.after",        // an agent is durable, not answered
    "harness.environment.after",  // an environment is
    "harness.file.before",        // an upload has bytes, no name
    "harness.file.after",         // it is durable, not answered
    "harness.session.before",     // its files are linked, it is not there
    "harness.session.after",      // it is durable, not answered
    "harness.send.after",         // events are, neither answered nor acted on
    "harness.event.before",       // an event is to be written
    "harness.event.after",        // it is durable, nobody saw it
    "harness.status.before",      // a session's status is to change
    "harness.status.after",       // it has, nobody saw it
    "harness.charge.before",      // a model has answered, nothing charged
    "harness.charge.after",       // it is charged, nobody saw it
    "harness.tool.after",         // a tool has run, its result is lost
    "harness.outputs.before",     // outputs are stored, not named
    "harness.update.after",       // a budget is raised, not answered
    "harness.archive.after",      // archived, its sandbox still there
};
const int kFaultPointCount = sizeof kFaultPoints / sizeof kFaultPoints[0];

namespace fault_internal {

std::atomic<bool> enabled{false};

namespace {
std::string armed_name;
std::atomic<int> passes_left{0};
}  // namespace

void Pass(const char* name) {
  if (armed_name == name && passes_left.fetch_sub(1) == 1) {
    kill(getpid(), SIGKILL);
    pause();
  }
}

}  // namespace fault_internal

void EnableFaultPointsFromEnvironment() {
  const char* value = std::getenv("MIDWATCH_FAULT");
  if (value == nullptr || *value == '\0') return;
  std::pair<std::string, std::string> parts =
      absl::StrSplit(value, absl::MaxSplits(':', 1));
  bool known = false;
  for (const char* name : kFaultPoints) known |= parts.first == name;
  int nth = 1;
  if (!known || (!parts.second.empty() &&
                 (!absl::SimpleAtoi(parts.second, &nth) || nth < 1))) {
    std::fprintf(stderr,
                 "midwatch: MIDWATCH_FAULT=%s is not NAME or NAME:COUNT with a "
                 "known fault point\n",
                 value);
    std::exit(2);
  }
  fault_internal::armed_name = parts.first;
  fault_internal::passes_left = nth;
  fault_internal::enabled = true;
}

}  // namespace midwatch
