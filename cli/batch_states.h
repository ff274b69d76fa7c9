// A batch's state in one word, as people read it and filter by it. Pure.
#ifndef MIDWATCH_CLI_BATCH_STATES_H_
#define MIDWATCH_CLI_BATCH_STATES_H_

#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "midwatch/v1/batch_service.pb.h"

namespace midwatch::cli {

//   submitting  lines of it still come
//   queued      nothing of it runs
//   running     something does
//   waiting     all that could go on waits for a person
//   paused      nothing more of it starts, since it or its queue is paused
//   cancelling, done
//
// What programs read is the state as the API has it: a SEALED batch is one of
// the four in the middle.
std::string BatchStateWord(const v1::Batch& batch);

// Those batches whose state somebody named.
class BatchStateFilter {
 public:
  // By the words above, or the API's (open, sealed). None: all batches.
  //   kInvalidArgument  one is neither
  static absl::StatusOr<BatchStateFilter> Read(
      const std::vector<std::string>& words);

  // What to ask the scheduler for, which has fewer words; empty: all.
  const std::set<v1::BatchState>& asked() const { return asked_; }
  // Whether it is one of them, of those that were asked for.
  bool Takes(const v1::Batch& batch) const;

 private:
  std::set<v1::BatchState> asked_;
  std::set<v1::BatchState> whole_;  // whatever their word
  std::set<std::string> words_;
};

}  // namespace midwatch::cli

#endif  // MIDWATCH_CLI_BATCH_STATES_H_
