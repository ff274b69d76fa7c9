// The model `runbook`: no language model, but real work. It takes the last user
// message, runs its fenced shell blocks as bash tool calls, one after the
// other, reads each result, and answers with a report. Deterministic: the same
// conversation always gets the same next step.
//
//   ```bash             also sh and shell, and ~~~ for ```; fences as in
//   make test           CommonMark: up to three spaces before, closed by at
//   ```                 least as many of the same character, or by the end
//
// A block marked `tool NAME` calls the agent's custom tool of that name, with
// the block as its input, a JSON object (an empty one: {}).
//
// It stops at the first block that fails, unless a line outside the blocks says
//
//   runbook: continue-on-error
//
// A request costs what the harness was told, or what such a line says, so that
// a batch can be rehearsed that overshoots its budgets:
//
//   runbook: cents-per-request 4
//
// Of a message with a `runbook:` line that it cannot read, or a tool's block
// that holds no JSON object, nothing is run: the turn fails and says which
// line.
#ifndef MIDWATCH_HARNESS_RUNBOOK_H_
#define MIDWATCH_HARNESS_RUNBOOK_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "harness/model.h"

namespace midwatch::harness {

struct Runbook {
  std::vector<std::string> blocks;
  // Beside each: the custom tool that it is the input of, or "" for a command.
  std::vector<std::string> tools;
  bool continue_on_error = false;
  std::optional<int64_t> cents_per_request;  // 0 to 10,000
  // What is wrong with it first, and in which line; "": nothing.
  std::string error;
};

Runbook ParseRunbook(absl::string_view message);

class RunbookModel final : public Model {
 public:
  // Every request costs `price_usd_micros`.
  explicit RunbookModel(int64_t price_usd_micros)
      : price_usd_micros_(price_usd_micros) {}
  Async<ModelStep> Next(ModelRequest request, ModelCall& call) override;

 private:
  int64_t price_usd_micros_;
};

ModelStep NextRunbookStep(const ModelRequest& request);
// What a tokenizer would count, roughly.
TokenUsage RunbookUsage(const ModelRequest& request, const ModelStep& step);

}  // namespace midwatch::harness

#endif  // MIDWATCH_HARNESS_RUNBOOK_H_
