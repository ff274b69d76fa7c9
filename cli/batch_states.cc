#include "cli/batch_states.h"

#include <map>

#include "absl/strings/str_cat.h"
#include "cli/state_names.h"
#include "cli/utf8.h"

namespace midwatch::cli {
namespace {

// The states that a word of ours is found in.
const std::map<std::string, std::set<v1::BatchState>>& StatesOfWords() {
  static const auto& states =
      *new std::map<std::string, std::set<v1::BatchState>>{
          {"submitting", {v1::BATCH_STATE_OPEN}},
          {"queued", {v1::BATCH_STATE_SEALED}},
          {"running", {v1::BATCH_STATE_SEALED}},
          {"waiting", {v1::BATCH_STATE_SEALED}},
          {"paused", {v1::BATCH_STATE_OPEN, v1::BATCH_STATE_SEALED}}};
  return states;
}

}  // namespace

std::string BatchStateWord(const v1::Batch& batch) {
  const bool goes_on = batch.state() == v1::BATCH_STATE_OPEN ||
                       batch.state() == v1::BATCH_STATE_SEALED;
  if (!goes_on) return NameOf(batch.state());
  if (batch.has_pause() || batch.has_queue_pause()) return "paused";
  if (batch.state() == v1::BATCH_STATE_OPEN) return "submitting";
  const v1::TaskCounts& counts = batch.counts();
  if (counts.running() + counts.cancelling() > 0) return "running";
  return counts.waiting() > 0 && counts.queued() == 0 ? "waiting" : "queued";
}

absl::StatusOr<BatchStateFilter> BatchStateFilter::Read(
    const std::vector<std::string>& words) {
  BatchStateFilter filter;
  for (const std::string& word : words) {
    if (auto found = StatesOfWords().find(word);
        found != StatesOfWords().end()) {
      filter.words_.insert(word);
      filter.asked_.insert(found->second.begin(), found->second.end());
    } else if (v1::BatchState state = BatchStateNamed(word);
               state != v1::BATCH_STATE_UNSPECIFIED) {
      filter.whole_.insert(state);
      filter.asked_.insert(state);
    } else {
      return absl::InvalidArgumentError(absl::StrCat(
          "'", Printable(word),
          "' is no state; expected submitting, queued, running, waiting, "
          "paused, cancelling or done"));
    }
  }
  return filter;
}

bool BatchStateFilter::Takes(const v1::Batch& batch) const {
  return asked_.empty() || whole_.contains(batch.state()) ||
         words_.contains(BatchStateWord(batch));
}

}  // namespace midwatch::cli
